"""The six headline figures, as arguments of `st.metric`. Pure.

Spend, requests and tokens are compared per elapsed time, shares and latencies as they are. What a figure is exactly,
and what it covers, stands in its help.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from dashboard import formats
from dashboard.periods import Period
from service.pricing.money import NANOS_PER_USD
from service.reporting.figures import Measures
from service.reporting.usage import UsageReport

NEW = "new"
"""In place of a change where there was nothing before."""
Value = Callable[[Measures], float | None]


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: what it is, how it is written, what it says about itself, how a change of it is judged."""

    label: str
    of: Value
    write: Callable[[Measures], str]
    explain: Callable[[Measures], str]
    compared: Literal["per time", "as points", "in percent"]
    color: Literal["normal", "inverse", "blue"]


def all_tokens(measures: Measures) -> int | None:
    """Input and output; None where neither was reported."""
    if measures.input_tokens is None and measures.output_tokens is None:
        return None
    return (measures.input_tokens or 0) + (measures.output_tokens or 0)


HEADLINES = (
    Headline(
        label="Spend",
        of=lambda row: None if row.cost_nanos is None else row.cost_nanos / NANOS_PER_USD,
        write=lambda row: formats.short_usd(row.cost_nanos).replace("$", "\\$"),
        explain=lambda row: f"Exactly {formats.usd(row.cost_nanos)}.".replace("$", "\\$"),
        compared="per time",
        color="blue",
    ),
    Headline(
        label="Requests",
        of=lambda row: row.requests,
        write=lambda row: formats.count(row.requests),
        explain=lambda row: (
            f"{formats.count(row.attempts)} attempts for {formats.count(row.requests)} requests; "
            f"{formats.count(row.refused_requests)} were refused, the client left "
            f"{formats.count(row.disconnected_requests)}."
        ),
        compared="per time",
        color="blue",
    ),
    Headline(
        label="Tokens",
        of=all_tokens,
        write=lambda row: formats.compact(all_tokens(row)),
        explain=lambda row: (
            f"{formats.count(row.input_tokens)} in, of these "
            f"{formats.count(row.cache_read_input_tokens)} from a cache; "
            f"{formats.count(row.output_tokens)} out, of these {formats.count(row.reasoning_output_tokens)} reasoning."
        ),
        compared="per time",
        color="blue",
    ),
    Headline(
        label="Error rate",
        of=lambda row: row.error_rate,
        write=lambda row: formats.percent(row.error_rate),
        explain=lambda row: f"{formats.count(row.errors)} of {formats.count(row.requests)} requests failed.",
        compared="as points",
        color="inverse",
    ),
    Headline(
        label="p95 latency",
        of=lambda row: row.p95_duration_ms,
        write=lambda row: formats.duration(row.p95_duration_ms),
        explain=lambda row: (
            f"19 of 20 requests took less, half of them less than {formats.duration(row.p50_duration_ms)}; "
            f"first token p95 {formats.duration(row.p95_ttft_ms)}."
        ),
        compared="in percent",
        color="inverse",
    ),
    Headline(
        label="Coverage",
        of=lambda row: row.coverage,
        write=lambda row: formats.percent(row.coverage),
        explain=lambda row: (
            "Share of the forwarded attempts whose price is known; "
            f"{formats.count(row.unpriced_requests)} have none and count as nothing. "
            f"The provider reported the usage of {formats.count(row.usage_source['provider'])}; "
            f"that of {formats.count(row.estimated_requests)} is estimated."
        ),
        compared="as points",
        color="normal",
    ),
)


def metrics(report: UsageReport, *, before: Measures | None, chosen: Period) -> list[dict[str, Any]]:
    """The arguments of `st.metric` for each figure; without changes where *before* is None."""
    return [
        {
            "label": one.label,
            "value": one.write(report.total),
            **_delta(one, _change(one, report.total, before=before, chosen=chosen)),
            "chart_data": [one.of(row.measures) or 0 for row in report.rows],
            "chart_type": "area",
            "help": f"{one.explain(report.total)} {_comparison(before, chosen)}",
        }
        for one in HEADLINES
    ]


def _delta(one: Headline, change: str | None) -> dict[str, Any]:
    """How a change is shown: an arrow and a judgement, or neither where nothing changed."""
    if change == NEW:
        return {"delta": change, "delta_color": "blue", "delta_arrow": "off"}
    if change is not None and change.startswith(formats.NO_CHANGE):
        return {"delta": change, "delta_color": "off", "delta_arrow": "off"}
    return {"delta": change, "delta_color": one.color, "delta_arrow": "auto"}


def _change(one: Headline, total: Measures, *, before: Measures | None, chosen: Period) -> str | None:
    now, past = one.of(total), None if before is None else one.of(before)
    if now is not None and past is None:
        return NEW
    if one.compared == "as points":
        return formats.points(now, past)
    if one.compared == "per time" and now is not None:
        now /= chosen.elapsed / chosen.before_elapsed
    return formats.change(now, past)


def _comparison(before: Measures | None, chosen: Period) -> str:
    if before is None:
        return "The books do not go back far enough for a comparison."
    return f"Compared with {chosen.compared_with}; amounts and counts per elapsed time."
