"""The members of a completion, a chunk or an error that are read; their values stay bytes. Pure.

Decoding into structs of raw values costs a third of decoding everything, and keeps a usage object exactly as received.
"""

import msgspec

from service.usage.fields import GARBAGE

NOTHING = msgspec.Raw(b"")
"""A member that is not there."""


class Choice(msgspec.Struct, gc=False):
    """The members of a choice that are read."""

    index: msgspec.Raw = NOTHING
    finish_reason: msgspec.Raw = NOTHING
    usage: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING


class Envelope(msgspec.Struct, gc=False):
    """The members of a completion, a chunk or an error that are read; values undecoded."""

    id: msgspec.Raw = NOTHING
    object: msgspec.Raw = NOTHING
    model: msgspec.Raw = NOTHING
    service_tier: msgspec.Raw = NOTHING
    choices: msgspec.Raw = NOTHING
    usage: msgspec.Raw = NOTHING
    x_groq: msgspec.Raw = NOTHING
    timings: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING
    type: msgspec.Raw = NOTHING
    code: msgspec.Raw = NOTHING
    error_type: msgspec.Raw = NOTHING
    # Members of other forms than a chat completion's; `native` reads them.
    message: msgspec.Raw = NOTHING
    delta: msgspec.Raw = NOTHING
    stop_reason: msgspec.Raw = NOTHING
    candidates: msgspec.Raw = NOTHING
    usage_metadata: msgspec.Raw = msgspec.field(default=NOTHING, name="usageMetadata")
    prompt_feedback: msgspec.Raw = msgspec.field(default=NOTHING, name="promptFeedback")
    model_version: msgspec.Raw = msgspec.field(default=NOTHING, name="modelVersion")
    response_id: msgspec.Raw = msgspec.field(default=NOTHING, name="responseId")


class XGroq(msgspec.Struct, gc=False):
    """Groq's own object on a chunk."""

    usage: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING


_envelopes = msgspec.json.Decoder(Envelope)
_choices = msgspec.json.Decoder(list[Choice])
_x_groq = msgspec.json.Decoder(XGroq)
_items = msgspec.json.Decoder(list[msgspec.Raw])


def envelope_of(data: bytes | msgspec.Raw) -> Envelope | None:
    """The object in *data*, or None if it is not a JSON object."""
    try:
        return _envelopes.decode(data)
    except GARBAGE:
        return None


def choices_of(raw: msgspec.Raw) -> list[Choice] | None:
    """The choices; None if they are missing or no array of objects."""
    try:
        return _choices.decode(raw)
    except GARBAGE:
        return None


def x_groq_of(raw: msgspec.Raw) -> XGroq | None:
    """Groq's own object; None if it is missing or no object."""
    try:
        return _x_groq.decode(raw)
    except GARBAGE:
        return None


def first_item(data: bytes) -> bytes | None:
    """The first item of an array; None if *data* is no array or an empty one."""
    try:
        items = _items.decode(data)
    except GARBAGE:
        return None
    return bytes(items[0]) if items else None
