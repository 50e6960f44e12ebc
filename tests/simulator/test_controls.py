"""Trouble for everybody comes in exact shares."""

import pytest

from service.simulator.controls import ControlPanel, Controls


def failures(panel: ControlPanel, *, of: int) -> list[int]:
    return [index for index in range(of) if panel.refusal() is not None]


def test_no_trouble_by_default() -> None:
    assert failures(ControlPanel(), of=100) == []


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.25, [3, 7, 11]), (0.1, [9]), (0.5, [1, 3, 5, 7, 9, 11]), (1.0, list(range(12)))]
)
def test_an_error_rate_is_exact(rate: float, expected: list[int]) -> None:
    panel = ControlPanel()
    panel.set(Controls(error_rate=rate, error_status=502))
    assert failures(panel, of=12) == expected


def test_the_status_is_as_set() -> None:
    panel = ControlPanel()
    panel.set(Controls(error_rate=1, error_status=429))
    refusal = panel.refusal()
    assert refusal is not None
    assert refusal.status == 429


def test_an_outage_is_503_for_all_until_it_ends() -> None:
    panel = ControlPanel()
    panel.set(Controls(outage=True))
    assert {refusal.status for refusal in (panel.refusal() for _ in range(5)) if refusal} == {503}
    panel.set(Controls())
    assert failures(panel, of=5) == []
