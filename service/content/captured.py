"""The table of captured content: insert, find, delete, count, move to another key. SQL only; rows stay sealed.

A row ends when its own time is over, or that of its project's present retention if that is sooner.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.content.policy import Capture
from service.errors import InvalidInputError
from service.store.content_tables import captured_content
from service.store.facts import insert_fact, read_fact
from service.store.project_tables import project as project_table
from service.store.tables import store_fact

GENERATION = "content_key"
_ROW = captured_content.c


class SealedContent(msgspec.Struct, frozen=True, kw_only=True):
    """A row."""

    record_id: UUID
    request_id: UUID
    project: str
    key_id: str
    end_user: str | None
    captured_at: datetime
    expires_at: datetime
    sealed_with: int
    sealed: bytes


class ContentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Whose content; everything that is given must be true of a row. *before* is an instant of its request."""

    end_user: str | None = None
    project: str | None = None
    key_id: str | None = None
    before: datetime | None = None

    def __str__(self) -> str:
        given = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return " ".join(f"{name}={value}" for name, value in given if value is not None)


class ProjectContent(msgspec.Struct, frozen=True, kw_only=True):
    """How much content a project has."""

    project: str
    requests: int
    bytes: int
    oldest: datetime
    newest: datetime


def insert_content(tx: Connection, rows: Sequence[SealedContent]) -> None:
    """Add *rows*; one that is there already stays as it is."""
    dialect: Any = postgresql if tx.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(captured_content).on_conflict_do_nothing()
    tx.execute(statement, [msgspec.structs.asdict(row) for row in rows])


def find_content(tx: Connection, identifier: UUID, *, now: datetime) -> SealedContent | None:
    """The content of this request or record; None where there is none, or where its time is over."""
    this = or_(_ROW.record_id == identifier, _ROW.request_id == identifier)
    query = (
        select(captured_content).where(this, ~expired(tx, now=now)).order_by(_ROW.record_id.desc()).limit(1)
    )
    row = tx.execute(query).mappings().first()
    return None if row is None else _sealed(row)


def matching(wanted: ContentFilter) -> ColumnElement[bool]:
    """The rows of *wanted*. A filter that would name everything is refused."""
    conditions: list[ColumnElement[bool]] = []
    for name in ("end_user", "project", "key_id"):
        value = getattr(wanted, name)
        if value is not None:
            if "\x00" in value:
                raise InvalidInputError(f"{name} holds a NUL, which no name has", field=name)
            conditions.append(_ROW[name] == value)
    if wanted.before is not None:
        conditions.append(_ROW.captured_at < wanted.before)
    if not conditions:
        raise InvalidInputError("say whose content: end_user, project, key_id or before", field=None)
    return and_(*conditions)


def expired(tx: Connection, *, now: datetime) -> ColumnElement[bool]:
    """The rows whose time is over."""
    sooner = [
        and_(_ROW.project == name, _ROW.captured_at <= now - timedelta(days=days))
        for name, days in _retention(tx).items()
    ]
    return or_(_ROW.expires_at <= now, *sooner)


def count(tx: Connection, condition: ColumnElement[bool]) -> int:
    """How many rows."""
    return int(tx.scalar(select(func.count()).select_from(captured_content).where(condition)) or 0)


def delete_some(tx: Connection, condition: ColumnElement[bool], *, at_most: int) -> int:
    """Delete rows; returns how many. On SQLite their place in the file is overwritten."""
    chosen = select(_ROW.record_id).where(condition).limit(at_most)
    statement = delete(captured_content).where(_ROW.record_id.in_(chosen))
    if tx.dialect.name != "sqlite":
        return tx.execute(statement).rowcount
    before = tx.exec_driver_sql("PRAGMA secure_delete").scalar()
    tx.exec_driver_sql("PRAGMA secure_delete = ON").close()
    try:
        return tx.execute(statement).rowcount
    finally:
        tx.exec_driver_sql(f"PRAGMA secure_delete = {before}").close()


def count_by_project(tx: Connection) -> list[ProjectContent]:
    """How much there is, by project."""
    query = select(
        _ROW.project,
        func.count().label("requests"),
        func.sum(func.length(_ROW.sealed)).label("bytes"),
        func.min(_ROW.captured_at).label("oldest"),
        func.max(_ROW.captured_at).label("newest"),
    )
    rows = tx.execute(query.group_by(_ROW.project).order_by(_ROW.project)).mappings()
    return [ProjectContent(**{**row, "bytes": int(row["bytes"])}) for row in rows]


def generation_of(tx: Connection) -> int:
    """The number of the key that seals now; 1 at first."""
    return int(read_fact(tx, GENERATION) or 1)


def set_generation(tx: Connection, generation: int) -> None:
    """Seal with this key from now on."""
    fact = insert_fact(tx).values(name=GENERATION, value=str(generation))
    fresh = {"value": str(generation)}
    tx.execute(fact.on_conflict_do_update(index_elements=[store_fact.c.name], set_=fresh))


def sealed_before(
    tx: Connection, generation: int, *, after: UUID | None, at_most: int
) -> list[SealedContent]:
    """Rows that an older key sealed, by id, from the one that follows *after*."""
    query = select(captured_content).where(_ROW.sealed_with < generation)
    if after is not None:
        query = query.where(_ROW.record_id > after)
    rows = tx.execute(query.order_by(_ROW.record_id).limit(at_most)).mappings()
    return [_sealed(row) for row in rows]


def replace_sealed(tx: Connection, row: SealedContent, *, sealed: bytes, generation: int) -> None:
    """Put the same content, sealed anew, in the place of *row*."""
    this = (_ROW.record_id == row.record_id, _ROW.sealed_with == row.sealed_with)
    tx.execute(update(captured_content).where(*this).values(sealed=sealed, sealed_with=generation))


def _retention(tx: Connection) -> Mapping[str, int]:
    """Days by project, where one says so."""
    columns = project_table.c
    query = select(columns.name, columns.capture).where(columns.capture.is_not(None))
    return {row.name: msgspec.convert(row.capture, Capture).retention_days for row in tx.execute(query)}


def _sealed(row: Any) -> SealedContent:
    return SealedContent(**{**row, "sealed": bytes(row["sealed"])})
