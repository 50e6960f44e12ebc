"""One attempt's record: the facts known when it opens, and the facts known when it has ended. Pure.

The field names are the columns of `request_record`, in its order. None means "not reported". Instants are UTC
microseconds since 1970, durations milliseconds, amounts nano-USD. `id` is a UUIDv7 whose time is `started_at`.

`Opening` is what the journal keeps as INTENT; `RequestRecord` is what it keeps as COMPLETION, whole, so that a
completion can be stored even where its intent is gone.
"""

from typing import Any, Literal

import msgspec

from service.budgets.charges import Charge
from service.usage.tokens import UsageSource

Outcome = Literal[
    "ok",
    "client_disconnect",
    "upstream_error",
    "midstream_error",
    "truncated",
    "timeout",
    "rejected_auth",
    "rejected_request",
    "rejected_rate_limit",
    "rejected_budget",
    "rejected_unavailable",
    "interrupted",
]
CostStatus = Literal["priced", "partial", "assumed", "provider", "unpriced", "free"]

TEXT_LIMIT = 512
TAG_LIMIT = 32
MICROS_PER_MS = 1_000

_SHORTENED = "shortened"
_SHORT_LISTS = 8
_SHORT_TEXT = 128


class Opening(msgspec.Struct, array_like=True):
    """What is known before an upstream is called."""

    id: bytes
    request_id: bytes
    attempt: int
    started_at: int
    client_address: str | None = None
    user_agent: str | None = None
    key_id: str | None = None
    key_name: str | None = None
    project: str | None = None
    end_user: str | None = None
    session: str | None = None
    tags: tuple[str, ...] | None = None
    upstream: str | None = None
    provider: str | None = None
    requested_model: str | None = None
    upstream_model: str | None = None
    stream: bool | None = None
    bytes_in: int | None = None
    estimate_nanos: int | None = None
    price_id: str | None = None
    charges: tuple[Charge, ...] | None = None
    """The budgets that the cost is charged to; journal only."""
    traceparent: str | None = None
    """The caller's trace (W3C Trace Context); journal only."""


NOT_STORED = frozenset({"charges", "traceparent"})
"""Fields that are no columns."""


class RequestRecord(Opening, array_like=True):
    """What is known when the attempt has ended, whatever ended it."""

    final: bool = True
    repeat_count: int = 1
    outcome: Outcome = "ok"
    http_status: int | None = None
    error_type: str | None = None
    error_code: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    upstream_request_id: str | None = None
    finish_reasons: tuple[str, ...] | None = None
    ttft_ms: float | None = None
    duration_ms: float | None = None
    overhead_ms: float | None = None
    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    audio_input_tokens: int | None = None
    image_input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_output_tokens: int | None = None
    usage_source: UsageSource = "none"
    usage_low: int | None = None
    usage_high: int | None = None
    usage_flags: tuple[str, ...] | None = None
    usage_raw: str | None = None
    cost_nanos: int | None = None
    cost_status: CostStatus = "unpriced"
    provider_cost_nanos: int | None = None
    cost_lines: tuple[dict[str, Any], ...] | None = None
    service_tier: str | None = None
    bytes_out: int | None = None
    chunks: int | None = None


class Intent(msgspec.Struct, array_like=True):
    """The journal's INTENT: the opening, and what a recovery needs to estimate the usage of a crashed attempt."""

    opening: Opening
    prompt_tokens: int | None = None
    prompt_low: int | None = None
    prompt_high: int | None = None


class Progress(msgspec.Struct, array_like=True):
    """The journal's PROGRESS of a running stream: how far it had come."""

    id: bytes
    http_status: int
    bytes_out: int
    chunks: int
    ttft_ms: float | None
    input_tokens: int | None
    output_tokens: int
    output_low: int
    output_high: int


class Repeat(msgspec.Struct, array_like=True):
    """The journal's REPEAT: a coalesced refusal has now happened *count* times."""

    id: bytes
    count: int


def begin_record(opening: Opening) -> RequestRecord:
    """The record of an attempt, with only its opening filled in."""
    return RequestRecord(*msgspec.structs.astuple(opening))


def may_repeat(record: RequestRecord) -> bool:
    """Whether the record counts refusals that are coalesced, so that its `repeat_count` may still grow."""
    return record.outcome == "rejected_unavailable" or (
        record.outcome == "rejected_auth" and record.key_id is None
    )


def shorten(record: RequestRecord) -> None:
    """Cut what a client or an upstream wrote into *record* until it fits in a few KiB; counts and costs stay.

    Records of honest traffic are never that long. The flag `shortened` says that it happened.
    """
    record.usage_raw = None
    record.usage_flags = (*(record.usage_flags or ()), _SHORTENED)
    for name in ("finish_reasons", "tags"):
        texts = getattr(record, name)
        if texts is not None:
            setattr(record, name, tuple(clip(text, _SHORT_TEXT) for text in texts[:_SHORT_LISTS]))
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, str):
            setattr(record, name, clip(value, _SHORT_TEXT))


def uuid7(micros: int, random: bytes) -> bytes:
    """A UUIDv7 (RFC 9562, 5.7) for an instant; the 12 bits after the version hold the part below a millisecond.

    Args:
        micros: UTC microseconds since 1970.
        random: at least 8 random bytes.
    """
    millis, rest = divmod(micros, MICROS_PER_MS)
    fraction = (rest << 12) // MICROS_PER_MS
    tail = (int.from_bytes(random[:8], "big") & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000
    return (millis << 80 | 0x7000 << 64 | fraction << 64 | tail).to_bytes(16, "big")


def uuid_text(identifier: bytes) -> str:
    """The canonical text of a 16-byte identifier."""
    digits = identifier.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def clip(text: str | None, limit: int = TEXT_LIMIT) -> str | None:
    """A client's text as the store can hold it: no NUL, no lone surrogate, at most *limit* characters."""
    if text is None:
        return None
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if "\x00" in text:
        text = text.replace("\x00", "�")
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text
