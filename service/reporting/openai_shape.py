"""Usage reports in the shape of OpenAI's organization usage and costs API, so that existing tools read them. Pure.

Source: openai-openapi, `UsageResponse`, `UsageCompletionsResult` and `CostsResult`. `page` tokens belong to the
endpoint that pages over buckets. Where nothing was reported, input and output tokens are 0 because their schema
knows no null there; everything else is null. Every bucket is there, also one without results.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from service.pricing.money import format_usd
from service.reporting.figures import Measures
from service.reporting.intervals import Span, buckets, time_zone
from service.reporting.usage import UsageReport, UsageRow
from service.store.types import to_micros

COMPLETIONS_DIMENSIONS: Mapping[str, str] = {
    "project_id": "project",
    "user_id": "end_user",
    "api_key_id": "key",
    "model": "model",
    "service_tier": "service_tier",
}
"""Their `group_by` values and our dimensions."""
COSTS_DIMENSIONS: Mapping[str, str] = {"project_id": "project", "line_item": "model", "api_key_id": "key"}

_MICROS_PER_S = 1_000_000


def completions(report: UsageReport, *, next_page: str | None = None) -> dict[str, Any]:
    """`GET /v1/organization/usage/completions`, from a report grouped by values of `COMPLETIONS_DIMENSIONS`."""
    found = [
        _bucket(span, [_completion(row) for row in rows if row.measures.attempts])
        for span, rows in _by_time(report)
    ]
    return _page(found, next_page)


def costs(report: UsageReport, *, next_page: str | None = None) -> dict[str, Any]:
    """`GET /v1/organization/costs`, from a report grouped by values of `COSTS_DIMENSIONS`."""
    found = [
        _bucket(
            span, [_cost(row, nanos=nanos) for row in rows if (nanos := row.measures.cost_nanos) is not None]
        )
        for span, rows in _by_time(report)
    ]
    return _page(found, next_page)


def _page(buckets: list[dict[str, Any]], next_page: str | None) -> dict[str, Any]:
    return {"object": "page", "data": buckets, "has_more": next_page is not None, "next_page": next_page}


def _by_time(report: UsageReport) -> Iterator[tuple[Span, list[UsageRow]]]:
    whole = Span(report.since, report.until)
    spans = [whole]
    if report.interval is not None:
        spans = buckets(whole, interval=report.interval, zone=time_zone(report.timezone))
    for span in spans:
        yield span, [row for row in report.rows if row.start == span.since]


def _bucket(span: Span, results: list[dict[str, Any]]) -> dict[str, Any]:
    start, end = (to_micros(instant) // _MICROS_PER_S for instant in (span.since, span.until))
    return {"object": "bucket", "start_time": start, "end_time": end, "results": results}


def _completion(row: UsageRow) -> dict[str, Any]:
    measures: Measures = row.measures
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": measures.input_tokens or 0,
        "output_tokens": measures.output_tokens or 0,
        "input_cached_tokens": measures.cache_read_input_tokens,
        "input_cache_write_tokens": measures.cache_write_input_tokens,
        "input_audio_tokens": measures.audio_input_tokens,
        "output_audio_tokens": measures.audio_output_tokens,
        "num_model_requests": measures.requests,
        "project_id": row.dimensions.get("project"),
        "user_id": row.dimensions.get("end_user"),
        "api_key_id": row.dimensions.get("key_id"),
        "model": row.dimensions.get("model"),
        "batch": None,
        "service_tier": row.dimensions.get("service_tier"),
    }


def _cost(row: UsageRow, *, nanos: int) -> dict[str, Any]:
    # a JSON number with the exact digits, which a float would not keep
    return {
        "object": "organization.costs.result",
        "amount": {"value": msgspec.Raw(format_usd(nanos).encode()), "currency": "usd"},
        "line_item": row.dimensions.get("model"),
        "project_id": row.dimensions.get("project"),
        "api_key_id": row.dimensions.get("key_id"),
    }
