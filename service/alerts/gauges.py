"""Gauges: what keepers measure outside the books and leave in the store for whoever evaluates the rules.

A gauge that nobody has renewed for `STALE_AFTER` says nothing any more.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from service.alerts.rules import Reading, Rule
from service.reporting.check import check
from service.store.alert_tables import alert_gauge
from service.store.engine import Store
from service.store.tables import dead_letter

STALE_AFTER = timedelta(hours=1)
JOURNAL = "journal_backlog"
DRIFT = "bookkeeping_drift"
BOOKS = "the books"
REFUSED = "refused records"
LOOKED_AT = timedelta(days=2)
UNSETTLED = timedelta(hours=2)
"""A request may take that long until its last attempt is recorded."""
_SHOWN = 5
_GAUGE = alert_gauge.c


def put_gauge(
    tx: Connection,
    name: str,
    *,
    subject: str,
    value: float,
    details: Mapping[str, Any],
    now: datetime,
) -> None:
    """Leave a measurement."""
    new = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    measured = {"value": value, "measured_at": now, "details": dict(details)}
    statement = new(alert_gauge).values(name=name, subject=subject[:400], **measured)
    keys = [_GAUGE.name, _GAUGE.subject]
    tx.execute(statement.on_conflict_do_update(index_elements=keys, set_=measured))


def gauge_readings(tx: Connection, rule: Rule, *, now: datetime) -> list[Reading]:
    """What was measured last, of every subject that the rule's filter lets through."""
    query = select(alert_gauge).where(_GAUGE.name == rule.metric).order_by(_GAUGE.subject)
    wanted = rule.filters.get("subject")
    return [
        Reading(
            subject=row.subject,
            value=row.value if now - row.measured_at < STALE_AFTER else None,
            starts_at=row.measured_at,
            ends_at=row.measured_at,
            details=row.details,
        )
        for row in tx.execute(query)
        if wanted is None or row.subject in wanted
    ]


def journal_share(folder: Path, *, max_bytes: int) -> tuple[float, dict[str, Any]]:
    """How full the journals of a data directory are, and what there is."""
    sizes = []
    for path in folder.glob("*.journal"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:  # the store has its records by now
            continue
    total = sum(sizes)
    return total / max_bytes, {"bytes": total, "segments": len(sizes), "max_bytes": max_bytes}


def measure_drift(store: Store, *, now: datetime) -> dict[str, tuple[float, dict[str, Any]]]:
    """Differences in the books of the last days, and how many records the store has refused."""
    found = check(store, settled_before=now - UNSETTLED, since=now - LOOKED_AT)
    shown = [f"{one.where}: {one.what} is {one.found}, not {one.expected}" for one in found[:_SHOWN]]
    with store.read() as tx:
        refused = int(tx.scalar(select(func.count()).select_from(dead_letter)) or 0)
    return {
        BOOKS: (float(len(found)), {"differences": shown}),
        REFUSED: (float(refused), {"advice": "they are kept in the table dead_letter"}),
    }
