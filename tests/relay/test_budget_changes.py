"""Budgets, limits and projects that an operator changes while a relay runs: in force through the store alone.

No upstream answers: a request that is let in is told so (502), one that is refused is not (429, 401).
"""

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from service.budgets.values import BudgetChanges, GivenRaise, GivenScope, NewBudget
from service.keys.projects import ProjectChanges, ProjectRegistry
from service.keys.values import Limits
from service.store.engine import Store
from tests.budgets.making import BY, registry
from tests.relay.conftest import MakeRelay
from tests.support.audit import TRAIL
from tests.support.clock import HandClock
from tests.support.relay import CHAT, Relay, until
from tests.support.relay import upstream as configured

BUDGETS = registry()
PROJECTS = ProjectRegistry(now=HandClock().now, random_bytes=random.Random(5).randbytes, trail=TRAIL)
SHORT = {**CHAT, "max_tokens": 100}
LET_IN, NO_MONEY, NO_KEY = 502, 429, 401
PLENTY, LITTLE = "1", "0.0000001"


@pytest.fixture
def relay(make_relay: MakeRelay) -> Relay:
    return make_relay(configured("nobody", "http://127.0.0.1:1/v1"))


@contextmanager
def elsewhere(relay: Relay) -> Iterator[Store]:
    """The store as another process has it: nothing tells the relay of a change but the revision."""
    with closing(Store(relay.process.store.url.render_as_string(hide_password=False))) as store:
        yield store


def becomes(relay: Relay, status: int, *, key: str = "") -> bool:
    """Whether requests are answered so before long."""

    def answered() -> bool:
        with relay.client(key) as asking:
            return asking.post(SHORT).answer().status == status

    return until(answered)


def make(relay: Relay, usd: str, *, timezone: str = "UTC") -> str:
    with elsewhere(relay) as store, store.write() as tx:
        new = NewBudget(scope=GivenScope("global"), limit_usd=usd, window="day", timezone=timezone)
        return BUDGETS.create(tx, new, by=BY).budget.id


def change(relay: Relay, budget: str, changes: BudgetChanges) -> None:
    with elsewhere(relay) as store, store.write() as tx:
        BUDGETS.update(tx, budget, changes=changes, by=BY)


def test_a_new_a_lowered_a_raised_and_a_deleted_budget(relay: Relay) -> None:
    assert becomes(relay, LET_IN)
    budget = make(relay, PLENTY)
    assert becomes(relay, LET_IN)
    change(relay, budget, BudgetChanges(limit_usd=LITTLE))
    assert becomes(relay, NO_MONEY)
    change(relay, budget, BudgetChanges(limit_usd=PLENTY))
    assert becomes(relay, LET_IN)
    change(relay, budget, BudgetChanges(limit_usd=LITTLE))
    assert becomes(relay, NO_MONEY)
    until_tomorrow = datetime.now(UTC) + timedelta(days=1)  # noqa: TID251  (the relay goes by the wall clock)
    change(relay, budget, BudgetChanges(temporary_raise=GivenRaise(PLENTY, until_tomorrow)))
    assert becomes(relay, LET_IN)
    change(relay, budget, BudgetChanges(temporary_raise=None))
    assert becomes(relay, NO_MONEY)
    with elsewhere(relay) as store, store.write() as tx:
        BUDGETS.delete(tx, budget, by=BY)
    assert becomes(relay, LET_IN)


def test_other_models_and_another_mode(relay: Relay) -> None:
    budget = make(relay, LITTLE)
    assert becomes(relay, NO_MONEY)
    change(relay, budget, BudgetChanges(models=["o1"]))
    assert becomes(relay, LET_IN)
    change(relay, budget, BudgetChanges(models=None))
    assert becomes(relay, NO_MONEY)
    change(relay, budget, BudgetChanges(mode="soft"))
    assert becomes(relay, LET_IN)


def test_a_change_of_zone_in_the_middle_of_a_period_frees_nothing(relay: Relay) -> None:
    """Peers: whoever changed the zone began a new period and had the money twice."""
    budget = make(relay, LITTLE, timezone="Pacific/Kiritimati")
    assert becomes(relay, NO_MONEY)
    for zone in ("Pacific/Pago_Pago", "UTC", "Asia/Kathmandu"):
        change(relay, budget, BudgetChanges(timezone=zone))
        assert becomes(relay, NO_MONEY)


def test_limits_of_a_project_and_its_archive(relay: Relay) -> None:
    key = relay.new_key(name="app", project="search")
    assert becomes(relay, LET_IN, key=key)
    for limits, status in ((Limits(tpm=1), NO_MONEY), (None, LET_IN), (Limits(tpm=1), NO_MONEY)):
        with elsewhere(relay) as store, store.write() as tx:
            PROJECTS.update(tx, "search", changes=ProjectChanges(limits=limits), by=BY)
        assert becomes(relay, status, key=key)
    with elsewhere(relay) as store, store.write() as tx:
        PROJECTS.archive(tx, "search", by=BY)
    assert becomes(relay, NO_KEY, key=key)
    with elsewhere(relay) as store, store.write() as tx:
        PROJECTS.restore(tx, "search", by=BY)
        PROJECTS.update(tx, "search", changes=ProjectChanges(limits=None), by=BY)
    assert becomes(relay, LET_IN, key=key)
