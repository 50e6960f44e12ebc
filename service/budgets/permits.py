"""Shares of rate limits in the store, in the caller's transaction.

The sum of all shares of a limit is at most the limit, under the lock of its row. A share that nobody renews counts
for one more minute, because what its relay used may still be within it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, Select, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.budgets.rates import share
from service.store.budget_tables import rate_limit, rate_permit

_LIMIT = rate_limit.c
_PERMIT = rate_permit.c
LINGER = timedelta(seconds=65)


class Ask(msgspec.Struct, frozen=True):
    """Room wanted in one limit: *need* and *want* are totals of this relay's share."""

    name: str
    limit: int
    need: int
    want: int


class Shared(msgspec.Struct, frozen=True):
    """This relay's share of a limit, and what nobody has."""

    name: str
    permits: int
    free: int
    wanted: int


class Full(msgspec.Struct, frozen=True):
    """The limit has no room; *others* is what other relays hold."""

    name: str
    others: int
    wanted: int


class Standing(msgspec.Struct, frozen=True):
    """What the holder of a share should know."""

    name: str
    expires_at: datetime
    wanted: int


def ask(
    tx: Connection, asks: Sequence[Ask], *, holder: str, now: datetime, expires_at: datetime
) -> tuple[Shared, ...] | Full:
    """Shares of every limit of *asks*, or of none."""
    plans: list[tuple[Ask, int, Shared]] = []
    for each in sorted(asks, key=_name):
        wanted = _lock(tx, each.name)
        tx.execute(delete(rate_permit).where(_PERMIT.name == each.name, _PERMIT.expires_at <= now - LINGER))
        shares = {row.holder: int(row.permits) for row in tx.execute(_shares(each.name))}
        own = shares.pop(holder, 0)
        others = sum(shares.values())
        free = each.limit - others - own
        after = share(own, need=each.need, want=each.want, free=free, holders=len(shares) + 1)
        if after is None:
            tx.execute(
                update(rate_limit).where(_LIMIT.name == each.name).values(wanted=wanted + bool(others))
            )
            return Full(each.name, others, wanted + bool(others))
        plans.append((each, after, Shared(each.name, after, free + own - after, wanted)))
    for each, after, _ in plans:
        _put(tx, each.name, holder, permits=after, expires_at=expires_at)
    return tuple(shared for _, _, shared in plans)


def shrink(tx: Connection, shares: Iterable[tuple[str, int]], *, holder: str) -> None:
    """Keep only so much of these shares; a share of nothing is deleted."""
    for name, permits in sorted(shares):
        _lock(tx, name)
        mine = (_PERMIT.name == name) & (_PERMIT.holder == holder)
        if permits:
            tx.execute(update(rate_permit).where(mine, _PERMIT.permits > permits).values(permits=permits))
        else:
            tx.execute(delete(rate_permit).where(mine))


def renew(tx: Connection, *, holder: str, now: datetime, expires_at: datetime) -> None:
    """Keep the holder's living shares alive."""
    mine = (_PERMIT.holder == holder) & (_PERMIT.expires_at > now)
    query = select(_PERMIT.name).where(mine).order_by(_PERMIT.name).with_for_update(skip_locked=True)
    names = tx.scalars(query).all()
    if names:
        ours = (_PERMIT.holder == holder) & _PERMIT.name.in_(names)
        tx.execute(update(rate_permit).where(ours).values(expires_at=expires_at))


def standings(tx: Connection, *, holder: str) -> list[Standing]:
    """The holder's shares, and how often others were refused; reads only."""
    columns = (_PERMIT.name, _PERMIT.expires_at, _LIMIT.wanted)
    query = select(*columns).join_from(rate_permit, rate_limit).where(_PERMIT.holder == holder)
    return [Standing(row.name, row.expires_at, row.wanted) for row in tx.execute(query)]


def _lock(tx: Connection, name: str) -> int:
    """Lock the limit's row, made where it is missing; returns how often somebody was refused."""
    new = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    tx.execute(new(rate_limit).values(name=name, wanted=0).on_conflict_do_nothing())
    query = select(_LIMIT.wanted).where(_LIMIT.name == name).with_for_update(key_share=True)
    return int(tx.scalars(query).one())


def _put(tx: Connection, name: str, holder: str, *, permits: int, expires_at: datetime) -> None:
    new = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    values = {"permits": permits, "expires_at": expires_at}
    fresh = new(rate_permit).values(name=name, holder=holder, **values)
    tx.execute(fresh.on_conflict_do_update(index_elements=[_PERMIT.name, _PERMIT.holder], set_=values))


def _shares(name: str) -> Select[tuple[str, int]]:
    return select(_PERMIT.holder, _PERMIT.permits).where(_PERMIT.name == name)


def _name(each: Ask) -> str:
    return each.name
