"""Sessions of the dashboard: begun for an account, recognised by a token, ended on the server; audited.

A session's token leaves this module once, as the return value of `begin`; the browser keeps it in a cookie that
scripts cannot read. A session ends with its time, without use, by `end`, and when its account is disabled or gets
another password. The role is the account's at the moment of asking.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from service.accounts import rows, sessions
from service.accounts.tokens import RandomBytes, digest_of, mint, new_id
from service.accounts.values import Account, Client, Session, SessionRules, SignedIn
from service.audit.actor import ADDRESS_LENGTH, Actor, label
from service.audit.trail import AuditTrail
from service.errors import ConflictError
from service.store.revision import lock_revision

SESSION = "session"
AGENT_LENGTH = 300


class IssuedSession(msgspec.Struct, frozen=True):
    """A session, whose it is, and its token, which nothing can show again."""

    account: Account
    session: Session
    token: str

    def __repr__(self) -> str:
        return f"IssuedSession({self.session.id})"


class SessionRegistry:
    """The sessions of a store. *key* is derived from the root secret; *now* is the wall clock (UTC)."""

    def __init__(
        self,
        key: bytes,
        *,
        trail: AuditTrail,
        now: Callable[[], datetime],
        random_bytes: RandomBytes,
        rules: SessionRules = SessionRules(),  # noqa: B008  (a frozen value)
    ) -> None:
        self._key = key
        self._trail = trail
        self._now = now
        self._random_bytes = random_bytes
        self._rules = rules

    def begin(self, tx: Connection, account_id: str, *, client: Client) -> IssuedSession:
        """Open a session for somebody who has just proved to be the account."""
        lock_revision(tx)
        account = rows.read(tx, account_id)
        if account is None or account.disabled_at is not None:
            raise ConflictError("the account was disabled meanwhile; ask an administrator")
        now = self._now()
        token = mint(self._random_bytes, key=self._key, purpose=SESSION)
        session = Session(
            id=new_id("ses", now=now, random_bytes=self._random_bytes),
            account_id=account.id,
            created_at=now,
            seen_at=now,
            expires_at=now + self._rules.lifetime,
            address=None if client.address is None else label(client.address, longest=ADDRESS_LENGTH),
            user_agent=None if client.user_agent is None else label(client.user_agent, longest=AGENT_LENGTH),
        )
        sessions.open_session(tx, session, digest=token.digest, rules=self._rules)
        account = rows.signed_in(tx, account, now=now)
        actor = msgspec.structs.replace(account.actor, address=session.address)
        after = {"session": session.id}
        self._trail.record(
            tx, by=actor, action="account.sign_in", target=account.target, before=None, after=after
        )
        return IssuedSession(account, session, token.text)

    def resolve(self, tx: Connection, token: str) -> SignedIn | None:
        """Who holds this token; None where the session has ended or the account may not sign in. Only reads."""
        digest = digest_of(token, key=self._key, purpose=SESSION)
        if digest is None:
            return None
        session = sessions.find_session(tx, digest, now=self._now(), rules=self._rules)
        account = None if session is None else rows.read(tx, session.account_id)
        if session is None or account is None or account.disabled_at is not None:
            return None
        return SignedIn(account, session)

    def is_due(self, session: Session) -> bool:
        """Whether `keep` should be called: the store knows when it was used last to the minute."""
        return self._now() - session.seen_at >= sessions.SEEN_EVERY

    def keep(self, tx: Connection, session: Session) -> None:
        """The session is in use."""
        sessions.keep_session(tx, session, now=self._now())

    def list(self, tx: Connection, *, account_id: str | None = None) -> list[Session]:
        """Open sessions, of one account or of all, the one used last first."""
        return sessions.list_sessions(tx, account_id=account_id, now=self._now(), rules=self._rules)

    def end(self, tx: Connection, session_id: str, *, by: Actor) -> None:
        """End a session: sign out. One that has ended stays so."""
        lock_revision(tx)
        session = sessions.get_session(tx, session_id)
        if session is None:
            return
        sessions.close_session(tx, session_id)
        self._ended(tx, session.account_id, by=by, before={"session": session_id})

    def end_all(self, tx: Connection, account_id: str, *, by: Actor) -> int:
        """End every session of an account; returns how many there were."""
        lock_revision(tx)
        ended = sessions.close_sessions(tx, account_id)
        if ended:
            self._ended(tx, account_id, by=by, before={"sessions": ended})
        return ended

    def _ended(self, tx: Connection, account_id: str, *, by: Actor, before: dict[str, object]) -> None:
        account = rows.read(tx, account_id)
        assert account is not None  # accounts are never deleted
        self._trail.record(
            tx, by=by, action="account.sign_out", target=account.target, before=before, after=None
        )
