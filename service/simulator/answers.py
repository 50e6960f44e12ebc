"""What the simulated model answers, and what it says it used. Pure: the random source decides, so a seed repeats.

Hints a caller can put into the last user message:
- `Repeat: …` is answered with the rest of the message, letter for letter;
- `… 250 words …` sets the length;
- naming a function of `tools` (or a word of its name) makes `tool_choice: "auto"` call it.
A Chinese question gets a Chinese answer. After a tool's result the model answers in words.
"""

import base64
import re
import string
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import msgspec

from service.simulator.models import ModelCard
from service.simulator.request import ChatRequest, last_text
from service.simulator.schema_values import value_for
from service.simulator.sentences import CHINESE_SENTENCES, OPENINGS, SENTENCES
from service.simulator.tokens import PromptTokens, pieces

_REPEAT = re.compile(r"\s*repeat:\s?(.*)", re.IGNORECASE | re.DOTALL)
_LENGTH = re.compile(r"(\d{1,5})[ -](?:words?|tokens?)", re.IGNORECASE)
_CJK = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_REASONING_BLOCKS = {"low": (1, 3), "medium": (2, 8), "high": (8, 32)}
_REASONING_BLOCK_TOKENS = 64
_AUDIO_TOKENS_PER_PIECE = 2
_AUDIO_BYTES_PER_TOKEN = 32


class ToolCall(msgspec.Struct, frozen=True):
    """One function the model wants called; the pieces join to its JSON arguments."""

    id: str
    name: str
    arguments: tuple[str, ...]


class Speech(msgspec.Struct, frozen=True):
    """A spoken answer; its transcript is the choice's text."""

    id: str
    data: str  # base64
    tokens: int


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the n answers; one piece is one token."""

    index: int
    text: tuple[str, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    speech: Speech | None = None
    reasoning_tokens: int = 0
    finish_reason: str

    @property
    def tokens(self) -> int:
        """All tokens this choice used, hidden ones included."""
        called = sum(len(call.arguments) + len(pieces(call.name)) + 1 for call in self.tool_calls)
        spoken = self.speech.tokens if self.speech else 0
        return len(self.text) + called + spoken + self.reasoning_tokens


class PromptUse(msgspec.Struct, frozen=True, kw_only=True):
    """What the prompt cost: its tokens and the parts the prompt cache took or gave."""

    tokens: PromptTokens
    cached: int = 0
    written: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a response says, before it has a wire form."""

    id: str
    created: int  # Unix seconds
    model: str
    fingerprint: str
    service_tier: str
    choices: tuple[Choice, ...]
    usage: Mapping[str, Any]


def generate(request: ChatRequest, *, card: ModelCard, rng: Random) -> tuple[Choice, ...]:
    """The n choices that answer *request*."""
    return tuple(_choice(index, request=request, card=card, rng=rng) for index in range(request.n))


def usage_of(choices: tuple[Choice, ...], *, prompt: PromptUse, card: ModelCard) -> dict[str, Any]:
    """The `usage` object of an answer: totals over all choices."""
    completion = sum(choice.tokens for choice in choices)
    prompt_details = {"cached_tokens": prompt.cached, "audio_tokens": prompt.tokens.audio}
    if card.writes_cache:
        prompt_details["cache_write_tokens"] = prompt.written
    return {
        "prompt_tokens": prompt.tokens.total,
        "completion_tokens": completion,
        "total_tokens": prompt.tokens.total + completion,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {
            "reasoning_tokens": sum(choice.reasoning_tokens for choice in choices),
            "audio_tokens": sum(choice.speech.tokens for choice in choices if choice.speech),
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _choice(index: int, *, request: ChatRequest, card: ModelCard, rng: Random) -> Choice:
    budget = request.max_tokens
    reasoning = _reasoning(request, rng=rng) if card.reasons else 0
    if budget is not None:
        reasoning = min(reasoning, budget)
        budget -= reasoning
    calls = _tool_calls(request, rng=rng)
    if calls:
        return _calling(index, request=request, calls=calls, reasoning=reasoning, budget=budget)
    text = _cut_at_stop(_text(request, rng=rng), stops=request.stops)
    said = pieces(text)
    cut_short = budget is not None and len(said) > budget
    said = said[:budget]
    return Choice(
        index=index,
        text=said,
        speech=_speech(len(said), rng=rng) if request.audio else None,
        reasoning_tokens=reasoning,
        finish_reason="length" if cut_short else "stop",
    )


def _calling(
    index: int, *, request: ChatRequest, calls: tuple[ToolCall, ...], reasoning: int, budget: int | None
) -> Choice:
    """A choice that calls tools. OpenAI answers `stop` when the caller named the function itself."""
    left = budget
    kept: list[ToolCall] = []
    for call in calls:
        arguments = call.arguments if left is None else call.arguments[: max(0, left)]
        kept.append(ToolCall(call.id, call.name, arguments))
        left = left if left is None else left - len(call.arguments)
    reason = "tool_calls" if request.tool_choice in ("auto", "required") else "stop"
    if left is not None and left < 0:
        reason = "length"
    return Choice(
        index=index, text=(), tool_calls=tuple(kept), reasoning_tokens=reasoning, finish_reason=reason
    )


def _reasoning(request: ChatRequest, *, rng: Random) -> int:
    fewest, most = _REASONING_BLOCKS[request.reasoning_effort]
    return _REASONING_BLOCK_TOKENS * rng.randint(fewest, most)


def _tool_calls(request: ChatRequest, *, rng: Random) -> tuple[ToolCall, ...]:
    names = tuple(_called(request))
    if not request.parallel_tool_calls:
        names = names[:1]
    return tuple(
        ToolCall(
            "call_" + _identifier(rng, 24),
            name,
            pieces(msgspec.json.encode(value_for(request.tools[name], rng=rng)).decode()),
        )
        for name in names
    )


def _called(request: ChatRequest) -> Iterator[str]:
    """Names of the functions to call."""
    if request.tool_choice == "none":
        return
    asked = last_text(request.messages).lower()
    hinted = [name for name in request.tools if _hints_at(name, asked=asked)]
    if request.tool_choice in request.tools:
        yield request.tool_choice
    elif request.tool_choice == "required":
        yield from hinted or list(request.tools)[:1]
    elif request.messages[-1]["role"] != "tool":
        yield from hinted


def _hints_at(name: str, *, asked: str) -> bool:
    words = [word for word in re.split(r"[^a-z]+", name.lower()) if len(word) > 3]  # noqa: PLR2004  skip "get", "of"
    return name.lower() in asked or any(word in asked for word in words)


def _text(request: ChatRequest, *, rng: Random) -> str:
    asked = last_text(request.messages)
    if request.answers_json:
        schema = request.json_schema or {"type": "object", "properties": _PLAIN_JSON}
        return msgspec.json.encode(value_for(schema, rng=rng)).decode()
    repeat = _REPEAT.match(asked)
    if repeat:
        return repeat[1]
    length = _LENGTH.search(asked)
    if _CJK.search(asked):
        return "".join(_sentences(CHINESE_SENTENCES, words=int(length[1]) if length else 60, rng=rng))
    wanted = int(length[1]) if length else min(300, max(15, round(rng.lognormvariate(4.0, 0.6))))
    return " ".join([rng.choice(OPENINGS), *_sentences(SENTENCES, words=wanted, rng=rng)])


_PLAIN_JSON = {
    "answer": {"type": "string"},
    "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    "sources": {"type": "array", "items": {"type": "string"}},
}


def _sentences(choices: tuple[str, ...], *, words: int, rng: Random) -> Iterator[str]:
    """Sentences until there are about *words* words (characters, in Chinese)."""
    said = 0
    while said < words:
        sentence = rng.choice(choices)
        said += len(sentence.split()) if sentence.isascii() else len(sentence)
        yield sentence


def _cut_at_stop(text: str, *, stops: tuple[str, ...]) -> str:
    found = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return text[: min(found)] if found else text


def _speech(spoken: int, *, rng: Random) -> Speech:
    tokens = spoken * _AUDIO_TOKENS_PER_PIECE
    sound = base64.b64encode(rng.randbytes(tokens * _AUDIO_BYTES_PER_TOKEN)).decode()
    return Speech("audio_" + _identifier(rng, 24), sound, tokens)


def _identifier(rng: Random, length: int) -> str:
    return "".join(rng.choices(string.ascii_letters + string.digits, k=length))
