"""The first link lets its holder in at one click, once, as an admin who has no password yet."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from service.accounts.first_visit import FirstVisit
from service.accounts.registry import AccountRegistry
from service.accounts.session_registry import IssuedSession, SessionRegistry
from service.accounts.sign_in import Refused, SignIn
from service.accounts.values import Account, Client
from service.audit.trail import AuditFilter
from service.errors import InvalidInputError, NotFoundError
from service.store.engine import Store
from tests.accounts.conftest import KEY
from tests.support.audit import TESTER, TRAIL
from tests.support.clock import HandClock

HERE = Client("198.51.100.7", "a browser")


@pytest.fixture
def visit(store: Store, accounts: AccountRegistry, sessions: SessionRegistry, clock: HandClock) -> FirstVisit:
    return FirstVisit(store, KEY, accounts=accounts, sessions=sessions, now=clock.now)


@pytest.fixture
def token(store: Store, accounts: AccountRegistry) -> str:
    with store.write() as tx:
        link = accounts.first_link(tx, by=TESTER)
    assert link is not None
    return link.token


def test_the_holder_is_in_as_an_admin_without_a_password(
    store: Store, visit: FirstVisit, token: str, sessions: SessionRegistry, sign_in: SignIn
) -> None:
    entered = visit.enter(token, client=HERE)
    assert (entered.account.name, entered.account.role, entered.account.status) == (
        "admin",
        "admin",
        "invited",
    )
    with store.read() as tx:
        found = sessions.resolve(tx, entered.token)
        (created, *_rest) = reversed(TRAIL.list(tx, AuditFilter(action="account.create"), limit=10))
    assert found is not None
    assert found.account.id == entered.account.id
    assert (created.actor.name, created.actor.address) == ("one-time link", "198.51.100.7")
    assert sign_in.with_password("admin", "", client=HERE) == Refused("wrong")


def test_a_link_works_once_whoever_comes_first(visit: FirstVisit, token: str) -> None:
    def enter(_number: int) -> IssuedSession | NotFoundError:
        try:
            return visit.enter(token, client=HERE)
        except NotFoundError as error:
            return error

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(enter, range(4)))
    assert sum(isinstance(one, IssuedSession) for one in found) == 1


def test_a_link_that_has_ended_or_never_was_lets_nobody_in(
    visit: FirstVisit, token: str, clock: HandClock
) -> None:
    for wrong in ("", "nonsense", token[:-1] + "_", "x" * 43):
        with pytest.raises(NotFoundError):
            visit.enter(wrong, client=HERE)
    clock.advance(timedelta(hours=25))
    with pytest.raises(NotFoundError):
        visit.enter(token, client=HERE)


def test_it_lets_nobody_in_where_there_is_an_account(
    visit: FirstVisit, token: str, active: Callable[..., Account]
) -> None:
    active("Ada")
    with pytest.raises(NotFoundError):
        visit.enter(token, client=HERE)


def test_the_link_of_another_account_is_not_for_this(
    store: Store, visit: FirstVisit, accounts: AccountRegistry
) -> None:
    with store.write() as tx:
        link = accounts.create(tx, name="Ada", role="viewer", by=TESTER).link
    with pytest.raises(NotFoundError):
        visit.enter(link.token, client=HERE)


def test_a_name_that_will_not_do_uses_nothing_up(visit: FirstVisit, token: str) -> None:
    with pytest.raises(InvalidInputError):
        visit.enter(token, client=HERE, name=" ")
    assert visit.enter(token, client=HERE, name="Grace").account.name == "Grace"
