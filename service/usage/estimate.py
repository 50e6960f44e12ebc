"""Tokens of a text nobody counted, from how much of it there is by class of character. Pure.

The weights were fitted to the o200k vocabulary over prose, code and markup in many languages; other vocabularies
differ by a factor that `Calibration` learns per model from answers that did report usage.
An estimate always comes with bounds, and never claims to cover media: `partial` says that images, audio or
files in the request were left out.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from service.usage.fields import value_of
from service.usage.text import TextMeasure, measure

# Thousandths of a token per unit. A word costs about one token, long ones more; digits come in threes.
_WORD, _LETTER, _DIGIT, _SYMBOL, _SPACE, _NEWLINE, _CJK, _OTHER = 800, 60, 650, 620, 40, 450, 660, 310
_PER_MESSAGE = 4  # role and delimiters around each message
_REPLY_START = 3

_MEDIA = frozenset({"image_url", "input_audio", "file", "video_url", "audio"})
_NOT_TEXT = frozenset({"type", "role", "id", "tool_call_id", "cache_control", "strict", "detail"})
_PARTS_OF_PROMPT = ("messages", "tools", "functions", "response_format")


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """How a model's real counts compare with the estimates, learnt as moving averages."""

    ratio: float = 1.0
    """Real tokens per estimated token."""
    error: float = 0.2
    """Mean distance of a single answer from that, relative."""
    samples: int = 0


UNCALIBRATED = Calibration()
_FEWEST_TOKENS = 20  # shorter texts say little about a model
_LEAST_WEIGHT = 0.05  # about the last twenty answers count
_RATIOS = (0.2, 5.0)


def learn(calibration: Calibration, *, estimated: int, actual: int) -> Calibration:
    """Take in an answer of *actual* tokens whose text was *estimated*, uncalibrated, from what it generated."""
    if estimated < _FEWEST_TOKENS or actual < 1:
        return calibration
    least, most = _RATIOS
    seen = min(max(actual / estimated, least), most)
    weight = max(_LEAST_WEIGHT, 1 / (calibration.samples + 2))
    off = abs(seen / calibration.ratio - 1)
    return Calibration(
        ratio=calibration.ratio + weight * (seen - calibration.ratio),
        error=calibration.error + weight * (min(off, 1.0) - calibration.error),
        samples=calibration.samples + 1,
    )


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """An estimated number of tokens: most likely, and the bounds it should lie in."""

    tokens: int
    low: int
    high: int
    partial: bool = False


def estimate_output(text: TextMeasure, calibration: Calibration = UNCALIBRATED) -> Estimate:
    """Tokens of generated text."""
    return _bounded(_raw_tokens(text), calibration=calibration)


def estimate_prompt(body: bytes | Mapping[str, Any], calibration: Calibration = UNCALIBRATED) -> Estimate:
    """Tokens of the prompt in a chat completion request: messages, tools, response format."""
    request = value_of(body) if isinstance(body, bytes) else body
    if not isinstance(request, Mapping):
        return Estimate(tokens=0, low=0, high=0, partial=True)
    texts = _Texts()
    for name in _PARTS_OF_PROMPT:
        texts.collect(request.get(name), keys_too=name != "messages")
    messages = request.get("messages")
    overhead = _PER_MESSAGE * len(messages) + _REPLY_START if isinstance(messages, list) else 0
    tokens = _raw_tokens(measure("\n".join(texts.found).encode(errors="replace")))
    return _bounded(tokens, calibration=calibration, overhead=overhead, partial=texts.media)


class _Texts:
    """The texts in a JSON value, at any depth."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.media = False

    def collect(self, value: Any, *, keys_too: bool) -> None:
        waiting = [value]
        while waiting:
            value = waiting.pop()
            if isinstance(value, str):
                self.found.append(value)
            elif isinstance(value, list):
                waiting.extend(value)
            elif isinstance(value, Mapping):
                if keys_too:
                    self.found.extend(map(str, value))
                waiting.extend(self._texts_of(value))

    def _texts_of(self, value: Mapping[str, Any]) -> Iterable[Any]:
        for name, member in value.items():
            if name in _MEDIA and member:
                self.media = True
            elif name not in _NOT_TEXT:
                yield member


def _raw_tokens(text: TextMeasure) -> int:
    thousandths = (
        text.words * _WORD
        + text.letters * _LETTER
        + text.digits * _DIGIT
        + text.symbols * _SYMBOL
        + text.spaces * _SPACE
        + text.newlines * _NEWLINE
        + text.cjk * _CJK
        + text.other * _OTHER
    )
    return max(round(thousandths / 1000), 1 if text.characters else 0)


def _bounded(tokens: int, *, calibration: Calibration, overhead: int = 0, partial: bool = False) -> Estimate:
    likely = tokens * calibration.ratio
    spread = 3 * calibration.error
    return Estimate(
        tokens=round(likely) + overhead,
        low=int(likely * max(0.0, 1 - spread)) + overhead,
        high=int(likely * (1 + spread)) + 1 + overhead if tokens else overhead,
        partial=partial,
    )
