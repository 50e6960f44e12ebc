"""Our books of one provider as a comparison needs them: by model, meter and quarter of an hour, with their reasons.

Read from the records, because the rollups know neither the model that answered nor the lines of a cost. A record
that was rated again counts with the lines of its latest rating.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, func, select, type_coerce
from sqlalchemy.types import BigInteger

from service.pricing.providers import canonical_provider
from service.reporting.intervals import QUARTER, Span
from service.reporting.provider_report import ALL_MODELS, COUNT_METERS, REQUESTS, TOTAL
from service.store.engine import Store
from service.store.spans import started_within
from service.store.tables import ledger_entry, request_record
from service.store.types import MICROSECOND, to_micros

PAGE_ROWS = 2_000
QUARTER_MICROS = QUARTER // MICROSECOND
_MERGED = {"reasoning_output": "output"}
"""Providers bill reasoning as output, in one line."""
_COUNTS = tuple(sorted(set(COUNT_METERS.values()) - {REQUESTS}))
_COLUMNS = (
    "provider", "outcome", "usage_source", "usage_low", "usage_high", "cost_nanos", "cost_status", "cost_lines",
    *_COUNTS,
)  # fmt: skip

# What explains a difference, counted like a meter.
UNPRICED = "#unpriced"
UNPRICED_TOKENS = "#unpriced_tokens"
PARTIAL = "#partial"
ESTIMATED = "#estimated"
ESTIMATED_RANGE = "#estimated_range"
BILLED_BY_PROVIDER = "#provider"
NO_USAGE = "#no_usage"
LINES = "#lines"


class Books:
    """Quantities and nano-USD by model and meter. ALL_MODELS stands for the sum of all models."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], dict[int, list[int]]] = {}
        self._series: dict[tuple[str, str], _Series] = {}

    def add(self, model: str, meter: str, *, micros: int, quantity: int, nanos: int = 0) -> None:
        """Count something at an instant."""
        self._series.clear()
        for name in {model, ALL_MODELS}:
            quarters = self._sums.setdefault((name, meter), {})
            sums = quarters.setdefault(micros // QUARTER_MICROS, [0, 0])
            sums[0] += quantity
            sums[1] += nanos

    def total(
        self, model: str, meter: str, spans: Sequence[Span], *, later_micros: int = 0
    ) -> tuple[int, int]:
        """Quantity and nano-USD within *spans*, all of them moved by *later_micros*."""
        series = self._series.get((model, meter))
        if series is None:
            series = self._series[model, meter] = _Series(self._sums.get((model, meter), {}))
        sums = [series.within(span, later_micros=later_micros) for span in spans]
        return sum(quantity for quantity, _ in sums), sum(nanos for _, nanos in sums)

    @property
    def models(self) -> set[str]:
        """Every model that there is anything of."""
        return {model for model, _meter in self._sums if model != ALL_MODELS}


class _Series:
    """Running sums over the quarters of one model and meter."""

    def __init__(self, quarters: Mapping[int, list[int]]) -> None:
        self._at = sorted(quarters)
        self._quantities = [0, *accumulate(quarters[at][0] for at in self._at)]
        self._nanos = [0, *accumulate(quarters[at][1] for at in self._at)]

    def within(self, span: Span, *, later_micros: int) -> tuple[int, int]:
        first, last = (
            bisect_left(self._at, (to_micros(instant) + later_micros) // QUARTER_MICROS)
            for instant in (span.since, span.until)
        )
        return self._quantities[last] - self._quantities[first], self._nanos[last] - self._nanos[first]


def read_books(
    store: Store,
    span: Span,
    *,
    provider: str,
    upstream: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Books:
    """Our books of *provider* in *span*, of one *upstream* or of all; *progress* is told seconds done and in all."""
    books = Books()
    wanted = canonical_provider(provider)
    statement = _records(span, upstream)
    page = statement
    while True:
        with store.read() as tx:
            rows = tx.execute(page).mappings().all()
            entries = _entries(tx, [row["id"] for row in rows])
        for row in rows:
            if canonical_provider(row["provider"]) == wanted:
                _add(books, dict(row), entries.get(row["id"], ()))
        if not rows:
            return books
        if progress is not None:
            done = (rows[-1]["micros"] - to_micros(span.since)) // 1_000_000
            progress(done, int((span.until - span.since).total_seconds()))
        page = statement.where(request_record.c.id > rows[-1]["id"])


def _records(span: Span, upstream: str | None) -> Select[Any]:
    record = request_record.c
    model = func.lower(
        func.coalesce(record.response_model, record.upstream_model, record.requested_model, "")
    )
    statement = (
        select(
            record.id,
            type_coerce(record.started_at, BigInteger).label("micros"),
            model.label("model"),
            *(record[name] for name in _COLUMNS),
        )
        .where(started_within(span.since, span.until), record.upstream.is_not(None))
        .order_by(record.id)
        .limit(PAGE_ROWS)
    )
    return statement if upstream is None else statement.where(record.upstream == upstream)


def _entries(tx: Connection, ids: Sequence[UUID]) -> dict[UUID, list[Any]]:
    entry = ledger_entry.c
    statement = select(entry.record_id, entry.delta_nanos, entry.cost_status_after, entry.lines)
    found: dict[UUID, list[Any]] = {}
    for row in tx.execute(statement.where(entry.record_id.in_(ids)).order_by(entry.rating_version)):
        found.setdefault(row.record_id, []).append(row)
    return found


def _add(books: Books, row: Mapping[str, Any], entries: Sequence[Any]) -> None:
    model, micros = row["model"], row["micros"]
    cost, status, lines = row["cost_nanos"], row["cost_status"], row["cost_lines"]
    if entries:
        cost = (cost or 0) + sum(entry.delta_nanos for entry in entries)
        status, lines = entries[-1].cost_status_after, entries[-1].lines or lines
    for name in _COUNTS:
        books.add(model, name, micros=micros, quantity=row[name] or 0)
    used = row["usage_source"] != "none"
    books.add(model, REQUESTS, micros=micros, quantity=int(used))
    books.add(model, TOTAL, micros=micros, quantity=0, nanos=cost or 0)
    for line in lines or ():
        meter = str(line.get("meter"))
        quantity, nanos = int(line.get("quantity", 0)), int(line["cost_nanos"])
        books.add(model, _MERGED.get(meter, meter), micros=micros, quantity=quantity, nanos=nanos)
    tokens = (row["input_tokens"] or 0) + (row["output_tokens"] or 0)
    facts = {
        LINES: len(lines or ()),
        UNPRICED: status == "unpriced" and used,
        UNPRICED_TOKENS: tokens if status == "unpriced" else 0,
        PARTIAL: status == "partial",
        ESTIMATED: row["usage_source"] == "estimated",
        ESTIMATED_RANGE: (row["usage_high"] or 0) - (row["usage_low"] or 0),
        BILLED_BY_PROVIDER: status == "provider",
        NO_USAGE: not used,
    }
    for name, count in facts.items():
        if count:
            books.add(model, name, micros=micros, quantity=int(count))
