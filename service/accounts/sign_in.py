"""Signing in with a password or an identity provider: throttled, audited, and Argon2 outside every transaction.

Unknown names, disabled accounts, accounts without a password and wrong passwords are one answer at one price. An
attempt counts before its password is looked at (`throttle`). What goes into the audit log is bounded: every session
that begins, and of failures only the one that reaches a limit, once a window.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

from service.accounts.passwords import Passwords
from service.accounts.registry import STALE_LINK, AccountRegistry
from service.accounts.session_registry import IssuedSession, SessionRegistry
from service.accounts.throttle import (
    Counted,
    Subjects,
    blocked_for_s,
    count_attempt,
    subjects_of,
    subjects_of_address,
    take_back,
)
from service.accounts.values import NAME_LENGTH, Account, Client, Identity, IdentityRoles, SignedIn, fold
from service.audit.actor import Actor, Target
from service.audit.trail import AuditTrail
from service.errors import InvalidInputError, NotFoundError, TollkeeperError
from service.logs import get_logger
from service.store.engine import Store

_SIGN_IN = Actor.system("dashboard sign-in")


class Refused(msgspec.Struct, frozen=True):
    """Nobody was signed in.

    *wrong*: name or password; *throttled*: too many attempts, for *retry_after_s*; *no_role*: the identity
    provider knows who it is, but nothing gives them a role here, or their account is disabled.
    """

    reason: Literal["wrong", "throttled", "no_role"]
    retry_after_s: int = 0


class NotProvedError(TollkeeperError):
    """Somebody did not prove who they are to the identity provider's satisfaction, or to ours."""


class SignIn:
    """The door of the dashboard, for those with a password. *key* is derived from the root secret."""

    def __init__(  # noqa: PLR0913  (the collaborators of a door)
        self,
        store: Store,
        key: bytes,
        *,
        accounts: AccountRegistry,
        sessions: SessionRegistry,
        passwords: Passwords,
        trail: AuditTrail,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._key = key
        self._accounts = accounts
        self._sessions = sessions
        self._passwords = passwords
        self._trail = trail
        self._now = now

    def with_password(self, name: str, password: str, *, client: Client) -> IssuedSession | Refused:
        """A session for who knows the password."""
        found = self._proved(name, password, client=client)
        if isinstance(found, Refused):
            return found
        with self._store.write() as tx:
            return self._sessions.begin(tx, found.id, client=client)

    def with_link(
        self, token: str, password: str, *, client: Client, name: str | None = None
    ) -> IssuedSession:
        """Set a password with a one-time link, and sign in. A link for the first account needs a *name* for it.

        Raises:
            NotFoundError: the link does not work any more.
            InvalidInputError: name or password will not do.
        """
        with self._store.read() as tx:
            link = self._accounts.find_link(tx, token)
            if link is None:
                raise NotFoundError(STALE_LINK)
            if link.account_id is not None:
                name = self._accounts.get(tx, link.account_id).name
        hashed = self._passwords.hash(password, name=name or "")
        with self._store.write() as tx:
            account = self._accounts.redeem_link(
                tx, token, password=hashed, name=name, address=client.address
            )
            return self._sessions.begin(tx, account.id, client=client)

    def with_identity(
        self, prove: Callable[[], Identity], *, roles: IdentityRoles, client: Client
    ) -> IssuedSession | Refused:
        """A session for whom an identity provider vouches. *prove* asks it, outside of transactions.

        Raises:
            NotProvedError: from *prove*; it counts as a wrong password does. Its other errors count for nothing.
        """
        subjects = subjects_of_address(self._key, client.address)
        counted = self._counted(subjects)
        if isinstance(counted, Refused):
            return counted
        try:
            identity = prove()
        except NotProvedError:
            self._failed(None, client=client, is_last=counted.is_last)
            raise
        except Exception:
            with self._store.write() as tx:
                take_back(tx, subjects)
            raise
        with self._store.write() as tx:
            take_back(tx, subjects)
            account = self._accounts.account_for_oidc(tx, identity, roles=roles)
            if account is not None:
                return self._sessions.begin(tx, account.id, client=client)
        get_logger().warning("sign_in_without_role", identity=identity.text, address=client.address)
        return Refused("no_role")

    def change_password(self, signed_in: SignedIn, *, old: str, new: str) -> Refused | None:
        """Another password for who knows the old one; other sessions end, this one stays."""
        account, session = signed_in.account, signed_in.session
        found = self._proved(account.name, old, client=Client(session.address))
        if isinstance(found, Refused):
            return found
        if new == old:
            raise InvalidInputError("the new password is the old one", field="password")
        hashed = self._passwords.hash(new, name=account.name)
        by = msgspec.structs.replace(account.actor, address=session.address)
        with self._store.write() as tx:
            self._accounts.set_password(tx, found.id, password=hashed, by=by, keep_session=session.id)
        return None

    def _proved(self, name: str, password: str, *, client: Client) -> Account | Refused:
        """The account whose password this is."""
        subjects = subjects_of(self._key, folded_name=fold(name[: NAME_LENGTH + 1]), address=client.address)
        counted = self._counted(subjects)
        if isinstance(counted, Refused):
            return counted
        with self._store.read() as tx:
            account, stored = self._accounts.credentials(tx, name)
        right = self._passwords.verify(password, stored=stored)
        if account is None or stored is None or not right:
            self._failed(account, client=client, is_last=counted.is_last)
            return Refused("wrong")
        renewed = self._passwords.renewed(password, stored=stored)
        with self._store.write() as tx:
            take_back(tx, subjects)
            if renewed is not None:
                self._accounts.renew_hash(tx, account.id, old=stored, new=renewed)
        return account

    def _counted(self, subjects: Subjects) -> Counted | Refused:
        """One attempt more; refused beyond a limit, where nothing is written."""
        now = self._now()
        with self._store.read() as tx:
            waiting = blocked_for_s(tx, subjects, now=now)
        if waiting:
            return Refused("throttled", waiting)
        with self._store.write() as tx:
            counted = count_attempt(tx, subjects, now=now)
        return Refused("throttled", counted.retry_after_s) if counted.retry_after_s else counted

    def _failed(self, account: Account | None, *, client: Client, is_last: bool) -> None:
        """Tell the log, and the audit log at a limit."""
        # A name that no account has may be a password in the wrong field, so it is not told.
        name = "an unknown name" if account is None else account.name
        get_logger().warning("sign_in_failed", account=name, address=client.address, is_last=is_last)
        if not is_last:
            return
        target = Target("account", "", name) if account is None else account.target
        by = msgspec.structs.replace(_SIGN_IN, address=client.address)
        with self._store.write() as tx:
            self._trail.record(
                tx, by=by, action="account.sign_in_blocked", target=target, before=None, after=None
            )
