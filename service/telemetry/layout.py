"""Which numbers are kept for which attributes: two families of rows, and where each metric lies in a row. Pure.

All cells are integers that only grow, so rows of several processes add up exactly: counts, tokens, nano-USD, and for
histograms a count per bucket and the sum in the smallest unit (microseconds, tokens).
"""

import zlib
from collections.abc import Sequence

import msgspec

from service.telemetry import names
from service.telemetry.names import Instrument

TOKEN_CLASSES = (
    "uncached_input",
    "cache_read_input",
    "cache_write_input",
    "visible_output",
    "reasoning_output",
)
"""Disjoint: together they are the input and the output tokens of a record."""

Attributes = tuple[tuple[str, str], ...]


class Counter(msgspec.Struct, frozen=True, eq=False):
    """One cell of a row. *per_unit* is how many of what is counted make one of the instrument's unit."""

    instrument: Instrument
    at: int
    attributes: Attributes = ()
    per_unit: int = 1


class Histogram(msgspec.Struct, frozen=True, eq=False):
    """Bucket counts from *at* on, one more than there are bounds, then the sum."""

    instrument: Instrument
    at: int
    attributes: Attributes = ()
    per_unit: int = 1

    @property
    def sum_at(self) -> int:
        """Where the sum lies."""
        return self.at + len(self.instrument.bounds) + 1


class Family(msgspec.Struct, frozen=True, eq=False):
    """Rows that are told apart by the same attributes."""

    name: str
    keys: tuple[str, ...]
    counters: tuple[Counter, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    constant: Attributes = ()

    @property
    def width(self) -> int:
        """Cells in a row."""
        ends = [counter.at + 1 for counter in self.counters]
        return max((*ends, *(histogram.sum_at + 1 for histogram in self.histograms)))


def _histograms(*parts: tuple[Instrument, Attributes, int]) -> tuple[Histogram, ...]:
    found: list[Histogram] = []
    for instrument, attributes, per_unit in parts:
        at = found[-1].sum_at + 1 if found else 0
        found.append(Histogram(instrument, at, attributes, per_unit))
    return tuple(found)


MICROS = 1_000_000
NANOS = 1_000_000_000

BOOKS = Family(
    "books",
    keys=(
        names.PROJECT,
        names.UPSTREAM,
        names.PROVIDER_NAME,
        names.REQUEST_MODEL,
        names.RESPONSE_MODEL,
        names.OUTCOME,
        names.ERROR_TYPE,
    ),
    counters=(
        Counter(names.REQUESTS, 0),
        Counter(names.RETRIES, 1),
        Counter(names.COST, 2, per_unit=NANOS),
        Counter(names.UNPRICED, 3),
        Counter(names.ESTIMATED, 4),
        *(
            Counter(names.TOKENS_USED, 5 + position, ((names.TOKEN_CLASS, name),))
            for position, name in enumerate(TOKEN_CLASSES)
        ),
    ),
)
"""What was asked, used and paid, by project."""

TIMES = Family(
    "times",
    keys=(
        names.UPSTREAM,
        names.PROVIDER_NAME,
        names.REQUEST_MODEL,
        names.RESPONSE_MODEL,
        names.ERROR_TYPE,
    ),
    constant=((names.OPERATION_NAME, names.OPERATION),),
    histograms=_histograms(
        (names.DURATION, (), MICROS),
        (names.FIRST_CHUNK, (), MICROS),
        (names.TOKEN_USAGE, ((names.TOKEN_TYPE, "input"),), 1),
        (names.TOKEN_USAGE, ((names.TOKEN_TYPE, "output"),), 1),
        (names.OVERHEAD_TIME, (), MICROS),
    ),
)
"""How attempts on upstreams went; not by project, because every row carries some eighty cells."""

FAMILIES = (BOOKS, TIMES)
CELLS = ("requests", "retries", "cost_nanos", "unpriced", "estimated", *TOKEN_CLASSES)


def signature(families: Sequence[Family] = FAMILIES) -> int:
    """A number that changes when rows of an earlier version can no longer be read."""
    return zlib.crc32(repr([msgspec.to_builtins(family) for family in families]).encode())
