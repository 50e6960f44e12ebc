"""What the store holds at one moment: a connection that sees only that, and from when to when its books go.

Results that do not fit into memory are streamed.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, func, select, text

from service.reporting.intervals import Span
from service.store.engine import Store
from service.store.tables import request_record, usage_rollup, usage_rollup_day, usage_rollup_hour


@contextmanager
def snapshot(store: Store) -> Iterator[Connection]:
    """Read only. SQLite's transactions are like this anyway; PostgreSQL's need to be asked."""
    with store.read() as tx:
        if tx.dialect.name == "postgresql":
            tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        yield tx


def streamed(tx: Connection, statement: Select[Any], *, rows: int = 500) -> Iterator[Any]:
    """What *statement* finds, *rows* at a time; closed with the generator, also when that is left early."""
    with closing(tx.execute(statement, execution_options={"yield_per": rows})) as found:
        yield from found


def extent(tx: Connection) -> Span | None:
    """The span of all records and rollups, in whole UTC days; None where there are none."""
    record = request_record.c
    instants: list[datetime] = []
    for order in (record.id, record.id.desc()):
        instants += tx.scalars(select(record.started_at).order_by(order).limit(1))
    for table in (usage_rollup, usage_rollup_hour, usage_rollup_day):
        # one at a time: SQLite takes either end from the index, and reads the whole of it for both at once
        for end in (func.min(table.c.bucket), func.max(table.c.bucket)):
            instants += filter(None, tx.scalars(select(end)))
    if not instants:
        return None
    first, last = min(instants), max(instants) + timedelta(days=1)
    return Span(*(instant.replace(hour=0, minute=0, second=0, microsecond=0) for instant in (first, last)))
