"""Which records lie in a span of time: a condition that the primary key answers.

A record's id is a UUIDv7 whose time is its started_at in milliseconds, so a span is a range of ids; started_at
itself decides at the edges. There is no index on started_at.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_

from service.store.tables import request_record
from service.store.types import to_micros


def id_floor(instant: datetime) -> UUID:
    """The smallest identifier that an instant's millisecond can have; no identifier is older than 1970."""
    return UUID(int=max(0, to_micros(instant) // 1000) << 80)


def id_ceiling(instant: datetime) -> UUID:
    """An identifier above every one of the instants before *instant*."""
    return UUID(int=max(0, -(-to_micros(instant) // 1000)) << 80)


def started_within(since: datetime, until: datetime) -> ColumnElement[bool]:
    """Records with `since <= started_at < until`."""
    record = request_record.c
    return and_(
        record.id >= id_floor(since),
        record.id < id_ceiling(until),
        record.started_at >= since,
        record.started_at < until,
    )
