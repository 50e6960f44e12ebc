"""The caller's place in its trace, as the header `traceparent` says it (W3C Trace Context, level 1). Pure.

A request without one begins a trace of its own, whose id is the request id: what the client was told finds the trace.
Sampling follows the caller where it decided, else the share of 56 random bits of that id, so that every attempt of a
request, on whichever relay, is judged alike.
"""

import re

import msgspec

from service.ledger.record import RequestRecord

LONGEST = 128
_FORMAT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_SAMPLED = 1
_RANDOM_BITS = 56


class Parent(msgspec.Struct, frozen=True):
    """The span under which a caller has called."""

    trace_id: int
    span_id: int
    sampled: bool


def parse(text: str | None) -> Parent | None:
    """The caller's span; None where the header is absent or not to be believed (section 3.2.2)."""
    found = None if text is None else _FORMAT.fullmatch(text)
    if found is None:
        return None
    version, trace, span, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or trace == _NO_TRACE or span == _NO_SPAN:
        return None
    return Parent(int(trace, 16), int(span, 16), bool(int(flags, 16) & _SAMPLED))


def of_headers(headers: list[tuple[bytes, bytes]]) -> str | None:
    """What is kept of the header until the record is finished: a single value that may be one, else nothing."""
    values = [value for name, value in headers if name == b"traceparent"]
    if len(values) != 1 or len(values[0]) > LONGEST:
        return None
    text = values[0].decode("latin-1")
    return text if _FORMAT.fullmatch(text) else None


def trace_id_of(record: RequestRecord) -> int:
    """The trace of a request that came without one."""
    return int.from_bytes(record.request_id, "big")


def span_id_of(record: RequestRecord) -> int:
    """The span of an attempt: the random half of its record's id, so the same record makes the same span again."""
    return int.from_bytes(record.id[8:], "big")


def is_sampled(record: RequestRecord, parent: Parent | None, *, ratio: float) -> bool:
    """Whether the attempt's span is exported."""
    if parent is not None:
        return parent.sampled and ratio > 0
    if ratio >= 1:
        return True
    chance = int.from_bytes(record.request_id[9:], "big")
    return chance < ratio * (1 << _RANDOM_BITS)
