"""Rollups by end user and by tag: values that clients choose, so that their number must be bounded.

A day has a row for each of so many values; what all further values add up to is the row with `own` = 0. Which
values of a UTC day have rows of their own is the same for its hours. A record with several tags counts for each.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, SmallInteger, Table, Text, text
from sqlalchemy.types import TypeEngine

from service.store.measure_columns import (
    DERIVED_COUNTS,
    ROLLUP_BYTES,
    ROLLUP_COUNTS,
    ROLLUP_SUMS,
)
from service.store.metadata import metadata, one_of
from service.store.types import UtcMicros

DIMENSION_NAMES = ("end_user", "tag")
DIMENSION_KEYS = ("dimension", "bucket", "own", "value")


def _count(name: str, kind: type[TypeEngine[Any]]) -> Column[Any]:
    """A count; a statement leaves out those that no row of it has."""
    return Column(name, kind, nullable=False, server_default=text("0"))


def _rollup(name: str, comment: str) -> Table:
    return Table(
        name,
        metadata,
        Column("dimension", Text, primary_key=True),
        Column("bucket", UtcMicros, primary_key=True),
        Column("own", SmallInteger, primary_key=True, autoincrement=False),
        Column("value", Text, primary_key=True),
        *(Column(measure, BigInteger) for measure in ROLLUP_SUMS),
        *(_count(measure, BigInteger) for measure in ROLLUP_BYTES),
        *(_count(measure, Integer) for measure in (*ROLLUP_COUNTS, *DERIVED_COUNTS)),
        one_of("dimension", DIMENSION_NAMES),
        comment=comment,
    )


dimension_rollup_hour = _rollup("dimension_rollup_hour", "Usage by end user and by tag, by UTC hour.")
dimension_rollup_day = _rollup("dimension_rollup_day", "dimension_rollup_hour by UTC day.")
