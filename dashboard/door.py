"""Who is signed in, by the session that the browser's cookie names; and how one begins and ends.

The store is asked at most every `RECHECK_S` for each session, so that one that was ended is out that fast. While the
store is away nobody is known: a page's frame may load, nothing else is answered.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Self

import msgspec
import streamlit as st

from dashboard.viewer import Viewer
from service.accounts.first_visit import FirstVisit
from service.accounts.passwords import Passwords
from service.accounts.registry import AccountRegistry
from service.accounts.session_registry import SessionRegistry
from service.accounts.sign_in import SignIn
from service.accounts.values import SignedIn
from service.errors import StoreUnavailableError
from service.keys.secrets import account_key, audit_trail
from service.keys.token import RandomBytes
from service.store.engine import Store

COOKIE = "tollkeeper_session"
RECHECK_S = 2.0
_MOST_KNOWN = 1_000


class SignedOutError(Exception):
    """Nobody is signed in here any more."""


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts and sessions of one installation, and what is known of sessions for the moment.

    *monotonic* is a clock in seconds that nobody sets.
    """

    store: Store
    accounts: AccountRegistry
    sessions: SessionRegistry
    passwords: Passwords
    sign_in: SignIn
    first_visit: FirstVisit
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    known: "KnownSessions"

    @classmethod
    def of(
        cls,
        store: Store,
        root: bytes,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        random_bytes: RandomBytes,
        passwords: Passwords | None = None,
    ) -> Self:
        """From the root secret of the installation."""
        key, trail = account_key(root), audit_trail(root, now=now)
        accounts = AccountRegistry(key, trail=trail, now=now, random_bytes=random_bytes)
        sessions = SessionRegistry(key, trail=trail, now=now, random_bytes=random_bytes)
        hashing = passwords or Passwords()
        return cls(
            store=store,
            accounts=accounts,
            sessions=sessions,
            passwords=hashing,
            sign_in=SignIn(
                store, key, accounts=accounts, sessions=sessions, passwords=hashing, trail=trail, now=now
            ),
            first_visit=FirstVisit(store, key, accounts=accounts, sessions=sessions, now=now),
            now=now,
            monotonic=monotonic,
            known=KnownSessions(),
        )

    def who(self, token: str | None) -> SignedIn | None:
        """Who sends *token*; None where it names no session that is open.

        Raises:
            StoreUnavailableError: it cannot be said now.
        """
        if not token:
            return None
        moment = self.monotonic()
        found = self.known.get(token, moment)
        if found is not None:
            return found
        with self.store.read() as tx:
            found = self.sessions.resolve(tx, token)
        self.known.put(token, found, moment)
        if found is not None and self.sessions.is_due(found.session):
            self._keep(found)
        return found

    def end(self, signed_in: SignedIn) -> None:
        """Sign out."""
        by = msgspec.structs.replace(signed_in.account.actor, address=signed_in.session.address)
        with self.store.write() as tx:
            self.sessions.end(tx, signed_in.session.id, by=by)
        self.known.clear()

    def first_account_is_missing(self) -> bool:
        """Whether nobody has an account yet."""
        with self.store.read() as tx:
            return not self.accounts.list(tx)

    def _keep(self, signed_in: SignedIn) -> None:
        try:
            with self.store.write() as tx:
                self.sessions.keep(tx, signed_in.session)
        except StoreUnavailableError:
            return  # the session ends a little earlier, if the store stays away

    def current(self) -> SignedIn:
        """Who runs this script; SignedOutError where nobody is signed in any more."""
        found = self.who(st.context.cookies.get(COOKIE))
        if found is None:
            raise SignedOutError
        return found

    def viewer(self) -> Viewer:
        """The same as pages need it."""
        account = self.current().account
        return Viewer(id=account.id, name=account.name, role=account.role)


class KnownSessions:
    """What the store said of sessions a moment ago. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[SignedIn, float]] = {}

    def get(self, token: str, moment: float) -> SignedIn | None:
        """Who it was, if the store was asked less than `RECHECK_S` ago."""
        with self._lock:
            found = self._known.get(token)
        return None if found is None or moment - found[1] > RECHECK_S else found[0]

    def put(self, token: str, signed_in: SignedIn | None, moment: float) -> None:
        """What the store says now."""
        with self._lock:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            if signed_in is None:
                self._known.pop(token, None)
            else:
                self._known[token] = (signed_in, moment)

    def clear(self) -> None:
        """Forget everything: somebody signed out, or an account changed."""
        with self._lock:
            self._known.clear()
