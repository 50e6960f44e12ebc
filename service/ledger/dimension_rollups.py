"""The rollups by end user and by tag in the store: bounded, added to with every batch, rebuilt from the records.

Clients choose these values, so a UTC day has rows of their own for `VALUES_PER_DAY` of them at most; all further
values of that day add up in one row, "(other)". Values get their rows as they come until a rebuild gives them to the
dearest. Once a day has an "(other)", no more values get rows: a value is wholly in its own row or wholly in the
other. Two relays that decide at the same moment wait for each other on PostgreSQL; with room for all, they may
together give out a few rows more.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from sqlalchemy import Connection, func, select, text

from service.ledger.dimension_folding import COST, Folded
from service.ledger.folding import DAY_MICROS, Measures, add
from service.ledger.rollup_rows import Rows, add_rows
from service.store.dimension_tables import DIMENSION_KEYS, dimension_rollup_day, dimension_rollup_hour
from service.store.measure_columns import DIMENSION_MEASURES
from service.store.types import from_micros

VALUES_PER_DAY = 5_000
_TEXTS = frozenset({"dimension", "value"})
_HOURS, _DAYS = (
    Rows(table.name, DIMENSION_KEYS, _TEXTS, DIMENSION_MEASURES, optional=frozenset(DIMENSION_MEASURES))
    for table in (dimension_rollup_hour, dimension_rollup_day)
)
_LOOK_UP = 500
_LOCK = 7_203_118

Place = tuple[str, int]
"""A dimension and the beginning of a UTC day."""
Owners = Mapping[Place, "frozenset[str] | set[str]"]
"""By place, the values with rows of their own."""


def add_dimensions(tx: Connection, folded: Folded) -> None:
    """Add *folded* to the rollups."""
    if folded:
        _write(tx, folded, owners=_owners(tx, folded))


def replace_day(tx: Connection, day_micros: int, folded: Folded) -> None:
    """Put *folded*, all there is of a UTC day, in the place of what is there; the dearest values get the rows."""
    day, end = from_micros(day_micros), from_micros(day_micros + DAY_MICROS)
    for table in (dimension_rollup_hour, dimension_rollup_day):
        tx.execute(table.delete().where(table.c.bucket >= day, table.c.bucket < end))
    if folded:
        owners = {place: set(values[:VALUES_PER_DAY]) for place, values in _dearest_first(folded).items()}
        _write(tx, folded, owners=owners)


def _write(tx: Connection, folded: Folded, *, owners: Owners) -> None:
    hours: dict[tuple[str, int, int, str], Measures] = {}
    days: dict[tuple[str, int, int, str], Measures] = {}
    for (dimension, hour, value), measures in folded.items():
        day = hour - hour % DAY_MICROS
        own = value == "" or value in owners[dimension, day]
        for sums, bucket in ((hours, hour), (days, day)):
            key = (dimension, bucket, int(own), value if own else "")
            present = sums.get(key)
            sums[key] = measures if present is None else add(present, measures)
    add_rows(tx, _HOURS, hours)
    add_rows(tx, _DAYS, days)


def _dearest_first(folded: Folded) -> dict[Place, list[str]]:
    """The values of each place, by what they cost."""
    costs: dict[Place, dict[str, int]] = {}
    for (dimension, hour, value), measures in folded.items():
        values = costs.setdefault((dimension, hour - hour % DAY_MICROS), {})
        if value:
            values[value] = values.get(value, 0) + (measures[COST] or 0)
    return {place: sorted(values, key=_by_cost(values)) for place, values in costs.items()}


def _by_cost(values: Mapping[str, int]) -> Callable[[str], tuple[int, str]]:
    return lambda value: (-values[value], value)


def _owners(tx: Connection, folded: Folded) -> Owners:
    """Who has rows, and who gets them."""
    wanted = _dearest_first(folded)
    crowded = [place for place, values in wanted.items() if values and _room(tx, place) < len(values)]
    if tx.dialect.name == "postgresql":
        shared = "" if crowded else "_shared"
        tx.execute(text(f"SELECT pg_advisory_xact_lock{shared}(:lock)"), {"lock": _LOCK})
    owners: dict[Place, set[str]] = {
        place: set(values) for place, values in wanted.items() if place not in crowded
    }
    for place in crowded:
        owners[place] = _present(tx, place, wanted[place])
        newcomers = [value for value in wanted[place] if value not in owners[place]]
        owners[place].update(newcomers[: _room(tx, place)])
    return owners


def _room(tx: Connection, place: Place) -> int:
    """How many more values can get rows."""
    dimension, day = place
    row = dimension_rollup_day.c
    statement = select(func.count(), func.min(row.own)).where(
        row.dimension == dimension, row.bucket == from_micros(day)
    )
    count, least = tx.execute(statement).one()
    return max(0, VALUES_PER_DAY - count) if least != 0 else 0


def _present(tx: Connection, place: Place, values: Sequence[str]) -> set[str]:
    """Those of *values* that have rows."""
    dimension, day = place
    row = dimension_rollup_day.c
    found: set[str] = set()
    for start in range(0, len(values), _LOOK_UP):
        some: Iterable[str] = values[start : start + _LOOK_UP]
        statement = select(row.value).where(
            row.dimension == dimension, row.bucket == from_micros(day), row.own == 1, row.value.in_(some)
        )
        found.update(tx.scalars(statement))
    return found
