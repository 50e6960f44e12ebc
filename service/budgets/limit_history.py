"""What limits a budget had in its past, from the audit log. Reads only.

The highest that was in force in a period, raises included, is what its spending had to stay below; when the period
ended it may have been less. An entry that somebody spoilt changes nothing here; `audit verify` reports it.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Self

import msgspec
from sqlalchemy import Connection, select

from service.budgets.policy import Budget, TemporaryRaise
from service.errors import InvalidInputError
from service.pricing.money import parse_usd
from service.store.audit_tables import audit_entry

_BEGINNING = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)


class _Raise(msgspec.Struct, frozen=True):
    amount_usd: str
    until: Annotated[datetime, msgspec.Meta(tz=True)]


class _Said(msgspec.Struct, frozen=True):
    """The members of an entry that are about the limit; one that is not there did not change."""

    limit_usd: str | None = None
    temporary_raise: _Raise | msgspec.UnsetType | None = msgspec.field(name="raise", default=msgspec.UNSET)


class _Step(msgspec.Struct, frozen=True):
    """From *since* to *until* so much, and *raised* on top of it."""

    since: datetime
    until: datetime
    limit_nanos: int
    raised: TemporaryRaise | None

    def at_most(self, since: datetime) -> int:
        """The most that is in force from *since* on."""
        if self.raised is not None and max(since, self.since) < self.raised.until:
            return self.limit_nanos + self.raised.amount_nanos
        return self.limit_nanos


class LimitHistory:
    """The limits of one budget: steps that follow each other from the beginning of time to its end."""

    def __init__(self, steps: Sequence[_Step]) -> None:
        self._steps = steps

    @classmethod
    def read(cls, tx: Connection, budget: Budget) -> Self:
        """The history of *budget*; where the log says nothing of it, the limit of today has always been."""
        entry = audit_entry.c
        mine = (entry.target_kind == "budget") & (entry.target_id == budget.id) & entry.after.is_not(None)
        entries = tx.execute(select(entry.at, entry.after).where(mine).order_by(entry.seq))
        found = list(_limits((row.at, row.after) for row in entries))
        found = found or [(_BEGINNING, budget.limit_nanos, budget.raised)]
        starts = [_BEGINNING, *(at for at, _, _ in found[1:]), _END]
        return cls(
            [
                _Step(starts[index], starts[index + 1], limit_nanos, raised)
                for index, (_, limit_nanos, raised) in enumerate(found)
            ]
        )

    def highest(self, since: datetime, until: datetime | None) -> int:
        """Nano-dollars: the highest limit in force from *since* to before *until* (None: for ever)."""
        return max(
            step.at_most(since)
            for step in self._steps
            if step.until > since and (until is None or step.since < until)
        )


def _limits(entries: Iterable[tuple[datetime, str]]) -> Iterator[tuple[datetime, int, TemporaryRaise | None]]:
    """Each limit that was set, from when on, and its raise."""
    limit_nanos: int | None = None
    raised: TemporaryRaise | None = None
    for at, after in entries:
        try:
            said = msgspec.json.decode(after, type=_Said)
            given = said.temporary_raise
            more = (
                TemporaryRaise(_amount(given.amount_usd), given.until) if isinstance(given, _Raise) else None
            )
            limit_nanos = limit_nanos if said.limit_usd is None else _amount(said.limit_usd)
        except (msgspec.MsgspecError, InvalidInputError):
            continue
        raised = raised if given is msgspec.UNSET else more
        if limit_nanos is not None:
            yield at, limit_nanos, raised


def _amount(text: str) -> int:
    return parse_usd(text, field="limit_usd")
