"""The records before and after one, within a filter: how a reader goes from one request to the next.

Where a filter lets few records through, `LARGEST_SEARCH` records on either side are looked through.
"""

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, select

from service.errors import InvalidInputError
from service.reporting.rows import LARGEST_SEARCH, RequestFilter, bounded, is_narrow, requests
from service.store.tables import request_record

_LAST = (1 << 128) - 1


class Neighbours(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of requests; None at the ends, and where none is near."""

    newer: str | None
    older: str | None


def neighbours(tx: Connection, wanted: RequestFilter, *, of: str) -> Neighbours:
    """The nearest records of other requests; *of* is the id of a request, which *wanted* need not hold."""
    try:
        here = UUID(of)
    except ValueError as error:
        raise InvalidInputError(f"{of!r} is not a request id", field="id") from error
    record = request_record.c
    others = requests(wanted, columns=("id", "request_id")).where(record.request_id != here).limit(1)
    narrow = is_narrow(wanted)
    low = _away(tx, record.id < here, record.id.desc()) if narrow else None
    high = _away(tx, record.id > here, record.id) if narrow else None
    older = bounded(others, wanted, low=low, before=here)
    newer = bounded(others.order_by(None).order_by(record.id), wanted, low=_after(here), before=high)
    return Neighbours(newer=_first(tx, newer), older=_first(tx, older))


def _away(tx: Connection, side: ColumnElement[bool], order: ColumnElement[Any]) -> UUID | None:
    """The id of the record that far away; None where the log ends before."""
    found = select(request_record.c.id).where(side).order_by(order).limit(1).offset(LARGEST_SEARCH)
    return tx.scalar(found)


def _after(identifier: UUID) -> UUID:
    return UUID(int=min(identifier.int + 1, _LAST))


def _first(tx: Connection, statement: Select[Any]) -> str | None:
    row = tx.execute(statement).mappings().first()
    return None if row is None else str(row["request_id"])
