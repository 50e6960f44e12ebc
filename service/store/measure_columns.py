"""The names of what is measured, which columns of several tables share. Pure constants."""

from service.store.histogram import DURATION_BINS, TTFT_BINS

USAGE_SOURCES = ("provider", "partial", "estimated", "none")
COST_STATUSES = ("priced", "partial", "assumed", "provider", "unpriced", "free")
TOKEN_COLUMNS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "audio_input_tokens",
    "image_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
    "audio_output_tokens",
    "image_output_tokens",
)
REPORTED_CLASSES = ("cache_read_input_tokens", "cache_write_input_tokens", "reasoning_output_tokens")

# What a rollup has: sums are NULL where no record reported anything, bytes and counts are not.
ROLLUP_SUMS = (*TOKEN_COLUMNS, "cost_nanos", "provider_cost_nanos", "duration_micros", "ttft_micros")
ROLLUP_BYTES = ("bytes_in", "bytes_out")
ROLLUP_COUNTS = (
    "requests",
    "attempts",
    "streams",
    *(f"{name}_reported" for name in REPORTED_CLASSES),
    *(f"cost_{status}" for status in COST_STATUSES),
    *(f"usage_{source}" for source in USAGE_SOURCES),
    "duration_count",
    "ttft_count",
)
ROLLUP_BINS = (*DURATION_BINS, *TTFT_BINS)
ROLLUP_MEASURES = (*ROLLUP_SUMS, *ROLLUP_BYTES, *ROLLUP_COUNTS, *ROLLUP_BINS)

DERIVED_COUNTS = ("errors", "refused", "disconnects", "metered", "unpriced", "uncovered")
"""Counts that follow from the outcome and the upstream; stored where a rollup has neither."""
DIMENSION_MEASURES = (*ROLLUP_SUMS, *ROLLUP_BYTES, *ROLLUP_COUNTS, *DERIVED_COUNTS)
"""What the rollups by end user and by tag have: no histograms."""
