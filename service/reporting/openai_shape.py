"""Usage reports in the shape of OpenAI's organization usage and costs API, so that existing tools read them. Pure.

Source: openai-openapi, `UsageResponse`, `UsageCompletionsResult` and `CostsResult`. `page` tokens belong to the
endpoint that pages over buckets. Where nothing was reported their schema wants 0, and that is what it gets: the
tools that read this cannot read null.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from service.reporting.figures import Measures
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
    return _page(
        [
            _bucket(rows, [_completion(row) for row in rows if row.measures.attempts])
            for rows in _by_time(report)
        ],
        next_page,
    )


def costs(report: UsageReport, *, next_page: str | None = None) -> dict[str, Any]:
    """`GET /v1/organization/costs`, from a report grouped by values of `COSTS_DIMENSIONS`."""
    return _page(
        [
            _bucket(rows, [_cost(row) for row in rows if row.measures.cost_nanos is not None])
            for rows in _by_time(report)
        ],
        next_page,
    )


def _page(buckets: list[dict[str, Any]], next_page: str | None) -> dict[str, Any]:
    return {"object": "page", "data": buckets, "has_more": next_page is not None, "next_page": next_page}


def _by_time(report: UsageReport) -> Iterator[list[UsageRow]]:
    for _, rows in groupby(report.rows, key=lambda row: row.start):
        yield list(rows)


def _bucket(rows: Sequence[UsageRow], results: list[dict[str, Any]]) -> dict[str, Any]:
    start, end = (to_micros(instant) // _MICROS_PER_S for instant in (rows[0].start, rows[0].end))
    return {"object": "bucket", "start_time": start, "end_time": end, "results": results}


def _completion(row: UsageRow) -> dict[str, Any]:
    measures: Measures = row.measures
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": measures.input_tokens or 0,
        "output_tokens": measures.output_tokens or 0,
        "input_cached_tokens": measures.cache_read_input_tokens or 0,
        "input_audio_tokens": measures.audio_input_tokens or 0,
        "output_audio_tokens": measures.audio_output_tokens or 0,
        "num_model_requests": measures.requests,
        "project_id": row.dimensions.get("project"),
        "user_id": row.dimensions.get("end_user"),
        "api_key_id": row.dimensions.get("key_id"),
        "model": row.dimensions.get("model"),
        "batch": None,
        "service_tier": row.dimensions.get("service_tier"),
    }


def _cost(row: UsageRow) -> dict[str, Any]:
    return {
        "object": "organization.costs.result",
        "amount": {"value": row.measures.cost_usd, "currency": "usd"},
        "line_item": row.dimensions.get("model"),
        "project_id": row.dimensions.get("project"),
        "api_key_id": row.dimensions.get("key_id"),
    }
