"""What a budget has spent beside what the records of its scope cost.

A record does not name the budgets that it was charged to (its journal entry does, until it is in the store), so the
same rule that charged it is applied again: scope, models, when the budget existed. Where that leaves no doubt the two
must be equal to the last nano-dollar. In doubt is what started so shortly before a moment that decides (the end of a
period of a hard budget, the budget's creation or deletion, a change of its models) that it may have been let in after
it, and what started so shortly after that a relay may not have heard of it. There the records give a lower and an
upper bound, and what was spent must lie between them. Over the budget's whole life the ends of periods do not matter:
a record near one is charged to the period before it or to the one after, never to none.

A cost that nobody knows is charged to a hard budget as it was held (`estimate_nanos`), to a soft one as nothing.
Records that the store refused (`dead_letter`) are charged and are no rows: while there are any, nothing bounds what
was spent from above.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Connection, Select, and_, case, func, literal, null, or_, select

from service.budgets.periods import budget_from
from service.budgets.policy import EACH, Budget, BudgetBook, RequestFacts, ScopeKind
from service.reporting.check import Difference
from service.store.audit_tables import audit_entry
from service.store.budget_tables import budget as budget_table
from service.store.spans import started_within
from service.store.tables import dead_letter, request_record

EDGE = timedelta(minutes=10)
"""Longer than a request takes from its first byte to its hold, and to its last attempt."""
HEARD = timedelta(seconds=10)
"""Longer than a relay that reaches the store takes to hear of a change."""
BEGINNING = datetime(1980, 1, 1, tzinfo=UTC)
END = datetime(9000, 1, 1, tzinfo=UTC)
"""Before and after every record."""
_RECORD = request_record.c
_OWN = {"key": _RECORD.key_id, "project": _RECORD.project, "end_user": _RECORD.end_user}


class Counted(msgspec.Struct, frozen=True):
    """What a period of a budget has spent, as the budget says."""

    subject: str
    starts_at: datetime
    ends_at: datetime | None
    spent_nanos: int

    def place(self, budget_id: str) -> str:
        """Which period of which budget, for people."""
        return " ".join(filter(None, (budget_id, self.subject, f"{self.starts_at:%Y-%m-%dT%H:%M:%SZ}")))


class _History(msgspec.Struct, frozen=True):
    """A budget, and since when what it is made of is known."""

    budget: Budget
    created_at: datetime
    deleted_at: datetime
    models_since: datetime
    changed_mode: bool
    open_above: bool

    @property
    def by_start(self) -> bool:
        """Whether a record always counts for the period in which it started: without leases it does."""
        return self.budget.mode == "soft" and not self.changed_mode

    @property
    def models_changed(self) -> bool:
        """Whether it counted other models once."""
        return self.models_since > self.created_at


class _Bounds(msgspec.Struct):
    """What records say that was spent: at least, and at most."""

    least: int = 0
    most: int = 0


def spending_differs(tx: Connection, budget_id: str, periods: Sequence[Counted]) -> Iterator[Difference]:
    """Compare every period, and the budget's whole life. *periods* are all it has, the earliest first."""
    history = _history(tx, budget_id)
    for (since, until), group in groupby(periods, key=_window):
        spent = {period.subject: period for period in group}
        found = _bounds(tx, history, since=since, until=until or END)
        for subject, counted in spent.items():
            bounds = found.get(subject, _Bounds())
            yield from _compare(history, counted, bounds, place=counted.place(budget_id))
    totals: dict[str, int] = {}
    for period in periods:
        totals[period.subject] = totals.get(period.subject, 0) + period.spent_nanos
    lifetime = _bounds(tx, history, since=BEGINNING, until=END)
    for subject in sorted(totals.keys() | {name for name, bounds in lifetime.items() if bounds.least}):
        counted = Counted(subject, BEGINNING, None, totals.get(subject, 0))
        place = " ".join(filter(None, (budget_id, subject, "in all periods")))
        yield from _compare(history, counted, lifetime.get(subject, _Bounds()), place=place)


def _compare(history: _History, counted: Counted, bounds: _Bounds, *, place: str) -> Iterator[Difference]:
    too_little = counted.spent_nanos < bounds.least
    too_much = counted.spent_nanos > bounds.most and not history.open_above
    if too_little or too_much:
        exact = bounds.least == bounds.most
        expected = f"{bounds.least}" if exact else f"{bounds.least} to {bounds.most}"
        yield Difference(
            where=place, what="spent_nanos", found=str(counted.spent_nanos), expected=f"{expected} (records)"
        )


def _history(tx: Connection, budget_id: str) -> _History:
    row = tx.execute(select(budget_table).where(budget_table.c.id == budget_id)).mappings().one()
    entry = audit_entry.c
    query = select(entry.at, entry.after).where(
        entry.target_kind == "budget", entry.target_id == budget_id, entry.action == "budget.update"
    )
    models_since, changed_mode = row["created_at"], False
    for at, after in tx.execute(query.order_by(entry.seq)):
        changes = _changes(after)
        models_since = at if "models" in changes else models_since
        changed_mode = changed_mode or "mode" in changes
    return _History(
        budget=budget_from(row),
        created_at=row["created_at"],
        deleted_at=row["deleted_at"] or END,
        models_since=models_since,
        changed_mode=changed_mode,
        open_above=tx.scalar(select(dead_letter.c.id).limit(1)) is not None,
    )


def _changes(after: str | None) -> dict[str, Any]:
    """What an audit entry says; a text that somebody spoilt is for `audit verify` to report."""
    try:
        return msgspec.json.decode(after or "{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}


def _bounds(tx: Connection, history: _History, *, since: datetime, until: datetime) -> Mapping[str, _Bounds]:
    """For each subject what the records between *since* and *until* make the budget spend."""
    budget = history.budget
    book = BudgetBook([budget])
    wider = BudgetBook([msgspec.structs.replace(budget, models=None)]) if history.models_changed else book
    found: dict[str, _Bounds] = {}
    for own, model, least, most in tx.execute(_query(history, since=since, until=until)):
        facts = _facts(budget.scope.kind, own, model=model or "")
        for applied in wider.applying(facts):
            bounds = found.setdefault(applied.subject, _Bounds())
            bounds.most += int(most)
            if wider is book or book.applying(facts):
                bounds.least += int(least)
    return found


def _facts(kind: ScopeKind, own: str | None, *, model: str) -> RequestFacts:
    """What the request was, as far as a budget of this kind looks at it."""
    return RequestFacts(
        key_id=own if kind == "key" else None,
        project=own if kind == "project" else None,
        end_user=own if kind == "end_user" else None,
        model=model,
    )


def _query(history: _History, *, since: datetime, until: datetime) -> Select[Any]:
    """Sums over the records of the scope, for each of its members and each model: at least, and at most."""
    scope = history.budget.scope
    edge = timedelta(0) if history.by_start else EDGE
    changed = max(history.created_at, history.models_since)
    first, retried = max(since, changed + HEARD), max(since + edge, changed + EDGE)
    started = _RECORD.started_at
    certain = and_(
        or_(started >= retried, and_(started >= first, _RECORD.attempt == 1)),
        started < min(until - edge, history.deleted_at - EDGE),
    )
    possible = started_within(
        max(since - edge, history.created_at - EDGE), min(until + edge, history.deleted_at + EDGE)
    )
    least, most = _amounts(history)
    own = _OWN.get(scope.kind, null())
    conditions = [
        possible,
        or_(_RECORD.cost_nanos > 0, _RECORD.cost_nanos.is_(None)),
        _RECORD.upstream.is_not(None),
    ]
    if scope.kind in _OWN:
        conditions.append(own == scope.id if scope.id != EACH else own != "")
    return (
        select(
            own.label("own"),
            _RECORD.requested_model,
            func.sum(case((certain, least), else_=0)),
            func.sum(most),
        )
        .where(*conditions)
        .group_by(*([own] if scope.kind in _OWN else []), _RECORD.requested_model)
    )


def _amounts(history: _History) -> tuple[Any, Any]:
    """What a record costs the budget, at least and at most; they differ where its mode has changed."""
    nothing = literal(0, BigInteger)
    as_held = func.coalesce(_RECORD.cost_nanos, _RECORD.estimate_nanos, nothing)
    as_nothing = func.coalesce(_RECORD.cost_nanos, nothing)
    if history.changed_mode:
        return as_nothing, as_held
    return (as_held, as_held) if history.budget.mode == "hard" else (as_nothing, as_nothing)


def _window(period: Counted) -> tuple[datetime, datetime | None]:
    return period.starts_at, period.ends_at
