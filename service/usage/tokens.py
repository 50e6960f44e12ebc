"""Token counts as facts. Pure.

Totals include their parts: `input_tokens` includes cached, `output_tokens` includes reasoning.
None means "not reported"; an explicit 0 is a value. `None` is never turned into 0 here.
A part is never greater than its total: `normalise` clamps and says so in the flags.
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
    cache_write_1h_input_tokens: int | None = None
    """Part of `cache_write_input_tokens` kept for an hour; the rest has the provider's default life."""
    audio_input_tokens: int | None = None
    cache_read_audio_input_tokens: int | None = None
    """In both `audio_input_tokens` and `cache_read_input_tokens`."""
    image_input_tokens: int | None = None
    video_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_output_tokens: int | None = None
    citation_tokens: int | None = None
    """Perplexity: text of the cited pages, billed apart from input and output."""
    web_searches: int | None = None
    """Searches the provider ran and bills by number."""
