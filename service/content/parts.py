"""Request and answer as they are kept: readable, redacted, bounded. Pure.

What crossed the relay is read into JSON where it is JSON (an event stream becomes the answer that it was), redacted,
and written again. What is longer than may be kept is cut before it is redacted, so that the work is bounded, and once
more after it, where masks and escapes have made it longer.
"""

import re
from collections import Counter
from typing import Any

import msgspec

from service.content.reassembly import reassembled
from service.content.redact import CUT, Redactor
from service.content.shorten import mended, without_media
from service.usage.encoding import ContentDecoder, is_identity
from service.usage.fields import GARBAGE

READ_FACTOR = 16
"""So many times what may be kept is read of an answer: an event stream is mostly frame, an image one long string."""
_ESCAPED = re.compile(r"\\u(?![dD][89a-fA-F])([0-9a-fA-F]{4})")
"""A character in a piece of JSON that is no document; no half of a pair."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes as they crossed the relay. *is_whole* is False where more of them were not kept, or never came."""

    data: bytes
    size: int
    is_whole: bool = True
    is_stream: bool = False
    encoding: str | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A request or an answer as it is kept.

    *text* is JSON where *is_json*, *size* its length before all this in bytes, *events* of a stream, *redacted* what
    was found, by kind. *is_whole* is False where something is missing: it was too long, or broke off.
    """

    text: str
    is_json: bool
    is_whole: bool
    size: int
    events: int | None = None
    redacted: dict[str, int] = {}


class Content(msgspec.Struct, frozen=True):
    """A request and its answer; *answer* is None where there was none."""

    request: Part
    answer: Part | None


def part_of(taken: Taken, *, redactor: Redactor, max_bytes: int) -> Part:
    """The part that *taken* says, at most about *max_bytes* long."""
    data, is_whole = taken.data, taken.is_whole
    if not is_identity(taken.encoding):
        data, all_of_it = _decoded(taken, max_bytes=max_bytes)
        is_whole = is_whole and all_of_it
    events = None
    counts: Counter[str] = Counter()
    ends = is_whole
    if taken.is_stream:
        answer, events = reassembled(data, is_whole=is_whole)
        data, ends = _json(answer).encode(), True
    data = without_media(data)
    if len(data) > max_bytes:
        data, ends, is_whole = data[:max_bytes], False, False
    text = _redacted_json(data, redactor, counts, ends=ends)
    is_json = text is not None
    if text is None:
        plain = _ESCAPED.sub(_unescaped, data.decode("utf-8", "replace"))
        text = redactor.text(plain if is_whole else plain + CUT, counts)
    short = _bounded(text, is_json=is_json, max_bytes=max_bytes)
    return Part(
        text=short or text.encode()[:max_bytes].decode("utf-8", "ignore"),
        is_json=is_json and bool(short),
        is_whole=is_whole and short == text,
        size=taken.size,
        events=events,
        redacted=dict(counts),
    )


def _bounded(text: str, *, is_json: bool, max_bytes: int) -> str:
    """Redacted text that is not too long; "" where a JSON document cannot be shortened."""
    encoded = text.encode()
    if len(encoded) <= max_bytes:
        return text
    cut = encoded[:max_bytes].decode("utf-8", "ignore")
    return mended(cut, mark="") if is_json else cut


def _redacted_json(data: bytes, redactor: Redactor, counts: Counter[str], *, ends: bool) -> str | None:
    """None where it is no JSON. A document that has lost its end gets another."""
    try:
        value = msgspec.json.decode(data if ends else mended(data.decode("utf-8", "ignore")))
        return _json(redactor.value(value, counts))
    except GARBAGE:
        return None


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _decoded(taken: Taken, *, max_bytes: int) -> tuple[bytes, bool]:
    """What a compressed answer says, as far as it may be read, and whether that is all; nothing where we cannot."""
    decoder = ContentDecoder(taken.encoding)
    parts: list[bytes] = []
    size = 0
    for piece in decoder.decode(taken.data):
        parts.append(piece)
        size += len(piece)
        if size > max_bytes * READ_FACTOR:
            return b"".join(parts), False
    return b"".join(parts), decoder.readable
