"""`usage`: what has no price says so, also where refusals beside it cost nothing."""

from typing import Any

import pytest

from service.cli.usage import _SHOWN, _cells
from tests.reporting.figures_of import row


@pytest.mark.parametrize(
    ("sums", "expected"),
    [
        ({"unpriced": 2, "cost_unpriced": 2, "cost_free": 1, "cost_nanos": 0}, "unpriced"),
        ({"unpriced": 2, "cost_unpriced": 2}, "unpriced"),
        ({"unpriced": 2, "cost_unpriced": 2, "cost_priced": 1, "cost_nanos": 5 * 10**8}, "0.50"),
        ({"cost_free": 1, "cost_nanos": 0}, "0.00"),
        ({}, None),
    ],
)
def test_wholly_unpriced_usage_is_no_zero(sums: dict[str, Any], expected: str | None) -> None:
    cells = dict(zip(_SHOWN, _cells(row({}, **sums).measures), strict=True))
    assert expected == cells["cost_usd"]
