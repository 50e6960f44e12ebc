"""A clock moved by hand, and the registry that goes by it."""

import pytest

from service.budgets.registry import BudgetRegistry
from tests.budgets.making import registry
from tests.support.clock import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def budgets(clock: HandClock) -> BudgetRegistry:
    return registry(clock)
