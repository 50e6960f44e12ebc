"""The records before and after one, within a filter: how a reader goes from one request to the next."""

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Select

from service.errors import InvalidInputError
from service.reporting.rows import RequestFilter, requests
from service.store.tables import request_record


class Neighbours(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of requests; None at the ends."""

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
    older = others.where(record.id < here)
    newer = others.where(record.id > here).order_by(None).order_by(record.id)
    return Neighbours(newer=_first(tx, newer), older=_first(tx, older))


def _first(tx: Connection, statement: Select[Any]) -> str | None:
    row = tx.execute(statement).mappings().first()
    return None if row is None else str(row["request_id"])
