"""Budgets as they are shown: who holds what, and why."""

from datetime import timedelta

import msgspec
import pytest

from service.budgets.leasing import LeaseState
from service.budgets.policy import TemporaryRaise
from service.budgets.standings import HeldLease
from service.budgets.views import BudgetFields, LeaseView, RaiseView
from tests.budgets.making import T0, USD, budget

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("state", "left", "why"),
    [
        ("active", SECOND, "a relay spends from it"),
        ("active", -SECOND, "nobody renews it"),
        ("quarantined", -SECOND, "its relay is gone or cut off; free once its journal is read"),
        ("closed", -SECOND, "burned: nobody can say whether it was spent"),
    ],
)
def test_a_lease_says_why_it_holds_money(state: LeaseState, left: timedelta, why: str) -> None:
    lease = HeldLease(2**62, "relay", state, 3 * USD, USD, 2 * USD, T0 + left)
    view = LeaseView.of(lease, now=T0)
    assert view.why.startswith(why)
    assert (view.id, view.granted_usd, view.spent_usd, view.held_usd) == (str(2**62), "3.00", "1.00", "2.00")


def test_amounts_are_exact_text() -> None:
    made = budget(limit_nanos=10**18)
    assert BudgetFields.of(made).limit_usd == "1000000000.00"
    assert BudgetFields.of(budget(limit_nanos=1)).limit_usd == "0.000000001"
    assert BudgetFields.of(made).temporary_raise is None


def test_a_raise_is_shown_with_its_end() -> None:
    raised = msgspec.structs.replace(budget(), raised=TemporaryRaise(5 * USD, T0))
    assert BudgetFields.of(raised).temporary_raise == RaiseView("5.00", T0)
