"""The first visit: whoever holds the first link is let in as an admin at one click, and sets a password when they like.

The account has no password until then, so nobody can sign in to it any other way; its session ends with its time.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec

from service.accounts import links, rows
from service.accounts.registry import LINK, STALE_LINK, AccountRegistry
from service.accounts.session_registry import IssuedSession, SessionRegistry
from service.accounts.tokens import digest_of
from service.accounts.values import Client
from service.audit.actor import Actor
from service.errors import NotFoundError
from service.store.engine import Store
from service.store.revision import lock_revision

FIRST_NAME = "admin"
_HOLDER = Actor.system("one-time link")


class FirstVisit:
    """Lets the holder of the first link in. *key* is derived from the root secret; *now* is the wall clock (UTC)."""

    def __init__(
        self,
        store: Store,
        key: bytes,
        *,
        accounts: AccountRegistry,
        sessions: SessionRegistry,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._key = key
        self._accounts = accounts
        self._sessions = sessions
        self._now = now

    def enter(self, token: str, *, client: Client, name: str = FIRST_NAME) -> IssuedSession:
        """Make the first account, an admin without a password, and a session for it; the link is used up.

        Raises:
            NotFoundError: the link does not work any more, or is not for the first account.
            InvalidInputError: the name will not do.
        """
        digest, now = digest_of(token, key=self._key, purpose=LINK), self._now()
        by = msgspec.structs.replace(_HOLDER, address=client.address)
        with self._store.write() as tx:
            lock_revision(tx)
            link = None if digest is None else links.find_link(tx, digest, now=now)
            if link is None or digest is None or link.account_id is not None or rows.any_account(tx):
                raise NotFoundError(STALE_LINK)
            if not links.use_link(tx, digest, now=now):
                raise NotFoundError(STALE_LINK)
            account = self._accounts.create(tx, name=name, role="admin", by=by).account
            links.drop_links(tx, account.id)
            return self._sessions.begin(tx, account.id, client=client)
