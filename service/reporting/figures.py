"""From sums to the figures that people see: rates, means, percentiles and amounts in USD. Pure.

They are computed here, once, after everything has been summed. None means that nothing was reported, never zero.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Self

import msgspec

from service.pricing.money import format_usd
from service.reporting.measures import MEASURES
from service.reporting.percentiles import percentile_ms
from service.store.histogram import BINS
from service.store.measure_columns import COST_STATUSES, REPORTED_CLASSES, TOKEN_COLUMNS, USAGE_SOURCES

_LATENCIES = ("duration_ms", "ttft_ms")
_PERCENTILES = ((0.50, "p50"), (0.95, "p95"), (0.99, "p99"))
_PRICED = tuple(status for status in COST_STATUSES if status not in {"unpriced", "free"})


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """Sums, and what follows from them. `reporting.measures` says what counts.

    A cost is None where nothing had a price, also where refusals and failures cost 0. Percentiles are read from
    histograms: estimates within their bin, a few percent off as a rule.
    """

    requests: int
    attempts: int
    errors: int
    refused_requests: int
    disconnected_requests: int
    error_rate: float | None
    streams: int
    input_tokens: int | None
    cache_read_input_tokens: int | None
    cache_write_input_tokens: int | None
    audio_input_tokens: int | None
    image_input_tokens: int | None
    output_tokens: int | None
    reasoning_output_tokens: int | None
    audio_output_tokens: int | None
    image_output_tokens: int | None
    reported: dict[str, int]
    cost_nanos: int | None
    cost_usd: str | None
    provider_cost_nanos: int | None
    provider_cost_usd: str | None
    cost_status: dict[str, int]
    usage_source: dict[str, int]
    unpriced_requests: int
    estimated_requests: int
    coverage: float | None
    bytes_in: int
    bytes_out: int
    duration_ms: float | None
    ttft_ms: float | None
    p50_duration_ms: float | None
    p95_duration_ms: float | None
    p99_duration_ms: float | None
    p50_ttft_ms: float | None
    p95_ttft_ms: float | None
    p99_ttft_ms: float | None


class Sums:
    """Sums of one row or of many, with the histograms of the latencies that were counted."""

    def __init__(self) -> None:
        self.values: dict[str, int | None] = dict.fromkeys(MEASURES)
        self.bins: defaultdict[str, list[int]] = defaultdict(_no_counts)

    @classmethod
    def of(cls, values: Iterable[Any]) -> Self:
        """From the values of `MEASURES`, in their order."""
        sums = cls()
        sums.values = {
            name: None if value is None else int(value) for name, value in zip(MEASURES, values, strict=True)
        }
        return sums

    def add(self, other: "Sums") -> None:
        """Add another row to this one."""
        for name, value in other.values.items():
            if value is not None:
                self.values[name] = value + (self.values[name] or 0)
        for latency, counts in other.bins.items():
            mine = self.bins[latency]
            mine[:] = [one + more for one, more in zip(mine, counts, strict=True)]


def _no_counts() -> list[int]:
    return [0] * BINS


def figures(sums: Sums) -> Measures:
    """What follows from *sums*."""
    values = sums.values
    counts = {name: values[name] or 0 for name in values}
    cost, provider_cost = _known_cost(counts, values["cost_nanos"]), values["provider_cost_nanos"]
    tokens: dict[str, Any] = {name: values[name] for name in TOKEN_COLUMNS}
    percentiles: dict[str, Any] = {
        f"{label}_{latency}": percentile_ms(sums.bins[latency], q) if latency in sums.bins else None
        for latency in _LATENCIES
        for q, label in _PERCENTILES
    }
    return Measures(
        requests=counts["requests"],
        attempts=counts["attempts"],
        errors=counts["errors"],
        refused_requests=counts["refused"],
        disconnected_requests=counts["disconnects"],
        error_rate=_share(counts["errors"], counts["requests"]),
        streams=counts["streams"],
        **tokens,
        reported={name: counts[f"{name}_reported"] for name in REPORTED_CLASSES},
        cost_nanos=cost,
        cost_usd=None if cost is None else format_usd(cost),
        provider_cost_nanos=provider_cost,
        provider_cost_usd=None if provider_cost is None else format_usd(provider_cost),
        cost_status={status: counts[f"cost_{status}"] for status in COST_STATUSES},
        usage_source={source: counts[f"usage_{source}"] for source in USAGE_SOURCES},
        unpriced_requests=counts["unpriced"],
        estimated_requests=counts["usage_estimated"],
        coverage=_share(counts["metered"] - counts["uncovered"], counts["metered"]),
        bytes_in=counts["bytes_in"],
        bytes_out=counts["bytes_out"],
        duration_ms=_mean_ms(counts["duration_micros"], counts["duration_count"]),
        ttft_ms=_mean_ms(counts["ttft_micros"], counts["ttft_count"]),
        **percentiles,
    )


def _known_cost(counts: Mapping[str, int], cost_nanos: int | None) -> int | None:
    """None where nothing had a price: what was refused or failed costs 0, and that is not what the rest costs."""
    priced = sum(counts[f"cost_{status}"] for status in _PRICED)
    return None if counts["unpriced"] and not priced else cost_nanos


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean_ms(micros: int, count: int) -> float | None:
    return round(micros / count / 1000, 3) if count else None
