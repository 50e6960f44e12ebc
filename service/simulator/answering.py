"""Puts one answer together: identity, choices, usage, with what the prompt cache remembers.

With a `seed` the same request gets the same words and counts; ids and times are always new.
"""

import hashlib
from collections.abc import Callable
from random import Random

import msgspec

from service.simulator.answers import Answer, PromptUse, generate, usage_of
from service.simulator.models import ModelCard
from service.simulator.prompt_cache import BLOCK_TOKENS, MINIMUM_TOKENS, PromptCache
from service.simulator.request import ChatRequest
from service.simulator.tokens import count_prompt

_ENCODER = msgspec.json.Encoder(order="sorted")


class AnswerSource:
    """Answers requests; *now* gives Unix seconds, *unique* a new random hexadecimal string each time."""

    def __init__(self, *, now: Callable[[], float], unique: Callable[[], str]) -> None:
        self._now = now
        self._unique = unique
        self._cache = PromptCache()

    def answer(self, request: ChatRequest, *, card: ModelCard, account: str) -> Answer:
        """The answer of *card* to *request*; prompts are cached by *account*."""
        prompt = _ENCODER.encode([request.tools, request.messages])
        choices = generate(request, card=card, rng=Random(self._seed(request, prompt=prompt)))
        used = self._prompt_use(request, prompt=prompt, owner=f"{account}\0{card.id}")
        return Answer(
            id=f"chatcmpl-{self._unique()[:29]}",
            created=int(self._now()),
            model=card.snapshot,
            fingerprint="fp_" + _digest(card.snapshot.encode())[:10],
            service_tier=request.service_tier,
            choices=choices,
            usage=usage_of(choices, prompt=used, card=card),
        )

    def _seed(self, request: ChatRequest, *, prompt: bytes) -> str:
        if request.seed is None:
            return self._unique()
        return f"{request.seed}/{request.model}/{_digest(prompt)}"

    def _prompt_use(self, request: ChatRequest, *, prompt: bytes, owner: str) -> PromptUse:
        tokens = count_prompt(request.messages, tools=request.tools)
        seen = self._cache.look_up(prompt, owner=owner)
        cached = min(seen, tokens.total // BLOCK_TOKENS * BLOCK_TOKENS)
        written = tokens.total - cached if tokens.total >= MINIMUM_TOKENS else 0
        return PromptUse(tokens=tokens, cached=cached, written=written)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
