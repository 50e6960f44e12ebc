"""Sessions in the store: opened, recognised by their token, ended here and not in the browser.

The store keeps an HMAC of the token, so that reading it, or writing to it, opens no session. Functions take the
caller's transaction.
"""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, delete, insert, select, update

from service.accounts.values import Session, SessionRules
from service.store.audit_tables import account_session

MOST_OF_AN_ACCOUNT = 20
"""The oldest session ends when there would be more."""
SEEN_EVERY = timedelta(minutes=1)
"""How exactly the store knows when a session was used last: a write for every click would be too much."""
_SESSION = account_session.c
_FIELDS = tuple(_SESSION[name] for name in Session.__struct_fields__)


def open_session(tx: Connection, session: Session, *, digest: bytes, rules: SessionRules) -> None:
    """Store a new session; the transaction has the lock of the configuration (`store.revision`)."""
    _forget_ended(tx, account_id=session.account_id, now=session.created_at, rules=rules)
    tx.execute(insert(account_session).values(**msgspec.structs.asdict(session), digest=digest))


def find_session(tx: Connection, digest: bytes, *, now: datetime, rules: SessionRules) -> Session | None:
    """The session of this token's digest, if it has not ended."""
    query = select(*_FIELDS).where(_SESSION.digest == digest, *_open(now, rules))
    row = tx.execute(query).mappings().first()
    return None if row is None else _session(row)


def keep_session(tx: Connection, session: Session, *, now: datetime) -> None:
    """The session was used now."""
    unended = (_SESSION.id == session.id) & (_SESSION.seen_at < now)
    tx.execute(update(account_session).where(unended).values(seen_at=now))


def list_sessions(
    tx: Connection, *, account_id: str | None, now: datetime, rules: SessionRules
) -> list[Session]:
    """Open sessions, of one account or of all, the one used last first."""
    query = select(*_FIELDS).where(*_open(now, rules))
    if account_id is not None:
        query = query.where(_SESSION.account_id == account_id)
    ordered = query.order_by(_SESSION.seen_at.desc(), _SESSION.id.desc()).limit(1_000)
    return [_session(row) for row in tx.execute(ordered).mappings()]


def get_session(tx: Connection, session_id: str) -> Session | None:
    """The session with this id."""
    row = tx.execute(select(*_FIELDS).where(_SESSION.id == session_id)).mappings().first()
    return None if row is None else _session(row)


def close_session(tx: Connection, session_id: str) -> bool:
    """End one session; tells whether it was open."""
    return bool(tx.execute(delete(account_session).where(_SESSION.id == session_id)).rowcount)


def close_sessions(tx: Connection, account_id: str, *, but: str | None = None) -> int:
    """End all sessions of an account, *but* one; tells how many those were."""
    theirs = _SESSION.account_id == account_id
    if but is not None:
        theirs &= _SESSION.id != but
    return tx.execute(delete(account_session).where(theirs)).rowcount


def _forget_ended(tx: Connection, *, account_id: str, now: datetime, rules: SessionRules) -> None:
    """Delete what is over, and the account's oldest sessions if it has as many as it may."""
    over = (_SESSION.expires_at <= now) | (_SESSION.seen_at <= now - rules.idle)
    tx.execute(delete(account_session).where(over))
    newest_first = (
        select(_SESSION.id)
        .where(_SESSION.account_id == account_id)
        .order_by(_SESSION.created_at.desc(), _SESSION.id.desc())
    )
    too_many = list(tx.scalars(newest_first.limit(1_000).offset(MOST_OF_AN_ACCOUNT - 1)))
    if too_many:
        tx.execute(delete(account_session).where(_SESSION.id.in_(too_many)))


def _open(now: datetime, rules: SessionRules) -> tuple[ColumnElement[bool], ...]:
    return _SESSION.expires_at > now, _SESSION.seen_at > now - rules.idle


def _session(row: RowMapping) -> Session:
    return Session(**{str(name): value for name, value in row.items()})
