"""What a million tokens cost, as billed and without caches."""

import pytest

from service.reporting.blended import UnitCost, unit_cost
from service.reporting.savings import Savings


@pytest.mark.parametrize(
    ("tokens", "cost", "saved", "expected"),
    [
        (1_000_000, 2_000_000_000, None, (2_000_000_000, 2_000_000_000)),
        (500_000, 1_000_000_000, 250_000_000, (2_000_000_000, 2_500_000_000)),
        (3, 10, -1, (3_333_333, 3_000_000)),
        (0, 10, None, (None, None)),
        (10, None, 5, (None, None)),
        (10, 0, 5, (None, None)),
    ],
)
def test_effective_and_blended(
    tokens: int, cost: int | None, saved: int | None, expected: tuple[int | None, int | None]
) -> None:
    found = unit_cost(tokens=tokens, cost_nanos=cost, saved=Savings(net_nanos=saved))
    assert found == UnitCost(effective_nanos=expected[0], blended_nanos=expected[1])
