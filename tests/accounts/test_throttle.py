"""Counting wrong passwords, in the store."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import select

from service.accounts.throttle import (
    ADDRESS_LIMIT,
    NAME_LIMIT,
    PAIR_LIMIT,
    WINDOW,
    Counted,
    blocked_for_s,
    count_attempt,
    subjects_of,
    take_back,
)
from service.store.audit_tables import login_failure
from service.store.engine import Store
from tests.support.clock import HandClock

KEY = b"k" * 32
Attempt = Callable[..., Counted]


@pytest.fixture
def attempt(store: Store, clock: HandClock) -> Attempt:
    def count(name: str = "ada", address: str | None = "192.0.2.1") -> Counted:
        with store.write() as tx:
            return count_attempt(tx, subjects_of(KEY, folded_name=name, address=address), now=clock.now())

    return count


@pytest.fixture
def blocked(store: Store, clock: HandClock) -> Callable[..., int]:
    def ask(name: str = "ada", address: str | None = "192.0.2.1") -> int:
        with store.read() as tx:
            return blocked_for_s(tx, subjects_of(KEY, folded_name=name, address=address), now=clock.now())

    return ask


def test_a_name_from_one_address(attempt: Attempt, blocked: Callable[..., int], clock: HandClock) -> None:
    counted = [attempt() for _ in range(PAIR_LIMIT)]
    assert counted == [Counted(False, 0)] * (PAIR_LIMIT - 1) + [Counted(True, 0)]
    assert blocked() == 900
    assert blocked(address="192.0.2.2") == blocked(name="bob") == 0
    clock.advance(timedelta(minutes=14, seconds=59, milliseconds=500))
    assert blocked() == 1
    assert attempt().retry_after_s == 1
    clock.advance(timedelta(seconds=1))
    assert blocked() == 0
    assert attempt() == Counted(False, 0)


def test_an_address_with_many_names(attempt: Attempt, blocked: Callable[..., int]) -> None:
    assert [attempt(name=f"n{n}").is_last for n in range(ADDRESS_LIMIT)].count(True) == 1
    assert blocked(name="somebody else") == 900
    assert blocked(address="192.0.2.2") == 0


def test_a_name_from_many_addresses(attempt: Attempt, blocked: Callable[..., int]) -> None:
    assert [attempt(address=f"10.0.0.{n}").is_last for n in range(NAME_LIMIT)].count(True) == 1
    assert blocked(address="203.0.113.9") == 900
    assert blocked(name="bob", address="203.0.113.9") == 0


def test_where_no_address_is_known_the_name_counts(attempt: Attempt, blocked: Callable[..., int]) -> None:
    for number in range(3 * PAIR_LIMIT):
        attempt(name=f"n{number}", address=None)
    assert blocked(name="fresh", address=None) == 0
    for _ in range(PAIR_LIMIT):
        attempt(address=None)
    assert blocked(address=None) == 900


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("a name", "a name", True),
        ("a name", "another", False),
    ],
)
def test_what_is_one_address(one: str, other: str, same: bool) -> None:  # noqa: FBT001  (a table)
    first, second = (subjects_of(KEY, folded_name="ada", address=address) for address in (one, other))
    assert (first == second) is same


def test_a_right_password_forgets_the_names_failures_only(
    store: Store, attempt: Attempt, blocked: Callable[..., int], clock: HandClock
) -> None:
    for _ in range(PAIR_LIMIT - 1):
        attempt()
    attempt()
    with store.write() as tx:
        take_back(tx, subjects_of(KEY, folded_name="ada", address="192.0.2.1"))
        left = sorted(tx.scalars(select(login_failure.c.failures)))
    assert left == [PAIR_LIMIT - 1, PAIR_LIMIT - 1]
    assert blocked() == 0
    clock.advance(WINDOW)


def test_a_first_attempt_that_was_right_leaves_nothing(store: Store, attempt: Attempt) -> None:
    attempt()
    with store.write() as tx:
        take_back(tx, subjects_of(KEY, folded_name="ada", address="192.0.2.1"))
        assert tx.execute(select(login_failure)).all() == []


def test_what_is_over_is_deleted(store: Store, attempt: Attempt, clock: HandClock) -> None:
    for number in range(5):
        attempt(name=f"n{number}")
    clock.advance(WINDOW)
    attempt(name="fresh", address="203.0.113.1")
    with store.read() as tx:
        assert len(tx.execute(select(login_failure)).all()) == 3


def test_names_and_addresses_are_not_in_the_store(store: Store, attempt: Attempt) -> None:
    attempt(name="ada")
    with store.read() as tx:
        stored = str(tx.execute(select(login_failure)).all())
    assert "ada" not in stored
    assert "192.0.2.1" not in stored


def test_attempts_at_one_moment_cannot_slip_through(store_url: str, clock: HandClock) -> None:
    def work(number: int) -> list[Counted]:
        found = []
        with closing(Store(store_url)) as store:
            for turn in range(5):
                name = "ada" if (number + turn) % 2 else "bob"
                with store.write() as tx:
                    subjects = subjects_of(KEY, folded_name=name, address="192.0.2.1")
                    found.append(count_attempt(tx, subjects, now=clock.now()))
        return found

    with ThreadPoolExecutor(6) as pool:
        counted = [one for found in pool.map(work, range(6)) for one in found]
    assert sum(one.is_last for one in counted) == 2
    assert sum(one.retry_after_s == 0 for one in counted) == 2 * PAIR_LIMIT
