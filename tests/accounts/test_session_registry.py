"""Sessions: recognised by a token, ended on the server."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from service.accounts.session_registry import SessionRegistry
from service.accounts.sessions import MOST_OF_AN_ACCOUNT, SEEN_EVERY
from service.accounts.values import Account, Client, SessionRules
from service.audit.actor import Actor
from service.errors import ConflictError
from service.store.audit_tables import account_session, audit_entry
from service.store.engine import Store
from tests.support.audit import TESTER, audited
from tests.support.clock import HandClock

LAPTOP = Client("192.0.2.5", "Firefox")
RULES = SessionRules()


@pytest.fixture
def ada(active: Callable[..., Account]) -> Account:
    return active("Ada", "admin")


def test_a_token_is_recognised(
    store: Store, sessions: SessionRegistry, ada: Account, clock: HandClock
) -> None:
    with store.write() as tx:
        issued = sessions.begin(tx, ada.id, client=LAPTOP)
    with store.read() as tx:
        found = sessions.resolve(tx, issued.token)
        stored = str(tx.execute(select(account_session)).all()) + str(tx.execute(select(audit_entry)).all())
    assert found is not None
    assert found.session == issued.session
    assert (found.session.address, found.session.user_agent) == ("192.0.2.5", "Firefox")
    assert found.account == issued.account
    assert found.account.signed_in_at == clock.now()
    assert issued.token not in stored
    assert issued.token not in repr(issued)
    signed_in = audited(store)[-1]
    assert (signed_in.action, signed_in.after) == ("account.sign_in", {"session": issued.session.id})
    assert signed_in.actor == Actor("account", ada.id, "Ada", "192.0.2.5")


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "\x00"])
def test_what_is_no_token(store: Store, sessions: SessionRegistry, ada: Account, token: str) -> None:
    with store.write() as tx:
        sessions.begin(tx, ada.id, client=LAPTOP)
        assert sessions.resolve(tx, token) is None


def test_a_row_written_by_hand_opens_no_session(
    store: Store, sessions: SessionRegistry, ada: Account
) -> None:
    """Whoever can write to the store, but does not know the key, cannot make a token for a row."""
    with store.write() as tx:
        issued = sessions.begin(tx, ada.id, client=LAPTOP)
        tx.execute(update(account_session).values(digest=b"x" * 32))
        assert sessions.resolve(tx, issued.token) is None


def test_a_session_ends_with_its_time(
    store: Store, sessions: SessionRegistry, ada: Account, clock: HandClock
) -> None:
    with store.write() as tx:
        issued = sessions.begin(tx, ada.id, client=LAPTOP)
        end = clock.now() + RULES.lifetime
        while clock.now() + RULES.idle / 2 < end:
            clock.advance(RULES.idle / 2)
            assert sessions.resolve(tx, issued.token) is not None
            sessions.keep(tx, issued.session)
        clock.advance(end - clock.now())
        assert sessions.resolve(tx, issued.token) is None
        assert sessions.list(tx) == []


def test_a_session_ends_without_use(
    store: Store, sessions: SessionRegistry, ada: Account, clock: HandClock
) -> None:
    with store.write() as tx:
        issued = sessions.begin(tx, ada.id, client=LAPTOP)
        clock.advance(RULES.idle - timedelta(microseconds=1))
        assert sessions.resolve(tx, issued.token) is not None
        clock.advance(timedelta(microseconds=1))
        assert sessions.resolve(tx, issued.token) is None
        sessions.keep(tx, issued.session)  # too late, or beside another request


def test_use_is_noted_once_a_minute(
    store: Store, sessions: SessionRegistry, ada: Account, clock: HandClock
) -> None:
    with store.write() as tx:
        issued = sessions.begin(tx, ada.id, client=LAPTOP)
        assert not sessions.is_due(issued.session)
        clock.advance(SEEN_EVERY)
        assert sessions.is_due(issued.session)
        sessions.keep(tx, issued.session)
        (session,) = sessions.list(tx)
    assert session.seen_at == clock.now()
    assert not sessions.is_due(session)


def test_signing_out_ends_it_on_the_server(store: Store, sessions: SessionRegistry, ada: Account) -> None:
    with store.write() as tx:
        ended, stays = (sessions.begin(tx, ada.id, client=LAPTOP) for _ in range(2))
        sessions.end(tx, ended.session.id, by=ada.actor)
        sessions.end(tx, ended.session.id, by=ada.actor)
        assert sessions.resolve(tx, ended.token) is None
        assert sessions.resolve(tx, stays.token) is not None
    (out,) = audited(store, "account.sign_out")
    assert (out.actor, out.target, out.before) == (ada.actor, ada.target, {"session": ended.session.id})


def test_an_administrator_ends_all(
    store: Store, sessions: SessionRegistry, ada: Account, active: Callable[..., Account]
) -> None:
    bob = active("Bob")
    with store.write() as tx:
        mine = [sessions.begin(tx, ada.id, client=LAPTOP) for _ in range(3)]
        other = sessions.begin(tx, bob.id, client=LAPTOP)
        assert sessions.end_all(tx, ada.id, by=TESTER) == 3
        assert sessions.end_all(tx, ada.id, by=TESTER) == 0
        assert [sessions.resolve(tx, one.token) for one in mine] == [None] * 3
        assert sessions.list(tx) == [other.session]
    (out,) = audited(store, "account.sign_out")
    assert (out.actor, out.before) == (TESTER, {"sessions": 3})


def test_open_sessions_are_listed(
    store: Store, sessions: SessionRegistry, ada: Account, active: Callable[..., Account], clock: HandClock
) -> None:
    bob = active("Bob")
    with store.write() as tx:
        first = sessions.begin(tx, ada.id, client=LAPTOP).session
        clock.advance(timedelta(seconds=1))
        second = sessions.begin(tx, ada.id, client=Client("a" * 100, "b" * 1000)).session
        clock.advance(timedelta(seconds=1))
        others = sessions.begin(tx, bob.id, client=Client()).session
        assert sessions.list(tx) == [others, second, first]
        assert sessions.list(tx, account_id=ada.id) == [second, first]
    assert second.address is not None
    assert second.user_agent is not None
    assert (len(second.address), len(second.user_agent)) == (64, 300)


def test_an_account_has_a_bounded_number_of_sessions(
    store: Store, sessions: SessionRegistry, ada: Account, active: Callable[..., Account], clock: HandClock
) -> None:
    bob = active("Bob")
    with store.write() as tx:
        other = sessions.begin(tx, bob.id, client=LAPTOP)
        issued = []
        for _ in range(MOST_OF_AN_ACCOUNT + 2):
            clock.advance(timedelta(seconds=1))
            issued.append(sessions.begin(tx, ada.id, client=LAPTOP))
        alive = [sessions.resolve(tx, one.token) is not None for one in issued]
        assert sessions.resolve(tx, other.token) is not None
    assert alive == [False] * 2 + [True] * MOST_OF_AN_ACCOUNT


def test_ended_sessions_are_deleted_when_another_begins(
    store: Store, sessions: SessionRegistry, ada: Account, active: Callable[..., Account], clock: HandClock
) -> None:
    bob = active("Bob")
    with store.write() as tx:
        sessions.begin(tx, bob.id, client=LAPTOP)
        clock.advance(RULES.idle)
        sessions.begin(tx, ada.id, client=LAPTOP)
        assert len(tx.execute(select(account_session)).all()) == 1


def test_nobody_begins_a_session_for_an_absent_account(store: Store, sessions: SessionRegistry) -> None:
    with store.write() as tx, pytest.raises(ConflictError, match="was disabled meanwhile"):
        sessions.begin(tx, "acc_absent", client=LAPTOP)
