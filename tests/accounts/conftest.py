"""Accounts of one installation: a clock turned by hand, repeatable randomness, and Argon2 at its lowest cost."""

import random
from collections.abc import Callable

import argon2
import pytest

from service.accounts.passwords import HashedPassword, Passwords
from service.accounts.registry import AccountRegistry
from service.accounts.session_registry import SessionRegistry
from service.accounts.sign_in import SignIn
from service.accounts.values import Account, Role
from service.store.engine import Store
from tests.support.audit import TESTER, TRAIL
from tests.support.clock import HandClock

KEY = b"the account key of the tests, 32"
PASSWORD = "correct horse battery"


def cheap() -> argon2.PasswordHasher:
    return argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="session")
def passwords() -> Passwords:
    return Passwords(cheap())


@pytest.fixture(scope="session")
def hashed(passwords: Passwords) -> HashedPassword:
    return passwords.hash(PASSWORD, name="")


@pytest.fixture
def accounts(clock: HandClock) -> AccountRegistry:
    return AccountRegistry(KEY, trail=TRAIL, now=clock.now, random_bytes=random.Random(5).randbytes)


@pytest.fixture
def sessions(clock: HandClock) -> SessionRegistry:
    return SessionRegistry(KEY, trail=TRAIL, now=clock.now, random_bytes=random.Random(6).randbytes)


@pytest.fixture
def sign_in(
    store: Store, accounts: AccountRegistry, sessions: SessionRegistry, passwords: Passwords, clock: HandClock
) -> SignIn:
    return SignIn(
        store, KEY, accounts=accounts, sessions=sessions, passwords=passwords, trail=TRAIL, now=clock.now
    )


@pytest.fixture
def active(store: Store, accounts: AccountRegistry, hashed: HashedPassword) -> Callable[..., Account]:
    """Makes an account whose password is `PASSWORD`."""

    def make(name: str = "Ada", role: Role = "viewer") -> Account:
        with store.write() as tx:
            made = accounts.create(tx, name=name, role=role, by=TESTER)
            return accounts.redeem_link(tx, made.link.token, password=hashed)

    return make
