"""The wire form of an answer: one JSON body, or the frames of an event stream. Pure.

Member order and presence follow the OpenAI API: every chunk carries `usage: null` only if the caller asked
for usage, the role comes first, then the pieces of all choices in turn, then one finish chunk per choice.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from service.simulator.answers import Answer, Choice

FrameKind = Literal["role", "piece", "finish", "usage", "done"]
UsageForm = Literal["none", "final", "null", "last_chunk", "every_chunk"]
Json = dict[str, Any]

AUDIO_TTL_S = 3600
_AUDIO_SLICE = 4096


class Frame(msgspec.Struct, frozen=True):
    """One event of a stream: its `data:` payload; *tokens* is what the model took time for.

    Choices are generated side by side, so only the first one's pieces take time.
    """

    kind: FrameKind
    payload: bytes
    tokens: int = 0


def body(answer: Answer) -> Json:
    """A `chat.completion` object."""
    return {
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": [
            {
                "index": choice.index,
                "message": _message(choice, answer=answer),
                "logprobs": None,
                "finish_reason": choice.finish_reason,
            }
            for choice in answer.choices
        ],
        "usage": answer.usage,
        "service_tier": answer.service_tier,
        "system_fingerprint": answer.fingerprint,
    }


def frames(answer: Answer, *, usage: UsageForm) -> Iterator[Frame]:
    """The events that stream *answer*, `[DONE]` included."""
    chunks = _Chunks(answer, usage=usage)
    for choice in answer.choices:
        yield Frame("role", chunks.of_choice(choice.index, _opening(choice)))
    queues = [list(_deltas(choice, answer=answer)) for choice in answer.choices]
    for position in range(max(map(len, queues))):
        for choice, queue in zip(answer.choices, queues, strict=True):
            if position < len(queue):
                chunk = chunks.of_choice(choice.index, queue[position], said=position + 1)
                yield Frame("piece", chunk, tokens=int(choice is answer.choices[0]))
    for choice, queue in zip(answer.choices, queues, strict=True):
        is_last = choice is answer.choices[-1]
        yield Frame("finish", chunks.finish(choice, said=len(queue), is_last=is_last))
    if usage in ("final", "null", "every_chunk"):
        yield Frame("usage", chunks.write([], usage=None if usage == "null" else answer.usage))
    yield Frame("done", b"[DONE]")


class _Chunks:
    """Writes the chunks of one stream."""

    def __init__(self, answer: Answer, *, usage: UsageForm) -> None:
        self._answer = answer
        self._usage = usage

    def of_choice(self, index: int, delta: Json, *, said: int = 0) -> bytes:
        """A chunk that adds *delta* to choice *index*, after *said* tokens of it."""
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
        return self.write([choice], usage=self._so_far(said))

    def finish(self, choice: Choice, *, said: int, is_last: bool) -> bytes:
        """The chunk that ends *choice*."""
        ended = {
            "index": choice.index,
            "delta": {},
            "logprobs": None,
            "finish_reason": choice.finish_reason,
        }
        carries_usage = self._usage == "last_chunk" and is_last
        return self.write([ended], usage=self._answer.usage if carries_usage else self._so_far(said))

    def write(self, choices: list[Json], *, usage: Any) -> bytes:
        """Any `chat.completion.chunk`."""
        written: Json = {
            "id": self._answer.id,
            "object": "chat.completion.chunk",
            "created": self._answer.created,
            "model": self._answer.model,
            "service_tier": self._answer.service_tier,
            "system_fingerprint": self._answer.fingerprint,
            "choices": choices,
        }
        if usage is not None or self._usage in ("final", "null"):
            written["usage"] = usage
        return msgspec.json.encode(written)

    def _so_far(self, said: int) -> Json | None:
        if self._usage != "every_chunk":
            return None
        prompt = self._answer.usage["prompt_tokens"]
        return {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}


def _message(choice: Choice, *, answer: Answer) -> Json:
    silent = bool(choice.tool_calls or choice.speech)
    message: Json = {
        "role": "assistant",
        "content": None if silent else "".join(choice.text),
        "refusal": None,
        "annotations": [],
    }
    if choice.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": "".join(call.arguments)},
            }
            for call in choice.tool_calls
        ]
    if choice.speech:
        message["audio"] = {
            "id": choice.speech.id,
            "data": choice.speech.data,
            "expires_at": answer.created + AUDIO_TTL_S,
            "transcript": "".join(choice.text),
        }
    return message


def _opening(choice: Choice) -> Json:
    if choice.speech:
        return {
            "role": "assistant",
            "content": None,
            "audio": {"id": choice.speech.id, "transcript": ""},
            "refusal": None,
        }
    return {"role": "assistant", "content": None if choice.tool_calls else "", "refusal": None}


def _deltas(choice: Choice, *, answer: Answer) -> Iterator[Json]:
    for index, call in enumerate(choice.tool_calls):
        function = {"name": call.name, "arguments": ""}
        yield {"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": function}]}
        for piece in call.arguments:
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
    for piece in choice.text:
        yield {"audio": {"transcript": piece}} if choice.speech else {"content": piece}
    if choice.speech:
        for start in range(0, len(choice.speech.data), _AUDIO_SLICE):
            yield {"audio": {"data": choice.speech.data[start : start + _AUDIO_SLICE]}}
        yield {"audio": {"expires_at": answer.created + AUDIO_TTL_S}}
