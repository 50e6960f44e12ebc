"""One small hard budget, several relay processes, many clients, relays killed: never a nano-dollar too much.

The short version of `benchmarks/budget_load.py`.
"""

from pathlib import Path

import pytest

from benchmarks.budget_load import configured, spend

LIMIT_USD = "0.20"
WORKERS = 3


@pytest.mark.parametrize("store", ["sqlite_url", "postgres_url"])
def test_a_hard_budget_is_used_up_and_never_exceeded(
    request: pytest.FixtureRequest, tmp_path: Path, store: str
) -> None:
    url = request.getfixturevalue(store)
    with configured(tmp_path / "rig", store_url=url, workers=WORKERS) as rig:
        spent = spend(rig, limit_usd=LIMIT_USD, workers=WORKERS, clients=120, kills=1, seed=3)
    assert spent.verdict.clean, str(spent)
    assert spent.overshoot == 0
    assert spent.used >= 0.95, str(spent)
    assert spent.refusals > 0
