"""What one answer said about itself. Pure."""

import msgspec

from service.usage.tokens import TokenUsage, UsageSource

LONGEST_RAW = 8 * 1024
"""Bytes of a usage object kept as received."""


class Metered(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer said about itself."""

    usage: TokenUsage | None
    usage_source: UsageSource
    """`provider`: for the whole answer; `partial`: up to where it was cut; `none`. Never `estimated`."""
    usage_raw: str | None
    """The usage object exactly as received; None above `LONGEST_RAW`, with the flag `raw_too_long`."""
    usage_flags: tuple[str, ...]
    """Sorted; `normalise`, `latest`, `meter` and `body` explain theirs. Here: `raw_too_long`."""
    provider_cost_nanos: int | None
    response_id: str | None
    response_model: str | None
    service_tier: str | None
    finish_reasons: tuple[str, ...]
    error_type: str | None
    error_code: str | None
    has_error: bool
    """The answer carries an error, whatever its HTTP status was."""
    terminal: bool
    """Stream: `[DONE]` or an error event was seen; body: a whole JSON object."""
    complete: bool
    """Terminal, or every choice has finished."""
