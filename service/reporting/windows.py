"""Which stretch of the log to look through next for a filter, so that no page takes longer than another.

A filter that few records meet would make a page read the whole log. Here the rollups say in which hours there is
anything to find at all, and a window holds so many records at most. What a rollup cannot know (a session, a status
code) is looked for window by window.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, func, or_, select

from service.reporting.by_value import complete_since
from service.reporting.dimensions import ROLLUP, Filters, filter_rollup
from service.store.dimension_tables import DIMENSION_NAMES, dimension_rollup_day, dimension_rollup_hour
from service.store.model_rollup_tables import model_rollup_day, model_rollup_hour
from service.store.spans import id_ceiling, id_floor
from service.store.tables import request_record, usage_rollup_day, usage_rollup_hour
from service.store.types import EPOCH, from_micros

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_TICK = timedelta(microseconds=1)
_BITS_BELOW_TIME = 80
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
_MOST_JUMPS = 40
"""Hours looked up for one window; where sources never agree for longer, the records are asked."""

Hours = Callable[[datetime], datetime | None]
"""The newest hour that has something, up to the hour of an instant; None where there is none."""


class Window(msgspec.Struct, frozen=True):
    """Records with `low <= id < before`; *records* of them."""

    low: UUID
    before: UUID | None
    records: int


def next_window(
    tx: Connection,
    *,
    filters: Filters,
    before: UUID | None,
    since: datetime | None = None,
    size: int,
) -> Window | None:
    """The newest *size* records before an id among which *filters* may find some; None where there can be none."""
    lowest = None if since is None else id_floor(since)
    while True:
        hour = _newest_hour(tx, filters, _instant_of(before), oldest=since)
        if hour is None:
            return None
        if hour == _ANY:
            return _counted(tx, before, lowest=lowest, size=size)
        end, begin = id_ceiling(hour + _HOUR), id_floor(hour)
        found = _counted(
            tx,
            end if before is None else min(before, end),
            lowest=begin if lowest is None else max(lowest, begin),
            size=size,
        )
        if found is not None:
            return found
        before = begin


_ANY = datetime(1, 1, 1, tzinfo=UTC)
"""Not an hour: no rollup knows."""


def _counted(tx: Connection, upper: UUID | None, *, lowest: UUID | None, size: int) -> Window | None:
    ids = select(request_record.c.id).order_by(request_record.c.id.desc()).limit(size)
    if upper is not None:
        ids = ids.where(request_record.c.id < upper)
    if lowest is not None:
        ids = ids.where(request_record.c.id >= lowest)
    some = ids.subquery()
    # min(uuid) is not there before PostgreSQL 18, so the last one is asked for by its place
    count = tx.scalar(select(func.count()).select_from(some)) or 0
    if not count:
        return None
    low = tx.scalar(ids.limit(1).offset(count - 1))
    assert low is not None  # one connection sees one state
    return Window(low, upper, count)


def _newest_hour(
    tx: Connection, filters: Filters, instant: datetime, *, oldest: datetime | None
) -> datetime | None:
    """The newest hour up to *instant* that all rollups have, None where there is none, or `_ANY`."""
    sources = list(_sources(tx, filters, instant))
    if not sources:
        return _ANY
    hour = _floor(instant)
    for _ in range(_MOST_JUMPS):
        if oldest is not None and hour + _HOUR <= oldest:
            return None
        found = hour
        for latest in sources:
            there = latest(found)
            if there is None:
                return None
            found = min(found, there)
        if found == hour:
            return hour
        hour = found
    return _ANY


def _sources(tx: Connection, filters: Filters, instant: datetime) -> Iterator[Hours]:
    by_key = {name: values for name, values in filters.items() if name in ROLLUP}
    if by_key:
        keyed = not {"key", "project"}.isdisjoint(by_key)
        tables = (usage_rollup_day, usage_rollup_hour) if keyed else (model_rollup_day, model_rollup_hour)
        yield _looking(tx, tables, [filter_rollup(by_key, rollup=table) for table in tables])
    since = complete_since(tx)
    if _floor(instant) >= since:
        for name in DIMENSION_NAMES:
            if name in filters:
                yield _by_value(tx, name, filters[name], since=since)


def _by_value(tx: Connection, dimension: str, values: tuple[str, ...], *, since: datetime) -> Hours:
    """By end user or tag: the newest hour that has it, or what has no row of its own; all hours before *since*."""
    tables = (dimension_rollup_day, dimension_rollup_hour)
    looking = _looking(
        tx,
        tables,
        [
            [table.c.dimension == dimension, or_(table.c.own == 0, table.c.value.in_(values))]
            for table in tables
        ],
    )

    def latest(instant: datetime) -> datetime | None:
        found = looking(instant)
        if since == EPOCH or (found is not None and found >= since):
            return found
        return min(_floor(instant), since - _HOUR)

    return latest


def _looking(
    tx: Connection, tables: tuple[Table, Table], conditions: Sequence[Sequence[ColumnElement[bool]]]
) -> Hours:
    """The newest hour by way of its day: days are few."""
    (days, hours), (of_day, of_hour) = tables, conditions

    def latest(instant: datetime) -> datetime | None:
        until = instant
        while True:
            day = _newest(tx, days, of_day, until=until)
            if day is None:
                return None
            hour = _newest(tx, hours, of_hour, until=min(until, day + _DAY - _TICK), since=day)
            if hour is not None:
                return hour
            until = day - _TICK

    return latest


def _newest(
    tx: Connection,
    table: Table,
    conditions: Sequence[ColumnElement[bool]],
    *,
    until: datetime,
    since: datetime | None = None,
) -> datetime | None:
    """The newest bucket that begins by *until*."""
    bucket = table.c.bucket
    statement = select(bucket).where(bucket <= until, *conditions).order_by(bucket.desc()).limit(1)
    if since is not None:
        statement = statement.where(bucket >= since)
    return tx.scalar(statement)


def _instant_of(before: UUID | None) -> datetime:
    """The latest instant that an id below *before* can have, which need not be one of ours."""
    if before is None:
        return _LATEST
    millis = max(0, before.int - 1) >> _BITS_BELOW_TIME
    return min(_LATEST, from_micros(min(millis, 10**14) * 1_000))


def _floor(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)
