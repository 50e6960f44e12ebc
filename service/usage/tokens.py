"""Token counts as facts. Pure.

Totals include their parts: `input_tokens` includes cached, `output_tokens` includes reasoning.
None means "not reported"; an explicit 0 is a value. `None` is never turned into 0 here.
"""

from typing import Literal

import msgspec

UsageSource = Literal["provider", "partial", "estimated", "none"]


class TokenUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts of one attempt, by class."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    audio_input_tokens: int | None = None
    image_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_output_tokens: int | None = None
