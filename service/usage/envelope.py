"""The members of a completion, a chunk or an error that are read; their values stay bytes. Pure.

Decoding into structs of raw values costs a third of decoding everything, and keeps a usage object exactly as received.
"""

import msgspec

from service.usage.fields import GARBAGE

_NO = msgspec.Raw(b"")


class Choice(msgspec.Struct, gc=False):
    """The members of a choice that are read."""

    index: msgspec.Raw = _NO
    finish_reason: msgspec.Raw = _NO
    usage: msgspec.Raw = _NO
    error: msgspec.Raw = _NO


class Envelope(msgspec.Struct, gc=False):
    """The members of a completion, a chunk or an error that are read; values undecoded."""

    id: msgspec.Raw = _NO
    object: msgspec.Raw = _NO
    model: msgspec.Raw = _NO
    service_tier: msgspec.Raw = _NO
    choices: msgspec.Raw = _NO
    usage: msgspec.Raw = _NO
    x_groq: msgspec.Raw = _NO
    timings: msgspec.Raw = _NO
    error: msgspec.Raw = _NO
    type: msgspec.Raw = _NO
    code: msgspec.Raw = _NO
    error_type: msgspec.Raw = _NO


class XGroq(msgspec.Struct, gc=False):
    """Groq's own object on a chunk."""

    usage: msgspec.Raw = _NO
    error: msgspec.Raw = _NO


_envelopes = msgspec.json.Decoder(Envelope)
_choices = msgspec.json.Decoder(list[Choice])
_x_groq = msgspec.json.Decoder(XGroq)
_items = msgspec.json.Decoder(list[msgspec.Raw])


def envelope_of(data: bytes) -> Envelope | None:
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
