"""The six headline figures, as arguments of `st.metric`. Pure.

Spend, requests and tokens are compared per elapsed time, shares and latencies as they are. What a figure is exactly,
and what it covers, stands in its help.
"""

from collections.abc import Callable
from typing import Any

from dashboard import formats
from dashboard.periods import Period
from service.reporting.figures import Measures
from service.reporting.usage import UsageReport

_HIGHER_IS_BETTER, _LOWER_IS_BETTER, _NEITHER = "normal", "inverse", "blue"


def headlines(report: UsageReport, *, before: Measures, chosen: Period) -> list[dict[str, Any]]:
    """One after the other, as they stand on the page."""
    total = report.total
    versus = f"vs {chosen.compared_with}"

    def pace(now: float | None, past: float | None) -> str | None:
        if not past or now is None:
            return None
        return formats.change(
            now / chosen.elapsed.total_seconds(), past / chosen.before_elapsed.total_seconds()
        )

    def figure(
        label: str, value: str, delta: str | None, *, color: str, of: Callable[[Measures], float | None]
    ) -> dict[str, Any]:
        return {
            "label": label,
            "value": value,
            "delta": delta,
            "delta_color": color,
            "delta_description": None,
            "chart_data": [of(row.measures) or 0 for row in report.rows],
            "chart_type": "area",
            "help": f"{_EXPLAINED[label](total)} Change: {versus}.",
        }

    return [
        figure(
            "Spend",
            formats.short_usd(total.cost_nanos),
            pace(total.cost_nanos, before.cost_nanos),
            color=_NEITHER,
            of=lambda row: (row.cost_nanos or 0) / 1e9,
        ),
        figure(
            "Requests",
            formats.count(total.requests),
            pace(total.requests, before.requests),
            color=_NEITHER,
            of=lambda row: row.requests,
        ),
        figure(
            "Tokens",
            formats.compact(all_tokens(total)),
            pace(all_tokens(total), all_tokens(before)),
            color=_NEITHER,
            of=all_tokens,
        ),
        figure(
            "Error rate",
            formats.percent(total.error_rate),
            formats.points(total.error_rate, before.error_rate),
            color=_LOWER_IS_BETTER,
            of=lambda row: row.error_rate,
        ),
        figure(
            "p95 latency",
            formats.duration(total.p95_duration_ms),
            formats.change(total.p95_duration_ms, before.p95_duration_ms),
            color=_LOWER_IS_BETTER,
            of=lambda row: row.p95_duration_ms,
        ),
        figure(
            "Priced",
            formats.percent(total.coverage),
            formats.points(total.coverage, before.coverage),
            color=_HIGHER_IS_BETTER,
            of=lambda row: row.coverage,
        ),
    ]


def all_tokens(measures: Measures) -> int | None:
    """Input and output; None where neither was reported."""
    if measures.input_tokens is None and measures.output_tokens is None:
        return None
    return (measures.input_tokens or 0) + (measures.output_tokens or 0)


def _spend(total: Measures) -> str:
    return f"Exactly {formats.usd(total.cost_nanos)}.".replace("$", "\\$")


def _requests(total: Measures) -> str:
    return (
        f"{formats.count(total.attempts)} attempts for {formats.count(total.requests)} requests; "
        f"{formats.count(total.refused_requests)} refused, {formats.count(total.disconnected_requests)} left by the client."
    )


def _tokens(total: Measures) -> str:
    return (
        f"{formats.count(total.input_tokens)} in, of these {formats.count(total.cache_read_input_tokens)} read from a "
        f"cache; {formats.count(total.output_tokens)} out, of these {formats.count(total.reasoning_output_tokens)} "
        "for reasoning."
    )


def _errors(total: Measures) -> str:
    return f"{formats.count(total.errors)} of {formats.count(total.requests)} requests failed."


def _latency(total: Measures) -> str:
    return (
        f"19 of 20 requests took less, half of them less than {formats.duration(total.p50_duration_ms)}; "
        f"first token p95 {formats.duration(total.p95_ttft_ms)}."
    )


def _priced(total: Measures) -> str:
    return (
        f"Share of the forwarded attempts whose price is known; {formats.count(total.unpriced_requests)} have none. "
        f"Usage was reported by the provider for {formats.count(total.usage_source['provider'])}, "
        f"estimated for {formats.count(total.estimated_requests)}."
    )


_EXPLAINED: dict[str, Callable[[Measures], str]] = {
    "Spend": _spend,
    "Requests": _requests,
    "Tokens": _tokens,
    "Error rate": _errors,
    "p95 latency": _latency,
    "Priced": _priced,
}
