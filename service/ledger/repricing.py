"""Which records would cost something else at today's prices, and how much. Pure.

A record's usage is read again from what the provider sent, so that counts without a column of their own (cache writes
for an hour, video, searches, …) are rated as they were the first time; where that is gone, from the lines of its cost.

Left as they are: records without usage, costs that the provider reported, and records for which no price is known any
more: taking a price away does not make past requests free.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from service.ledger.costs import rate_record
from service.ledger.record import CostStatus, RequestRecord
from service.pricing.pricebook import PriceBook
from service.pricing.rating import Rating
from service.store.types import from_micros
from service.usage.dialects import dialect_for
from service.usage.normalise import read_usage
from service.usage.tokens import TokenUsage

FIRST_RATING = 1
Reason = Literal["same", "no_usage", "no_price", "provider_cost"]
Lines = Sequence[Mapping[str, Any]]

_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "audio_input_tokens",
    "image_input_tokens",
    "reasoning_output_tokens",
    "audio_output_tokens",
    "image_output_tokens",
)
"""Counts of `TokenUsage` that have a column."""
_INPUT_COUNTS = tuple(name for name in _COUNTS if "output" not in name)
_METER_OF_EXTRA = {
    "cache_write_1h_input_tokens": "cache_write_1h_input",
    "cache_read_audio_input_tokens": "cache_read_audio_input",
    "video_input_tokens": "video_input",
    "citation_tokens": "citation",
    "web_searches": "web_search",
}
"""Counts without a column, and the meter whose line shows them."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a record costs now: its own cost, or what the latest of its ledger entries left."""

    cost_nanos: int | None
    cost_status: CostStatus
    version: int = FIRST_RATING
    lines: Lines = ()


class Change(msgspec.Struct, frozen=True):
    """A record that costs something else by *rating*."""

    record: RequestRecord
    standing: Standing
    rating: Rating

    @property
    def delta_nanos(self) -> int:
        """What is to be added to its cost; a record without a cost counts as 0."""
        return (self.rating.cost_nanos or 0) - (self.standing.cost_nanos or 0)


def reprice(record: RequestRecord, standing: Standing, *, book: PriceBook) -> Change | Reason:
    """The change of one record's cost, or why there is none."""
    if standing.cost_status == "provider":
        return "provider_cost"
    usage = usage_of(record, standing.lines)
    if usage is None:
        return "no_usage"
    rating = rate_record(record, usage, book=book)
    if rating.cost_nanos is None:
        return "no_price"
    if (rating.cost_nanos, rating.cost_status) == (standing.cost_nanos, standing.cost_status):
        return "same"
    return Change(record, standing, rating)


def usage_of(record: RequestRecord, lines: Lines = ()) -> TokenUsage | None:
    """The usage of a stored record, as it was rated; None where it has none."""
    if record.usage_source == "none" or record.input_tokens is None or record.output_tokens is None:
        return None
    counts: dict[str, Any] = {name: getattr(record, name) for name in _COUNTS}
    return TokenUsage(**counts, **_extras(record, lines))


def _extras(record: RequestRecord, lines: Lines) -> dict[str, Any]:
    """The counts without columns: from the usage as received if it is the one that was stored, else from *lines*."""
    if record.usage_raw is not None:
        reading = read_usage(record.usage_raw.encode(), dialect_for(record.provider))
        read = None if reading is None else reading.usage
        if read is not None and all(getattr(read, name) == getattr(record, name) for name in _INPUT_COUNTS):
            return {name: getattr(read, name) for name in _METER_OF_EXTRA}
    quantities = {line.get("meter"): line.get("quantity") for line in lines}
    return {name: quantities.get(meter) for name, meter in _METER_OF_EXTRA.items()}


class Group(msgspec.Struct, kw_only=True):
    """The changes of one day and model. Amounts are those of the changed records only, in nano-USD."""

    day: date
    model: str
    records: int = 0
    newly_priced: int = 0
    old_nanos: int = 0
    new_nanos: int = 0


class Diff:
    """What repricing changes, by day of *zone* and model; and how many records stay as they are, by reason."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._groups: dict[tuple[date, str], Group] = {}
        self.unchanged: dict[Reason, int] = {"same": 0, "no_usage": 0, "no_price": 0, "provider_cost": 0}

    def add(self, verdict: Change | Reason) -> None:
        """Count one record."""
        if not isinstance(verdict, Change):
            self.unchanged[verdict] += 1
            return
        record = verdict.record
        instant: datetime = from_micros(record.started_at)
        key = (instant.astimezone(self._zone).date(), record.upstream_model or record.requested_model or "")
        group = self._groups.setdefault(key, Group(day=key[0], model=key[1]))
        group.records += 1
        group.newly_priced += verdict.standing.cost_nanos is None
        group.old_nanos += verdict.standing.cost_nanos or 0
        group.new_nanos += verdict.rating.cost_nanos or 0

    @property
    def groups(self) -> list[Group]:
        """By day, then by model."""
        return [self._groups[key] for key in sorted(self._groups)]

    @property
    def records(self) -> int:
        """How many records change."""
        return sum(group.records for group in self._groups.values())

    @property
    def newly_priced(self) -> int:
        """How many of them had no cost before."""
        return sum(group.newly_priced for group in self._groups.values())

    @property
    def old_nanos(self) -> int:
        """What the changed records cost before."""
        return sum(group.old_nanos for group in self._groups.values())

    @property
    def new_nanos(self) -> int:
        """What they cost after."""
        return sum(group.new_nanos for group in self._groups.values())
