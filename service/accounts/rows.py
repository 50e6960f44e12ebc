"""Accounts in the store. A password's hash stays in its column: `read_password` alone reads it.

Functions take the caller's transaction, which has the lock of the configuration (`store.revision`) where they write.
"""

from datetime import datetime
from itertools import chain, count
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, insert, select, update

from service.accounts.values import NAME_LENGTH, Account, fold
from service.audit.actor import Target, label
from service.store.audit_tables import account as account_table

NOBODY = Target("account", "", "the first account")
_ACCOUNT = account_table.c
_PLAIN = tuple(name for name in Account.__struct_fields__ if name not in ("has_password", "identity"))
_FIELDS = (
    *(_ACCOUNT[name] for name in _PLAIN),
    _ACCOUNT.password_hash.is_not(None).label("has_password"),
    _ACCOUNT.oidc_subject.label("identity"),
)


def read_all(tx: Connection) -> list[Account]:
    """Every account, by name."""
    found = tx.execute(select(*_FIELDS).order_by(_ACCOUNT.folded_name)).mappings()
    return [_account(row) for row in found]


def read(tx: Connection, account_id: str) -> Account | None:
    """The account with this id."""
    return _one(tx, _ACCOUNT.id == account_id) if account_id.isprintable() else None


def read_named(tx: Connection, name: str) -> Account | None:
    """The account of this name, without regard to case."""
    possible = len(name) <= NAME_LENGTH and name.isprintable()
    return _one(tx, _ACCOUNT.folded_name == fold(name)) if possible else None


def read_identity(tx: Connection, identity: str) -> Account | None:
    """The account of an identity provider's issuer and subject."""
    return _one(tx, _ACCOUNT.oidc_subject == identity)


def read_password(tx: Connection, account_id: str) -> str | None:
    """The hash of the account's password."""
    return tx.scalar(select(_ACCOUNT.password_hash).where(_ACCOUNT.id == account_id))


def replace_hash(tx: Connection, account_id: str, *, old: str, new: str) -> None:
    """Another hash of the same password."""
    this = (_ACCOUNT.id == account_id) & (_ACCOUNT.password_hash == old)
    tx.execute(update(account_table).where(this).values(password_hash=new))


def any_account(tx: Connection) -> bool:
    """Whether there is one."""
    return tx.scalar(select(_ACCOUNT.id).limit(1)) is not None


def free_name(tx: Connection, wanted: str) -> str:
    """*wanted*, or it with a number, if an account has that name already."""
    printable = label(wanted.strip(), longest=NAME_LENGTH - 8).strip() or "account"
    numbered = (f"{printable} ({number})" for number in count(2))
    return next(name for name in chain([printable], numbered) if read_named(tx, name) is None)


def add(tx: Connection, account: Account, *, folded_name: str) -> None:
    """Store a new account."""
    row: dict[str, Any] = {name: getattr(account, name) for name in _PLAIN}
    row |= {"folded_name": folded_name, "oidc_subject": account.identity}
    tx.execute(insert(account_table).values(row))


def change(tx: Connection, account: Account, *, now: datetime, **values: Any) -> Account:
    """Set columns of the account, which is returned as it is then."""
    tx.execute(update(account_table).where(_ACCOUNT.id == account.id).values(**values, updated_at=now))
    changed = read(tx, account.id)
    assert changed is not None  # accounts are never deleted
    return changed


def signed_in(tx: Connection, account: Account, *, now: datetime) -> Account:
    """The account has signed in now."""
    tx.execute(update(account_table).where(_ACCOUNT.id == account.id).values(signed_in_at=now))
    return msgspec.structs.replace(account, signed_in_at=now)


def _one(tx: Connection, condition: ColumnElement[bool]) -> Account | None:
    row = tx.execute(select(*_FIELDS).where(condition)).mappings().first()
    return None if row is None else _account(row)


def _account(row: RowMapping) -> Account:
    fields: dict[str, Any] = dict(row)
    return Account(**fields | {"has_password": bool(fields["has_password"])})
