"""What is measured, as SQL: the same names from the rollups and from the records.

Requests and errors count final attempts, everything else counts all attempts. An error is an answer that we or
the upstream failed to give whole; a refusal is what the relay denied on purpose; a client that leaves is neither.
`ledger.folding` folds the same measures in Python.
"""

from functools import cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, FromClause, Integer, Table, case, func, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from service.store.histogram import EDGES_MS
from service.store.measure_columns import (
    COST_STATUSES,
    REPORTED_CLASSES,
    ROLLUP_BINS,
    ROLLUP_BYTES,
    ROLLUP_COUNTS,
    ROLLUP_SUMS,
    TOKEN_COLUMNS,
    USAGE_SOURCES,
)
from service.store.tables import request_record

ERRORS = ("upstream_error", "midstream_error", "truncated", "timeout", "interrupted", "rejected_unavailable")
REFUSALS = ("rejected_auth", "rejected_request", "rejected_rate_limit", "rejected_budget")
STORED = (*ROLLUP_SUMS, *ROLLUP_BYTES, *ROLLUP_COUNTS)
DERIVED = ("errors", "refused", "disconnects", "metered", "unpriced", "uncovered")
MEASURES = (*STORED, *DERIVED)


class MicrosOf(GenericFunction[int]):
    """Whole microseconds of a duration in milliseconds, rounded half up; `ledger.folding` rounds the same way."""

    name = "micros_of"
    type = BigInteger()
    inherit_cache = True


@compiles(MicrosOf)
def _micros_on_sqlite(element: MicrosOf, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} * 1000 + 0.5 AS INTEGER)"


@compiles(MicrosOf, "postgresql")
def _micros_on_postgresql(element: MicrosOf, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(floor({compiler.process(element.clauses, **options)} * 1000 + 0.5) AS BIGINT)"


@cache
def of_rollup(rollup: Table) -> tuple[ColumnElement[Any], ...]:
    """`MEASURES` from rows of a rollup."""
    columns = rollup.c
    requests, attempts = columns.requests, columns.attempts
    metered = columns.upstream != ""
    return (
        *(_total(columns[name], name) for name in STORED),
        _total(case((columns.outcome.in_(ERRORS), requests), else_=0), "errors"),
        _total(case((columns.outcome.in_(REFUSALS), requests), else_=0), "refused"),
        _total(case((columns.outcome == "client_disconnect", requests), else_=0), "disconnects"),
        _total(case((metered, attempts), else_=0), "metered"),
        _total(case((metered, columns.cost_unpriced), else_=0), "unpriced"),
        _total(case((metered, columns.cost_unpriced + columns.cost_partial), else_=0), "uncovered"),
    )


@cache
def bins_of_rollup(rollup: Table) -> tuple[ColumnElement[Any], ...]:
    """The latency histograms from rows of a rollup."""
    return tuple(_total(rollup.c[name], name) for name in ROLLUP_BINS)


def of_records(changes: FromClause) -> list[ColumnElement[Any]]:
    """`MEASURES` from records, outer-joined to their *changes* (see `queries.changes`)."""
    record = request_record.c
    weight = record.repeat_count
    requests = case((record.final, weight), else_=0)
    metered = record.upstream.is_not(None)
    status = func.coalesce(changes.c.cost_status, record.cost_status)
    cost = func.coalesce(record.cost_nanos + changes.c.delta_nanos, record.cost_nanos, changes.c.delta_nanos)
    latent = record.final & metered
    sums: dict[str, Any] = {name: record[name] for name in TOKEN_COLUMNS}
    sums |= {
        "cost_nanos": cost,
        "provider_cost_nanos": record.provider_cost_nanos,
        "duration_micros": case((latent, MicrosOf(record.duration_ms))),
        "ttft_micros": case((latent, MicrosOf(record.ttft_ms))),
        "bytes_in": func.coalesce(record.bytes_in, 0),
        "bytes_out": func.coalesce(record.bytes_out, 0),
        "requests": requests,
        "attempts": weight,
        "streams": case((record.stream, requests), else_=0),
        "errors": case((record.outcome.in_(ERRORS), requests), else_=0),
        "refused": case((record.outcome.in_(REFUSALS), requests), else_=0),
        "disconnects": case((record.outcome == "client_disconnect", requests), else_=0),
        "metered": case((metered, weight), else_=0),
        "unpriced": case((metered & (status == "unpriced"), weight), else_=0),
        "uncovered": case((metered & status.in_(("unpriced", "partial")), weight), else_=0),
        "duration_count": case((latent & record.duration_ms.is_not(None), 1), else_=0),
        "ttft_count": case((latent & record.ttft_ms.is_not(None), 1), else_=0),
    }
    sums |= {f"{name}_reported": case((record[name].is_not(None), 1), else_=0) for name in REPORTED_CLASSES}
    sums |= {f"cost_{name}": case((status == name, weight), else_=0) for name in COST_STATUSES}
    sums |= {f"usage_{name}": case((record.usage_source == name, weight), else_=0) for name in USAGE_SOURCES}
    return [_total(sums[name], name) for name in MEASURES]


def bin_of(milliseconds: ColumnElement[Any]) -> ColumnElement[int]:
    """The number of the histogram bin that holds a latency."""
    steps: list[tuple[ColumnElement[bool], ColumnElement[Any]]] = [
        (milliseconds < literal_column(str(edge)), literal_column(str(index)))
        for index, edge in enumerate(EDGES_MS)
    ]
    return case(*steps, else_=literal_column(str(len(EDGES_MS)), Integer))


def _total(expression: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    return func.sum(expression).label(name)
