"""One-time links in the store: to set the password of an account, or to make the first account.

The store keeps an HMAC of a link's token. A link works once and for a day; a newer one for the same account takes its
place. Functions take the caller's transaction, which has the lock of the configuration (`store.revision`).
"""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from service.store.audit_tables import account_link

LINK_LIFETIME = timedelta(hours=24)
_LINK = account_link.c


class Link(msgspec.Struct, frozen=True):
    """A link to hand over: its token, which nothing can show again, and when it ends."""

    token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Link(********, expires_at={self.expires_at})"


class StoredLink(msgspec.Struct, frozen=True):
    """A link that works; *account_id* None makes the first account."""

    account_id: str | None
    expires_at: datetime


def store_link(tx: Connection, digest: bytes, *, account_id: str | None, now: datetime) -> datetime:
    """Store a new link in place of those before it; returns when it ends."""
    tx.execute(delete(account_link).where(_of(account_id)))
    expires_at = now + LINK_LIFETIME
    row = {"digest": digest, "account_id": account_id, "created_at": now, "expires_at": expires_at}
    tx.execute(insert(account_link).values(row))
    return expires_at


def find_link(tx: Connection, digest: bytes, *, now: datetime) -> StoredLink | None:
    """The link of this token's digest, if it still works."""
    query = select(_LINK.account_id, _LINK.expires_at).where(_LINK.digest == digest, *_works(now))
    row = tx.execute(query).first()
    return None if row is None else StoredLink(row.account_id, row.expires_at)


def use_link(tx: Connection, digest: bytes, *, now: datetime) -> bool:
    """Use the link up; of two who try at once, one succeeds."""
    used = update(account_link).where(_LINK.digest == digest, *_works(now)).values(used_at=now)
    return bool(tx.execute(used).rowcount)


def drop_links(tx: Connection, account_id: str | None) -> None:
    """End the unused links of an account, or those for the first one."""
    tx.execute(delete(account_link).where(_of(account_id), _LINK.used_at.is_(None)))


def _of(account_id: str | None) -> ColumnElement[bool]:
    return _LINK.account_id.is_(None) if account_id is None else _LINK.account_id == account_id


def _works(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return _LINK.used_at.is_(None), _LINK.expires_at > now
