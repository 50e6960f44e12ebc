"""The dashboard's accounts: everything that happens to one, audited in the same transaction.

Methods take the caller's transaction and never commit. Passwords arrive hashed (`passwords`), so that no transaction
waits for Argon2. The token of a link leaves this module once, as the return value of `create`, `reset` and
`first_link`; stored is its HMAC. Sessions are the business of `session_registry`, signing in of `sign_in`.

    looking      list · get · find · credentials
    making       create, reset, first_link (each gives a link) · find_link · redeem_link · account_for_oidc
    changing     set_password · set_role · disable · enable
"""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from service.accounts import links, rows, sessions
from service.accounts.links import Link, StoredLink
from service.accounts.passwords import HashedPassword
from service.accounts.tokens import RandomBytes, digest_of, mint, new_id
from service.accounts.values import Account, Identity, IdentityRoles, Role, check_account_name, check_role
from service.audit.actor import Actor
from service.audit.trail import AuditTrail
from service.errors import ConflictError, NotFoundError
from service.store.revision import lock_revision

LINK = "link"
LINK_PATH = "/link/"
"""Where the dashboard takes a link: this path and the token."""
_PROVIDER = Actor.system("OpenID Connect sign-in")
_LINK_HOLDER = Actor.system("one-time link")
STALE_LINK = "this link does not work any more; ask for a new one, or run: tollkeeper accounts reset NAME"


class NewAccount(msgspec.Struct, frozen=True):
    """An account, and the link with which its owner sets a password."""

    account: Account
    link: Link


class AccountRegistry:
    """The accounts of a store. *key* is derived from the root secret; *now* is the wall clock (UTC)."""

    def __init__(
        self,
        key: bytes,
        *,
        trail: AuditTrail,
        now: Callable[[], datetime],
        random_bytes: RandomBytes,
    ) -> None:
        self._key = key
        self._trail = trail
        self._now = now
        self._random_bytes = random_bytes

    def create(self, tx: Connection, *, name: str, role: Role, by: Actor) -> NewAccount:
        """A new account, which cannot sign in before its link was used."""
        account = self._add(tx, name=name, role=role, by=by)
        return NewAccount(account, self._link(tx, account.id))

    def list(self, tx: Connection) -> list[Account]:
        """All of them by name; there are few."""
        return rows.read_all(tx)

    def get(self, tx: Connection, account_id: str) -> Account:
        """The account with this id."""
        found = rows.read(tx, account_id)
        if found is None:
            raise NotFoundError(f"no account has the id {account_id[:100]!r}")
        return found

    def find(self, tx: Connection, id_or_name: str) -> Account:
        """The account with this id or name."""
        found = rows.read(tx, id_or_name) or rows.read_named(tx, id_or_name)
        if found is None:
            raise NotFoundError(
                f"no account has the id or name {id_or_name[:100]!r}; see: tollkeeper accounts list"
            )
        return found

    def credentials(self, tx: Connection, name: str) -> tuple[Account | None, str | None]:
        """For `SignIn`: the account of this name, and the hash of its password if it may sign in with one."""
        account = rows.read_named(tx, name)
        if account is None or account.disabled_at is not None:
            return account, None
        return account, rows.read_password(tx, account.id)

    def renew_hash(self, tx: Connection, account_id: str, *, old: str, new: HashedPassword) -> None:
        """For `SignIn`: the same password under today's cost parameters, unless it was changed meanwhile."""
        rows.replace_hash(tx, account_id, old=old, new=new.hash)

    def first_link(self, tx: Connection, *, by: Actor) -> Link | None:
        """A link to make the first account, an admin; None where there is an account already."""
        lock_revision(tx)
        if rows.any_account(tx):
            return None
        self._trail.record(
            tx, by=by, action="account.first_link", target=rows.NOBODY, before=None, after=None
        )
        return self._link(tx, None)

    def reset(self, tx: Connection, account_id: str, *, by: Actor) -> Link:
        """A link to set a new password; until it is used, the old one works."""
        account = self._changeable(tx, account_id)
        if account.identity is not None:
            raise ConflictError(f"{account.name!r} signs in with an identity provider and has no password")
        self._record(tx, "account.reset", account, by=by)
        return self._link(tx, account.id)

    def find_link(self, tx: Connection, token: str) -> StoredLink | None:
        """What a link is for, if it still works."""
        digest = self._digest(token)
        return None if digest is None else links.find_link(tx, digest, now=self._now())

    def redeem_link(
        self,
        tx: Connection,
        token: str,
        *,
        password: HashedPassword,
        name: str | None = None,
        address: str | None = None,
    ) -> Account:
        """Use a link up: its account has this password from now on, and its sessions end.

        A link for the first account makes an admin called *name*, which no other link takes.

        Raises:
            NotFoundError: the link was used, has ended, or never was.
        """
        lock_revision(tx)
        digest, now = self._digest(token), self._now()
        link = None if digest is None else links.find_link(tx, digest, now=now)
        if link is None or digest is None or not links.use_link(tx, digest, now=now):
            raise NotFoundError(STALE_LINK)
        if link.account_id is not None:
            account = self._changeable(tx, link.account_id)
        elif rows.any_account(tx):
            raise NotFoundError(STALE_LINK)
        else:
            by = msgspec.structs.replace(_LINK_HOLDER, address=address)
            account = self._add(tx, name=name or "", role="admin", by=by)
        by = msgspec.structs.replace(account.actor, address=address)
        return self._set_password(tx, account, password, action="account.redeem_link", by=by)

    def set_password(
        self,
        tx: Connection,
        account_id: str,
        *,
        password: HashedPassword,
        by: Actor,
        keep_session: str | None = None,
    ) -> Account:
        """A new password; every session but *keep_session* ends, and so do links."""
        account = self._changeable(tx, account_id)
        if account.identity is not None:
            raise ConflictError(f"{account.name!r} signs in with an identity provider and has no password")
        links.drop_links(tx, account.id)
        return self._set_password(
            tx, account, password, action="account.set_password", by=by, keep_session=keep_session
        )

    def set_role(self, tx: Connection, account_id: str, *, role: Role, by: Actor) -> Account:
        """Another role; it holds at once, for open sessions too."""
        check_role(role)
        lock_revision(tx)
        account = self.get(tx, account_id)
        if account.role == role:
            return account
        changed = rows.change(tx, account, now=self._now(), role=role)
        self._record(tx, "account.role", changed, by=by, before={"role": account.role}, after={"role": role})
        return changed

    def disable(self, tx: Connection, account_id: str, *, by: Actor) -> Account:
        """End its sessions and links and let nobody in; doing so twice changes nothing."""
        lock_revision(tx)
        account = self.get(tx, account_id)
        if account.disabled_at is not None:
            return account
        now = self._now()
        changed = rows.change(tx, account, now=now, disabled_at=now)
        sessions.close_sessions(tx, account.id)
        links.drop_links(tx, account.id)
        was, is_now = {"disabled_at": None}, {"disabled_at": now}
        self._record(tx, "account.disable", changed, by=by, before=was, after=is_now)
        return changed

    def enable(self, tx: Connection, account_id: str, *, by: Actor) -> Account:
        """Let a disabled account sign in again, with the password it had."""
        lock_revision(tx)
        account = self.get(tx, account_id)
        if account.disabled_at is None:
            return account
        changed = rows.change(tx, account, now=self._now(), disabled_at=None)
        was, is_now = {"disabled_at": account.disabled_at}, {"disabled_at": None}
        self._record(tx, "account.enable", changed, by=by, before=was, after=is_now)
        return changed

    def account_for_oidc(self, tx: Connection, identity: Identity, *, roles: IdentityRoles) -> Account | None:
        """The account of somebody whom an OpenID provider vouches for, made at the first sign-in.

        Its role is what *roles* say now. None for somebody they name no role for (whose sessions end), and for a
        disabled account. An account with a password is never taken over, whatever name or address it has.
        """
        lock_revision(tx)
        role, account = roles.role_of(identity), rows.read_identity(tx, identity.text)
        if role is None or (account is not None and account.disabled_at is not None):
            if account is not None:
                sessions.close_sessions(tx, account.id)
            return None
        if account is not None:
            return self.set_role(tx, account.id, role=role, by=_PROVIDER)
        name = rows.free_name(tx, identity.name)
        return self._add(tx, name=name, role=role, by=_PROVIDER, identity=identity.text)

    def _add(
        self, tx: Connection, *, name: str, role: Role, by: Actor, identity: str | None = None
    ) -> Account:
        check_role(role)
        folded = check_account_name(name)
        lock_revision(tx)
        if rows.read_named(tx, name) is not None:
            raise ConflictError(f"an account is named {name!r} already; names are unique")
        now = self._now()
        account = Account(
            id=new_id("acc", now=now, random_bytes=self._random_bytes),
            name=name,
            role=role,
            has_password=False,
            identity=identity,
            created_at=now,
            updated_at=now,
            password_changed_at=None,
            signed_in_at=None,
            disabled_at=None,
        )
        rows.add(tx, account, folded_name=folded)
        after = {"name": name, "role": role, "identity": identity}
        self._record(tx, "account.create", account, by=by, after=after)
        return account

    def _set_password(
        self,
        tx: Connection,
        account: Account,
        password: HashedPassword,
        *,
        by: Actor,
        action: str,
        keep_session: str | None = None,
    ) -> Account:
        now = self._now()
        changed = rows.change(tx, account, now=now, password_hash=password.hash, password_changed_at=now)
        ended = sessions.close_sessions(tx, account.id, but=keep_session)
        self._record(tx, action, changed, by=by, after={"ended_sessions": ended})
        return changed

    def _link(self, tx: Connection, account_id: str | None) -> Link:
        token = mint(self._random_bytes, key=self._key, purpose=LINK)
        return Link(token.text, links.store_link(tx, token.digest, account_id=account_id, now=self._now()))

    def _digest(self, token: str) -> bytes | None:
        return digest_of(token, key=self._key, purpose=LINK)

    def _changeable(self, tx: Connection, account_id: str) -> Account:
        """The account, while no other transaction changes one."""
        lock_revision(tx)
        account = self.get(tx, account_id)
        if account.disabled_at is not None:
            raise ConflictError(
                f"the account {account.name!r} is disabled; run: tollkeeper accounts enable {account.id}"
            )
        return account

    def _record(
        self,
        tx: Connection,
        action: str,
        account: Account,
        *,
        by: Actor,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
    ) -> None:
        self._trail.record(tx, by=by, action=action, target=account.target, before=before, after=after)
