"""Signing in with a password: one answer for all who may not, throttled, audited in a bounded way."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import argon2
import pytest
from msgspec.structs import replace
from sqlalchemy import select

from service.accounts.passwords import Passwords
from service.accounts.registry import AccountRegistry
from service.accounts.session_registry import IssuedSession, SessionRegistry
from service.accounts.sign_in import Refused, SignIn
from service.accounts.throttle import ADDRESS_LIMIT, PAIR_LIMIT, WINDOW
from service.accounts.values import Account, Client, SignedIn
from service.errors import InvalidInputError, NotFoundError
from service.store.audit_tables import audit_entry, login_failure
from service.store.engine import Store
from tests.accounts.conftest import KEY, PASSWORD
from tests.support.audit import TESTER, TRAIL, audited
from tests.support.clock import HandClock

HERE = Client("192.0.2.5", "Firefox")
THERE = Client("203.0.113.5", "Firefox")
NEW = "another long password"


def signed_in(issued: IssuedSession | Refused) -> SignedIn:
    assert isinstance(issued, IssuedSession)
    return SignedIn(issued.account, issued.session)


def test_who_knows_the_password_is_signed_in(
    store: Store, sign_in: SignIn, sessions: SessionRegistry, active: Callable[..., Account]
) -> None:
    ada = active("Ada")
    issued = sign_in.with_password("ada", PASSWORD, client=HERE)
    assert isinstance(issued, IssuedSession)
    with store.read() as tx:
        found = sessions.resolve(tx, issued.token)
        assert tx.execute(select(login_failure)).all() == []
    assert found is not None
    assert found.account.id == ada.id
    assert found.session.address == "192.0.2.5"


def test_there_is_one_answer_for_all_others(
    store: Store, sign_in: SignIn, accounts: AccountRegistry, active: Callable[..., Account]
) -> None:
    active("Ada")
    disabled = active("Bob")
    with store.write() as tx:
        accounts.disable(tx, disabled.id, by=TESTER)
        accounts.create(tx, name="Eve", role="admin", by=TESTER)
    attempts = [
        ("Ada", "wrong"), ("Ada", ""), ("Ada", PASSWORD + "x" * 300), ("Bob", PASSWORD), ("Eve", ""),
        ("nobody", PASSWORD), ("", PASSWORD), ("a\x00b", PASSWORD), ("x" * 5000, PASSWORD), ("\ud800", "\ud800"),
    ]  # fmt: skip
    for name, password in attempts:
        assert sign_in.with_password(name, password, client=HERE) == Refused("wrong")


def test_failures_are_throttled_for_a_name_from_one_address(
    sign_in: SignIn, active: Callable[..., Account], clock: HandClock
) -> None:
    active("Ada")
    for _ in range(PAIR_LIMIT):
        assert sign_in.with_password("Ada", "wrong", client=HERE) == Refused("wrong")
    assert sign_in.with_password("Ada", PASSWORD, client=HERE) == Refused("throttled", 900)
    signed_in(sign_in.with_password("Ada", PASSWORD, client=THERE))
    clock.advance(WINDOW)
    signed_in(sign_in.with_password("Ada", PASSWORD, client=HERE))


def test_unknown_names_are_throttled_alike(sign_in: SignIn) -> None:
    for _ in range(PAIR_LIMIT):
        assert sign_in.with_password("nobody", "wrong", client=HERE) == Refused("wrong")
    assert sign_in.with_password("nobody", "wrong", client=HERE) == Refused("throttled", 900)


def test_a_right_password_sets_the_count_back(sign_in: SignIn, active: Callable[..., Account]) -> None:
    active("Ada")
    for _ in range(3):
        for _ in range(PAIR_LIMIT - 1):
            assert sign_in.with_password("Ada", "wrong", client=HERE) == Refused("wrong")
        signed_in(sign_in.with_password("Ada", PASSWORD, client=HERE))


def test_the_audit_log_hears_of_a_limit_once(
    store: Store, sign_in: SignIn, active: Callable[..., Account], clock: HandClock
) -> None:
    ada = active("Ada")
    for _ in range(3 * PAIR_LIMIT):
        sign_in.with_password("Ada", "wrong", client=HERE)
    (blocked,) = audited(store, "account.sign_in_blocked")
    assert (blocked.actor.name, blocked.actor.address) == ("dashboard sign-in", "192.0.2.5")
    assert (blocked.target, blocked.before, blocked.after) == (ada.target, None, None)
    clock.advance(WINDOW)
    for _ in range(3 * PAIR_LIMIT):
        sign_in.with_password("Ada", "wrong", client=HERE)
    assert len(audited(store, "account.sign_in_blocked")) == 2


def test_a_password_typed_as_a_name_is_told_nobody(
    store: Store, sign_in: SignIn, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(ADDRESS_LIMIT):
        sign_in.with_password(PASSWORD, "wrong", client=HERE)
    assert [one.target.name for one in audited(store)] == ["an unknown name"]
    with store.read() as tx:
        assert PASSWORD not in str(tx.execute(select(audit_entry)).all())
    captured = capsys.readouterr()
    assert PASSWORD not in captured.out + captured.err


def test_attempts_at_one_moment_do_not_pass_the_limit(
    store: Store, sign_in: SignIn, active: Callable[..., Account]
) -> None:
    active("Ada")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: sign_in.with_password("Ada", "wrong", client=HERE), range(40)))
    reasons = [one.reason for one in found if isinstance(one, Refused)]
    assert (reasons.count("wrong"), reasons.count("throttled")) == (PAIR_LIMIT, 40 - PAIR_LIMIT)
    assert len(audited(store, "account.sign_in_blocked")) == 1


def test_a_link_signs_in(
    store: Store, sign_in: SignIn, accounts: AccountRegistry, sessions: SessionRegistry
) -> None:
    with store.write() as tx:
        link = accounts.first_link(tx, by=TESTER)
    assert link is not None
    issued = sign_in.with_link(link.token, PASSWORD, client=HERE, name="Ada")
    with store.read() as tx:
        assert sessions.resolve(tx, issued.token) is not None
    assert (issued.account.name, issued.account.role) == ("Ada", "admin")
    signed_in(sign_in.with_password("Ada", PASSWORD, client=HERE))
    with pytest.raises(NotFoundError, match="this link does not work any more"):
        sign_in.with_link(link.token, PASSWORD, client=HERE, name="Eve")


def test_a_password_that_will_not_do_leaves_the_link(
    store: Store, sign_in: SignIn, accounts: AccountRegistry
) -> None:
    with store.write() as tx:
        link = accounts.create(tx, name="Ada Lovelace", role="viewer", by=TESTER).link
    for password in ("short", "ada lovelace"):
        with pytest.raises(InvalidInputError):
            sign_in.with_link(link.token, password, client=HERE)
    assert sign_in.with_link(link.token, PASSWORD, client=HERE).account.name == "Ada Lovelace"


def test_of_two_who_use_a_link_at_once_one_is_signed_in(
    store: Store, sign_in: SignIn, accounts: AccountRegistry
) -> None:
    with store.write() as tx:
        link = accounts.create(tx, name="Ada", role="viewer", by=TESTER).link

    def use(_number: int) -> bool:
        try:
            sign_in.with_link(link.token, PASSWORD, client=HERE)
        except NotFoundError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(use, range(4))) == [False, False, False, True]


def test_changing_a_password_needs_the_old_one(
    store: Store, sign_in: SignIn, sessions: SessionRegistry, active: Callable[..., Account]
) -> None:
    active("Ada")
    here, there = (sign_in.with_password("Ada", PASSWORD, client=client) for client in (HERE, THERE))
    me = signed_in(here)
    assert sign_in.change_password(me, old="wrong", new=NEW) == Refused("wrong")
    with pytest.raises(InvalidInputError, match="the new password is the old one"):
        sign_in.change_password(me, old=PASSWORD, new=PASSWORD)
    with pytest.raises(InvalidInputError, match="must have 12 to 256 characters"):
        sign_in.change_password(me, old=PASSWORD, new="short")
    assert sign_in.change_password(me, old=PASSWORD, new=NEW) is None
    assert isinstance(here, IssuedSession)
    assert isinstance(there, IssuedSession)
    with store.read() as tx:
        assert sessions.resolve(tx, here.token) is not None
        assert sessions.resolve(tx, there.token) is None
    assert sign_in.with_password("Ada", PASSWORD, client=HERE) == Refused("wrong")
    signed_in(sign_in.with_password("Ada", NEW, client=HERE))
    (changed,) = audited(store, "account.set_password")
    assert (changed.actor, changed.target) == (
        replace(me.account.actor, address="192.0.2.5"),
        me.account.target,
    )


def test_guessing_through_a_session_is_throttled_too(sign_in: SignIn, active: Callable[..., Account]) -> None:
    active("Ada")
    me = signed_in(sign_in.with_password("Ada", PASSWORD, client=HERE))
    found = [sign_in.change_password(me, old="wrong", new=NEW) for _ in range(PAIR_LIMIT + 1)]
    assert found[-1] == Refused("throttled", 900)


def test_a_hash_of_older_costs_is_renewed_at_sign_in(
    store: Store,
    accounts: AccountRegistry,
    sessions: SessionRegistry,
    passwords: Passwords,
    clock: HandClock,
) -> None:
    dearer = Passwords(argon2.PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    doors = [
        SignIn(store, KEY, accounts=accounts, sessions=sessions, passwords=one, trail=TRAIL, now=clock.now)
        for one in (passwords, dearer)
    ]
    with store.write() as tx:
        link = accounts.create(tx, name="Ada", role="viewer", by=TESTER).link
    doors[0].with_link(link.token, PASSWORD, client=HERE)
    issued = doors[1].with_password("Ada", PASSWORD, client=HERE)
    assert isinstance(issued, IssuedSession)
    with store.read() as tx:
        stored = accounts.credentials(tx, "Ada")[1]
        assert sessions.resolve(tx, issued.token) is not None
    assert stored is not None
    assert "m=8,t=2,p=1" in stored
    signed_in(doors[1].with_password("Ada", PASSWORD, client=HERE))
