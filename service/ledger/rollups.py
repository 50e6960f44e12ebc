"""Rollups in the store: added to with every batch of records, rebuilt from the records on demand.

`record` runs in the transaction that inserts the records, for newly inserted ids only, so records and rollups
never disagree.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, FromClause, select, text, type_coerce
from sqlalchemy.types import BigInteger

from service.ledger import dimension_folding
from service.ledger.dimension_rollups import add_dimensions, replace_day
from service.ledger.folding import (
    CHANGE_FIELDS,
    DAY_MICROS,
    FOLD_FIELDS,
    HOUR_MICROS,
    B,
    Folded,
    Measures,
    coarser,
    fold,
    fold_changes,
    fold_rows,
    merge,
    without_keys,
)
from service.ledger.record import RequestRecord
from service.ledger.rollup_rows import Rows, add_rows
from service.reporting.by_value import SINCE
from service.reporting.snapshots import extent
from service.store.engine import Store
from service.store.measure_columns import ROLLUP_BINS, ROLLUP_MEASURES, ROLLUP_SUMS
from service.store.model_rollup_tables import (
    MODEL_ROLLUP_DIMENSIONS,
    model_rollup,
    model_rollup_day,
    model_rollup_hour,
)
from service.store.spans import started_within
from service.store.tables import (
    ROLLUP_DIMENSIONS,
    ledger_entry,
    request_record,
    store_fact,
    usage_rollup,
    usage_rollup_day,
    usage_rollup_hour,
)
from service.store.types import to_micros

__all__ = ["change", "fold", "rebuild", "record", "upsert"]

_TABLES = (usage_rollup, usage_rollup_hour, usage_rollup_day)
_MODEL_TABLES = (model_rollup, model_rollup_hour, model_rollup_day)
_KEYS = ("bucket", *ROLLUP_DIMENSIONS)
_OPTIONAL = frozenset((*ROLLUP_SUMS, *ROLLUP_BINS))
_TEXTS = frozenset(ROLLUP_DIMENSIONS)
_LEVELS = tuple(Rows(table.name, _KEYS, _TEXTS, ROLLUP_MEASURES, _OPTIONAL) for table in _TABLES)
_MODEL_LEVELS = tuple(
    Rows(
        table.name,
        ("bucket", *MODEL_ROLLUP_DIMENSIONS),
        frozenset(MODEL_ROLLUP_DIMENSIONS),
        ROLLUP_MEASURES,
        _OPTIONAL,
    )
    for table in _MODEL_TABLES
)
DAY = timedelta(days=1)
_FETCH_ROWS = 2_000


def record(tx: Connection, records: Sequence[RequestRecord]) -> None:
    """Add new records to all rollups."""
    upsert(tx, fold(records))
    add_dimensions(tx, dimension_folding.fold(records))


def change(tx: Connection, changes: Sequence[Mapping[str, Any]]) -> None:
    """Add to all rollups what ledger entries change: for each its fields and those of its record, by name."""
    upsert(tx, fold_changes([change[name] for name in CHANGE_FIELDS] for change in changes))
    fields = dimension_folding.CHANGE_FIELDS
    add_dimensions(
        tx, dimension_folding.fold_changes([change[name] for name in fields] for change in changes)
    )


def upsert(tx: Connection, folded: Folded) -> None:
    """Add *folded* to the rollups by key, project, upstream, provider, model and outcome, and to those without keys."""
    if folded:
        _add_levels(tx, _LEVELS, folded)
        _add_levels(tx, _MODEL_LEVELS, without_keys(folded))


def _add_levels(tx: Connection, levels: Sequence[Rows], folded: dict[B, Measures]) -> None:
    """Quarters, hours and days."""
    hours = coarser(folded, length_micros=HOUR_MICROS)
    sums = (folded, hours, coarser(hours, length_micros=DAY_MICROS))
    for rows, measures in zip(levels, sums, strict=True):
        add_rows(tx, rows, measures)


def rebuild(
    store: Store,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Compute the rollups of the UTC days of `[since, until)` again, from records and ledger entries.

    One transaction a day, and writers wait only for that long; they may go on meanwhile. *progress* is told
    days done and days in all, which is what is returned. Without bounds, everything from the oldest to the newest
    record or rollup; then the rollups by end user and tag are whole, also those of a store that is older than they are.
    """
    with store.read() as tx:
        found = extent(tx)
    if found is None:
        return 0
    first = (since or found.since).replace(hour=0, minute=0, second=0, microsecond=0)
    total = max(0, -((first - (until or found.until)) // DAY))
    for number in range(total):
        with store.write() as tx:
            _rebuild_day(tx, first + number * DAY)
        if progress is not None:
            progress(number + 1, total)
    if since is None and until is None:
        with store.write() as tx:
            tx.execute(store_fact.delete().where(store_fact.c.name == SINCE))
    return total


def _rebuild_day(tx: Connection, day: datetime) -> None:
    if tx.dialect.name == "postgresql":
        # Records and their rollups commit together, so nothing new can appear while this lock is held.
        tx.execute(text("LOCK TABLE usage_rollup IN EXCLUSIVE MODE"))
    until = day + DAY
    for table in (*_TABLES, *_MODEL_TABLES):
        tx.execute(table.delete().where(table.c.bucket >= day, table.c.bucket < until))
    folded = fold_rows(_read(tx, FOLD_FIELDS, since=day, until=until))
    merge(folded, fold_changes(_changes(tx, CHANGE_FIELDS, since=day, until=until)))
    upsert(tx, folded)
    by_value = dimension_folding.fold_rows(_read(tx, dimension_folding.FOLD_FIELDS, since=day, until=until))
    changed = _changes(tx, dimension_folding.CHANGE_FIELDS, since=day, until=until)
    merge(by_value, dimension_folding.fold_changes(changed))
    replace_day(tx, to_micros(day), by_value)


def _read(tx: Connection, fields: Sequence[str], *, since: datetime, until: datetime) -> Iterable[Any]:
    """*fields* of the records of the span."""
    return _rows_of(tx, fields, source=request_record, since=since, until=until)


def _changes(tx: Connection, fields: Sequence[str], *, since: datetime, until: datetime) -> Iterable[Any]:
    """*fields* of their ledger entries."""
    source = request_record.join(ledger_entry, ledger_entry.c.record_id == request_record.c.id)
    return _rows_of(tx, fields, source=source, since=since, until=until)


def _rows_of(
    tx: Connection, fields: Sequence[str], *, source: FromClause, since: datetime, until: datetime
) -> Iterable[Any]:
    columns = []
    for name in fields:
        column = request_record.c[name] if name in request_record.c else ledger_entry.c[name]
        columns.append(type_coerce(column, BigInteger) if name == "started_at" else column)
    statement = select(*columns).select_from(source).where(started_within(since, until))
    return tx.execute(statement.execution_options(yield_per=_FETCH_ROWS))
