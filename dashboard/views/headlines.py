"""The eight headline figures, as arguments of `st.metric`. Pure.

Spend, requests, tokens and savings are compared per elapsed time, shares and latencies as they are. What a figure is
exactly, and what it covers, stands in its help.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from dashboard import formats
from dashboard.periods import Period
from service.pricing.money import NANOS_PER_USD
from service.reporting.figures import Measures
from service.reporting.savings import Savings

NEW = "new"
"""In place of a change where there was nothing before."""
ESTIMATED = "Percentiles are read from a histogram: usually within a few percent, at most 26 % off."


class Facts(msgspec.Struct, frozen=True):
    """What the figures of one range or bucket are made of."""

    measures: Measures
    savings: Savings


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: what it is, how it is written, what it says about itself, how a change of it is judged."""

    label: str
    of: Callable[[Facts], float | None]
    write: Callable[[Facts], str]
    explain: Callable[[Facts], str]
    compared: Literal["per time", "as points", "in percent"]
    color: Literal["normal", "inverse", "blue"]


def all_tokens(measures: Measures) -> int | None:
    """Input and output; None where neither was reported."""
    if measures.input_tokens is None and measures.output_tokens is None:
        return None
    return (measures.input_tokens or 0) + (measures.output_tokens or 0)


def _spend(found: Facts) -> str:
    return formats.escaped(formats.spend(found.measures, short=True))


def _explain_spend(found: Facts) -> str:
    row = found.measures
    if formats.is_unpriced(row):
        return "No price is known for any of it."
    return formats.escaped(f"Exactly {formats.usd(row.cost_nanos)}.")


def _explain_requests(found: Facts) -> str:
    row = found.measures
    return (
        f"{formats.count(row.attempts)} attempts for {formats.count(row.requests)} requests; "
        f"{formats.count(row.refused_requests)} were refused, the client left "
        f"{formats.count(row.disconnected_requests)}."
    )


def _explain_tokens(found: Facts) -> str:
    row = found.measures
    return (
        f"{formats.count(row.input_tokens)} in, of these {formats.count(row.cache_read_input_tokens)} from a cache; "
        f"{formats.count(row.output_tokens)} out, of these {formats.count(row.reasoning_output_tokens)} reasoning."
    )


def _explain_errors(found: Facts) -> str:
    row = found.measures
    return f"{formats.count(row.errors)} of {formats.count(row.requests)} requests failed."


def _explain_latency(found: Facts) -> str:
    row = found.measures
    return (
        f"19 of 20 requests took less, half of them less than {formats.duration(row.p50_duration_ms)}; "
        f"mean {formats.duration(row.duration_ms)}. {ESTIMATED}"
    )


def _explain_ttft(found: Facts) -> str:
    row = found.measures
    return (
        "Until the first token of a stream: 19 of 20 streams were faster, half of them faster than "
        f"{formats.duration(row.p50_ttft_ms)}. {ESTIMATED}"
    )


def _explain_savings(found: Facts) -> str:
    saved = found.savings
    text = (
        f"What {formats.count(saved.read_tokens)} input tokens from the providers' caches would have cost more at the "
        "full input price, less what writing them there cost more; an estimate at the prices in force."
    )
    if saved.unpriced_tokens:
        text += f" {formats.count(saved.unpriced_tokens)} of them have no such prices and are left out."
    return text


def _explain_coverage(found: Facts) -> str:
    row = found.measures
    return (
        "Share of the forwarded attempts whose price is known; "
        f"{formats.count(row.unpriced_requests)} have none and count as nothing. "
        f"The provider reported the usage of {formats.count(row.usage_source['provider'])}; "
        f"that of {formats.count(row.estimated_requests)} is estimated."
    )


HEADLINES = (
    Headline(
        label="Spend",
        of=lambda found: _usd(found.measures.cost_nanos),
        write=_spend,
        explain=_explain_spend,
        compared="per time",
        color="blue",
    ),
    Headline(
        label="Requests",
        of=lambda found: found.measures.requests,
        write=lambda found: formats.count(found.measures.requests),
        explain=_explain_requests,
        compared="per time",
        color="blue",
    ),
    Headline(
        label="Tokens",
        of=lambda found: all_tokens(found.measures),
        write=lambda found: formats.compact(all_tokens(found.measures)),
        explain=_explain_tokens,
        compared="per time",
        color="blue",
    ),
    Headline(
        label="Cache savings",
        of=lambda found: _usd(found.savings.net_nanos),
        write=lambda found: formats.escaped(formats.short_usd(found.savings.net_nanos)),
        explain=_explain_savings,
        compared="per time",
        color="blue",
    ),
    Headline(
        label="Error rate",
        of=lambda found: found.measures.error_rate,
        write=lambda found: formats.percent(found.measures.error_rate),
        explain=_explain_errors,
        compared="as points",
        color="inverse",
    ),
    Headline(
        label="p95 latency",
        of=lambda found: found.measures.p95_duration_ms,
        write=lambda found: formats.duration(found.measures.p95_duration_ms),
        explain=_explain_latency,
        compared="in percent",
        color="inverse",
    ),
    Headline(
        label="p95 first token",
        of=lambda found: found.measures.p95_ttft_ms,
        write=lambda found: formats.duration(found.measures.p95_ttft_ms),
        explain=_explain_ttft,
        compared="in percent",
        color="inverse",
    ),
    Headline(
        label="Coverage",
        of=lambda found: found.measures.coverage,
        write=lambda found: formats.percent(found.measures.coverage),
        explain=_explain_coverage,
        compared="as points",
        color="normal",
    ),
)


def metrics(
    total: Facts, *, buckets: Sequence[Facts], before: Facts | None, chosen: Period
) -> list[dict[str, Any]]:
    """The arguments of `st.metric` for each figure; without changes where *before* is None."""
    return [
        {
            "label": one.label,
            "value": one.write(total),
            **_delta(one, _change(one, total, before=before, chosen=chosen)),
            "chart_data": _small_chart(one, buckets),
            "chart_type": "area",
            "help": f"{one.explain(total)} {_comparison(before, chosen)}",
        }
        for one in HEADLINES
    ]


def _small_chart(one: Headline, buckets: Sequence[Facts]) -> list[float]:
    """What the buckets have; amounts and counts are nothing where nothing was, shares and times are not known there."""
    values = [one.of(bucket) for bucket in buckets]
    if one.compared == "per time":
        return [value or 0 for value in values]
    return [value for value in values if value is not None]


def _delta(one: Headline, change: str | None) -> dict[str, Any]:
    """How a change is shown: an arrow and a judgement, or neither where nothing changed."""
    if change == NEW:
        return {"delta": change, "delta_color": "blue", "delta_arrow": "off"}
    if change is not None and change.startswith(formats.NO_CHANGE):
        return {"delta": change, "delta_color": "off", "delta_arrow": "off"}
    return {"delta": change, "delta_color": one.color, "delta_arrow": "auto"}


def _change(one: Headline, total: Facts, *, before: Facts | None, chosen: Period) -> str | None:
    now, past = one.of(total), None if before is None else one.of(before)
    if now is not None and past is None:
        return NEW
    if one.compared == "as points":
        return formats.points(now, past)
    if one.compared == "per time" and now is not None:
        now /= chosen.elapsed / chosen.before_elapsed
    return formats.change(now, past)


def _comparison(before: Facts | None, chosen: Period) -> str:
    if before is None:
        return "The books do not go back far enough for a comparison."
    return f"Compared with {chosen.compared_with}; amounts and counts per elapsed time."


def _usd(nanos: int | None) -> float | None:
    return None if nanos is None else nanos / NANOS_PER_USD
