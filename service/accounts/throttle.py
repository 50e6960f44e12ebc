"""How many wrong passwords there may be: for a name from one address, from an address, for a name from anywhere.

The counts are in the store, so that they hold for all processes and over restarts; names and addresses are there as
digests. An attempt is counted before its password is looked at, so that attempts at the same moment cannot slip
through, and taken back when it was right. Beyond a limit nothing is written until the window ends. An IPv6 address
counts as its /64, which one subscriber has.
"""

import hmac
import ipaddress
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, case, delete, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.store.audit_tables import login_failure
from service.store.types import UtcMicros

WINDOW = timedelta(minutes=15)
PAIR_LIMIT = 10
ADDRESS_LIMIT = 50
NAME_LIMIT = 100
_FAILURE = login_failure.c
_PURGED_AT_ONCE = 100


class Counted(msgspec.Struct, frozen=True):
    """An attempt that was counted: it *is_last* when no further one is possible in this window.

    With *retry_after_s* it came too late, beside others at the same moment, and must be refused.
    """

    is_last: bool
    retry_after_s: int


class Subjects(msgspec.Struct, frozen=True):
    """What an attempt counts for: digest → limit. The pair is the name from this address."""

    pair: bytes
    limits: Mapping[bytes, int]


def subjects_of(key: bytes, *, folded_name: str, address: str | None) -> Subjects:
    """What an attempt with this name from this address counts for."""
    place = _network(address)
    pair = _digest(key, f"pair\n{place}\n{folded_name}")
    limits = {pair: PAIR_LIMIT, _digest(key, f"name\n{folded_name}"): NAME_LIMIT}
    if place:
        limits[_digest(key, f"address\n{place}")] = ADDRESS_LIMIT
    return Subjects(pair, dict(sorted(limits.items())))


def subjects_of_address(key: bytes, address: str | None) -> Subjects:
    """What an attempt without a name counts for; nothing where no address is known."""
    place = _network(address)
    return Subjects(b"", {_digest(key, f"address\n{place}"): ADDRESS_LIMIT} if place else {})


def blocked_for_s(tx: Connection, subjects: Subjects, *, now: datetime) -> int:
    """Seconds until an attempt is possible; 0 where one is. Only reads."""
    query = select(login_failure).where(_FAILURE.subject.in_(subjects.limits), _FAILURE.since > now - WINDOW)
    over = [row for row in tx.execute(query) if row.failures >= subjects.limits[bytes(row.subject)]]
    return max((_seconds(row.since, now=now) for row in over), default=0)


def count_attempt(tx: Connection, subjects: Subjects, *, now: datetime) -> Counted:
    """Count an attempt as failed, until `take_back`."""
    waiting = 0
    is_last = False
    _purge(tx, now=now)
    for (
        subject,
        limit,
    ) in subjects.limits.items():  # in one order, so that two transactions cannot block each other
        failures, since = _count_one(tx, subject, now=now)
        if failures > limit:
            waiting = max(waiting, _seconds(since, now=now))
        is_last = is_last or failures == limit
    return Counted(is_last, waiting)


def take_back(tx: Connection, subjects: Subjects) -> None:
    """The attempt was right: forget this name's failures from this address, and this attempt for the others."""
    for subject in subjects.limits:
        only_one = _FAILURE.failures == 1
        forget = (_FAILURE.subject == subject) & (only_one if subject != subjects.pair else True)
        if not tx.execute(delete(login_failure).where(forget)).rowcount:
            fewer = update(login_failure).where(_FAILURE.subject == subject, _FAILURE.failures > 1)
            tx.execute(fewer.values(failures=_FAILURE.failures - 1))


def _count_one(tx: Connection, subject: bytes, *, now: datetime) -> tuple[int, datetime]:
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    over = _FAILURE.since <= now - WINDOW
    statement = (
        dialect.insert(login_failure)
        .values(subject=subject, failures=1, since=now)
        .on_conflict_do_update(
            index_elements=[_FAILURE.subject],
            set_={
                "failures": case((over, 1), else_=_FAILURE.failures + 1),
                "since": case((over, literal(now, UtcMicros)), else_=_FAILURE.since),
            },
        )
        .returning(_FAILURE.failures, _FAILURE.since)
    )
    row = tx.execute(statement).one()
    return row.failures, row.since


def _purge(tx: Connection, *, now: datetime) -> None:
    """Delete some of what is over, but nothing that another transaction is counting."""
    over = select(_FAILURE.subject).where(_FAILURE.since <= now - WINDOW).limit(_PURGED_AT_ONCE)
    tx.execute(delete(login_failure).where(_FAILURE.subject.in_(over.with_for_update(skip_locked=True))))


def _seconds(since: datetime, *, now: datetime) -> int:
    return max(1, -((now - since - WINDOW) // timedelta(seconds=1)))


def _network(address: str | None) -> str:
    """The address as it counts; empty where none is known."""
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if found.version == 4:  # noqa: PLR2004  (IPv4)
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), 64), strict=False))


def _digest(key: bytes, text: str) -> bytes:
    return hmac.digest(key, b"login failure\n" + text.encode("utf-8", "surrogatepass"), "sha256")
