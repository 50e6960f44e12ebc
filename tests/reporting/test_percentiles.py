"""Percentiles from bins against the true ones."""

from bisect import bisect_right
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.reporting.percentiles import percentile_ms
from service.store.histogram import BINS, EDGES_MS


def binned(values: list[float]) -> list[int | None]:
    bins: list[int | None] = [0] * BINS
    for value in values:
        index = bisect_right(EDGES_MS, value)
        bins[index] = (bins[index] or 0) + 1
    return bins


@given(st.lists(st.floats(16, 131_000), min_size=1, max_size=200), st.sampled_from((0.5, 0.95, 0.99)))
def test_an_answer_lies_in_the_bin_of_the_true_value(values: list[float], q: float) -> None:
    true = sorted(values)[max(0, -int(-q * len(values) // 1) - 1)]
    found = percentile_ms(binned(values), q)
    assert found is not None
    assert true / 1.3 <= found <= true * 1.3


def test_nothing_counted_has_no_percentile() -> None:
    assert percentile_ms([None] * BINS, 0.5) is None
    assert percentile_ms([0] * BINS, 0.99) is None


@pytest.mark.parametrize(("value", "low", "high"), [(0.0, 1, 16), (3_000_000.0, 1_048_576, 1_048_576)])
def test_the_outer_bins_answer_with_their_known_edge(value: float, low: float, high: float) -> None:
    found = percentile_ms(binned([value]), 0.5)
    assert found is not None
    assert low <= found <= high


def test_edges_rise_by_a_third_of_an_octave() -> None:
    fine = [edge for edge in EDGES_MS if edge <= 131_072]
    assert all(1.24 < later / edge < 1.29 for edge, later in pairwise(fine))
