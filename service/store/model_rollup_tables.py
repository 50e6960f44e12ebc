"""Rollups without key and project: a hundredth of the rows for every question that asks for neither.

What the whole installation or a model used by the day in any time zone is read from these.
"""

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from service.store.measure_columns import ROLLUP_BINS, ROLLUP_BYTES, ROLLUP_COUNTS, ROLLUP_SUMS
from service.store.metadata import metadata
from service.store.types import UtcMicros

MODEL_ROLLUP_DIMENSIONS = ("upstream", "provider", "model", "outcome")


def _rollup(name: str, comment: str) -> Table:
    return Table(
        name,
        metadata,
        Column("bucket", UtcMicros, primary_key=True),
        *(Column(dimension, Text, primary_key=True) for dimension in MODEL_ROLLUP_DIMENSIONS),
        *(Column(measure, BigInteger) for measure in ROLLUP_SUMS),
        *(Column(measure, BigInteger, nullable=False) for measure in ROLLUP_BYTES),
        *(Column(measure, Integer, nullable=False) for measure in ROLLUP_COUNTS),
        *(Column(measure, Integer) for measure in ROLLUP_BINS),
        comment=comment,
        sqlite_with_rowid=False,
    )


model_rollup = _rollup("model_rollup", "usage_rollup without key and project.")
model_rollup_hour = _rollup("model_rollup_hour", "model_rollup by UTC hour.")
model_rollup_day = _rollup("model_rollup_day", "model_rollup by UTC day.")
