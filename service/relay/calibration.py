"""How far estimates are off for each model, learnt from answers that did report usage. In memory, bounded.

Measuring a prompt costs more than the rest of the books, so only every sixteenth answer of a model teaches after
the first few.
"""

from collections.abc import Callable

import msgspec

from service.usage.estimate import UNCALIBRATED, Calibration, estimate_output, estimate_prompt, learn
from service.usage.text import TextMeasure
from service.usage.tokens import TokenUsage

MOST_MODELS = 512
FIRST = 8
EVERY = 16


class _Learnt(msgspec.Struct):
    prompt: Calibration = UNCALIBRATED
    output: Calibration = UNCALIBRATED
    seen: int = 0


class Calibrations:
    """One relay process's knowledge of its models."""

    def __init__(self) -> None:
        self._models: dict[str, _Learnt] = {}

    def prompt(self, model: str | None) -> Calibration:
        """For `estimate_prompt`."""
        learnt = self._models.get(model or "")
        return UNCALIBRATED if learnt is None else learnt.prompt

    def output(self, model: str | None) -> Calibration:
        """For `estimate_output`."""
        learnt = self._models.get(model or "")
        return UNCALIBRATED if learnt is None else learnt.output

    def teach(
        self, model: str | None, *, body: bytes, generated: Callable[[], TextMeasure], usage: TokenUsage
    ) -> None:
        """Take in an answer whose usage was reported. Reasoning and media are in no text, so they teach nothing."""
        learnt = self._models.get(model or "")
        if learnt is None:
            if len(self._models) >= MOST_MODELS:
                return
            learnt = self._models[model or ""] = _Learnt()
        learnt.seen += 1
        if learnt.seen > FIRST and learnt.seen % EVERY:
            return
        prompt = estimate_prompt(body)
        if not prompt.partial:
            learnt.prompt = learn(learnt.prompt, estimated=prompt.tokens, actual=usage.input_tokens)
        if not usage.reasoning_output_tokens and not usage.audio_output_tokens:
            text = estimate_output(generated())
            learnt.output = learn(learnt.output, estimated=text.tokens, actual=usage.output_tokens)
