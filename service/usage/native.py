"""Answers in their provider's own form, read as if they were chat completions. Pure.

Some upstreams answer chat requests in the form of Anthropic's Messages or of Gemini's generateContent. What such an
object says is put into the members of an `Envelope` that a completion has. A Messages stream says its input in
`message_start` and all of its output in `message_delta`, whose counts are cumulative: `joined_usage` is both.
Gemini's counts are cumulative too. Its JSON leaves zeros out; thoughts and tool prompts stand beside the candidates
and the prompt, the cached part lies within the prompt.

Sources: docs.anthropic.com/en/docs/build-with-claude/streaming (event types; "usage … cumulative");
ai.google.dev/api/generate-content#UsageMetadata.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from service.usage.dialects import Dialect
from service.usage.envelope import NOTHING, Choice, Envelope, envelope_of
from service.usage.fields import GARBAGE, is_null, text_of, value_of

GEMINI = Dialect(name="gemini-native", reasoning="excluded", hidden_output=True)
"""How the counts of `as_openai_usage` are to be read."""
_ONE_CHOICE = msgspec.Raw(b'[{"index":0}]')
_COUNTS: Mapping[Any, str] = {"AUDIO": "audio_tokens", "IMAGE": "image_tokens", "VIDEO": "video_tokens"}


class _Candidate(msgspec.Struct, gc=False):
    index: msgspec.Raw = NOTHING
    finish_reason: msgspec.Raw = msgspec.field(default=NOTHING, name="finishReason")


class _Delta(msgspec.Struct, gc=False):
    stop_reason: msgspec.Raw = NOTHING


class _Feedback(msgspec.Struct, gc=False):
    block_reason: msgspec.Raw = msgspec.field(default=NOTHING, name="blockReason")


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_candidates = msgspec.json.Decoder(list[_Candidate])
_delta = msgspec.json.Decoder(_Delta)
_feedback = msgspec.json.Decoder(_Feedback)
_encode = msgspec.json.Encoder().encode


def in_chat_form(envelope: Envelope) -> Envelope:
    """What *envelope* says, if it is of one of these forms; else *envelope* itself."""
    if envelope.usage_metadata is not NOTHING or envelope.candidates is not NOTHING:
        return _of_gemini(envelope)
    if envelope.type is NOTHING:
        return envelope
    match text_of(envelope.type):
        case "message_start":
            return _of_message(envelope_of(envelope.message) or Envelope(), choices=_ONE_CHOICE)
        case "message":
            return _of_message(envelope, choices=_finished(envelope.stop_reason))
        case "message_delta":
            delta = _decoded(_delta, envelope.delta) or _Delta()
            return Envelope(usage=envelope.usage, choices=_finished(delta.stop_reason))
        case _:
            return envelope


def opens(envelope: Envelope) -> bool:
    """*envelope*, as it came, begins a Messages stream: its usage has the input only."""
    return not is_null(envelope.message) and text_of(envelope.type) == "message_start"


def ends(envelope: Envelope) -> bool:
    """*envelope*, as it came, is the last of a Messages stream."""
    return envelope.type is not NOTHING and text_of(envelope.type) == "message_stop"


def joined_usage(start: bytes, later: bytes) -> bytes:
    """The usage of a `message_start` with what a later one says in its place."""
    first, last = _decoded(_members, start), _decoded(_members, later)
    if first is None or last is None:
        return later
    return _encode({**first, **{name: value for name, value in last.items() if not is_null(value)}})


def is_gemini_usage(usage: Mapping[str, Any]) -> bool:
    """*usage* is a `usageMetadata`."""
    return "promptTokenCount" in usage or "totalTokenCount" in usage


def as_openai_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """The counts of a `usageMetadata` under the names of a chat completion, to be read as `GEMINI`."""
    prompt = {
        "cached_tokens": usage.get("cachedContentTokenCount"),
        **_by_modality(usage.get("promptTokensDetails"), usage.get("toolUsePromptTokensDetails")),
        "cached_tokens_details": _by_modality(usage.get("cacheTokensDetails")),
    }
    return {
        "prompt_tokens": _sum(usage.get("promptTokenCount", 0), usage.get("toolUsePromptTokenCount")),
        "completion_tokens": usage.get("candidatesTokenCount", 0),
        "total_tokens": usage.get("totalTokenCount"),
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": usage.get("thoughtsTokenCount"),
            **_by_modality(usage.get("candidatesTokensDetails")),
        },
    }


def _of_message(message: Envelope, *, choices: msgspec.Raw) -> Envelope:
    usage = value_of(message.usage)
    tier = usage.get("service_tier") if isinstance(usage, dict) else None
    return Envelope(
        id=message.id,
        model=message.model,
        service_tier=msgspec.Raw(_encode(tier)) if isinstance(tier, str) else NOTHING,
        usage=message.usage,
        choices=choices,
    )


def _of_gemini(envelope: Envelope) -> Envelope:
    candidates: list[_Candidate] = _decoded(_candidates, envelope.candidates) or []
    choices = [Choice(index=one.index, finish_reason=one.finish_reason) for one in candidates]
    blocked = (_decoded(_feedback, envelope.prompt_feedback) or _Feedback()).block_reason
    if not choices and not is_null(blocked):
        choices = [Choice(finish_reason=blocked)]
    return Envelope(
        id=envelope.response_id,
        model=envelope.model_version,
        usage=envelope.usage_metadata,
        choices=_choices(choices),
        error=envelope.error,
    )


def _finished(reason: msgspec.Raw) -> msgspec.Raw:
    return _choices([Choice(finish_reason=reason)])


def _choices(choices: list[Choice]) -> msgspec.Raw:
    """As a completion writes them."""
    members = (
        {
            name: value
            for name, value in (("index", one.index), ("finish_reason", one.finish_reason))
            if not is_null(value)
        }
        for one in choices
    )
    return msgspec.Raw(_encode(list(members)))


def _decoded(decoder: Any, raw: bytes | msgspec.Raw) -> Any:
    try:
        return decoder.decode(raw)
    except GARBAGE:
        return None


def _by_modality(*details: Any) -> dict[str, Any]:
    """Token counts of media from lists of `{"modality", "tokenCount"}`; what is no such list says nothing."""
    counts: dict[str, Any] = {}
    for one in details:
        for part in one if isinstance(one, list) else ():
            name = _COUNTS.get(part.get("modality")) if isinstance(part, dict) else None
            if name is not None:
                counts[name] = _sum(counts.get(name), part.get("tokenCount"))
    return counts


def _sum(one: Any, more: Any) -> Any:
    """The sum of two counts, where both are; what is no whole number is left for the reader to refuse."""
    if one is None or more is None:
        return one if more is None else more
    if type(one) is int and type(more) is int:
        return one + more
    return more if type(one) is int else one
