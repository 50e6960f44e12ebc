"""Rate arithmetic: never more than the limit in any minute, and the time to wait to the second."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.budgets.rates import MINUTE, SLOT, Rolling, reset_text, retry_after_s, share

SECOND = 1_000_000


@given(
    st.lists(st.tuples(st.integers(0, 5 * SECOND), st.integers(0, 4)), max_size=120),
    st.integers(1, 20),
)
def test_no_minute_holds_more_than_the_limit(steps: list[tuple[int, int]], limit: int) -> None:
    rolling = Rolling()
    now = 7 * SECOND
    passed: list[tuple[int, int]] = []
    for pause, units in steps:
        now += pause
        wait = rolling.wait(now, units, capacity=limit)
        if wait:
            assert wait <= MINUTE + SLOT
            now += wait
        if rolling.used(now) + units <= limit:
            rolling.add(now, units)
            passed.append((now, units))
    for began, _ in passed:
        assert sum(units for at, units in passed if began <= at < began + MINUTE) <= limit


def test_a_whole_limit_may_be_used_at_once_and_again_a_minute_later() -> None:
    rolling = Rolling()
    rolling.add(0, 10)
    assert rolling.wait(0, 1, capacity=10) == MINUTE + SLOT
    assert rolling.used(MINUTE + SLOT - 1) == 10
    assert rolling.used(MINUTE + SLOT) == 0
    assert rolling.empty_in(MINUTE + SLOT) == 0


def test_the_wait_is_until_enough_has_left() -> None:
    rolling = Rolling()
    rolling.add(0, 6)
    rolling.add(10 * SECOND, 4)
    assert rolling.wait(20 * SECOND, 3, capacity=10) == MINUTE + SLOT - 20 * SECOND
    assert rolling.wait(20 * SECOND, 7, capacity=10) == MINUTE + SLOT - 10 * SECOND
    assert rolling.wait(20 * SECOND, 11, capacity=10) is None
    assert rolling.empty_in(20 * SECOND) == MINUTE + SLOT - 10 * SECOND


def test_a_clock_that_stands_still_or_slips_counts_into_the_same_slot() -> None:
    rolling = Rolling()
    slot = rolling.add(10 * SECOND, 1)
    assert rolling.add(9 * SECOND, 1) == slot
    assert rolling.used(10 * SECOND) == 2


def test_corrections_go_where_the_use_was() -> None:
    rolling = Rolling()
    first, second = rolling.add(0, 100), rolling.add(30 * SECOND, 100)
    rolling.correct(second, -60, now=40 * SECOND)
    rolling.correct(first, 50, now=40 * SECOND)
    assert rolling.used(40 * SECOND) == 190
    assert rolling.used(MINUTE + SLOT) == 40
    rolling.correct(first, 500, now=MINUTE + SLOT)
    assert rolling.used(MINUTE + SLOT) == 40


@given(st.integers(0, 50), st.integers(0, 80), st.integers(0, 99), st.integers(-20, 60), st.integers(1, 5))
def test_a_share_fits_and_covers_the_need(own: int, need: int, want: int, free: int, holders: int) -> None:
    after = share(own, need=need, want=want, free=free, holders=holders)
    if after is None:
        assert need - own > free
        return
    assert need <= after
    assert after - own <= max(free, 0)


def test_a_relay_alone_has_all_and_two_divide_what_is_free() -> None:
    assert share(0, need=1, want=60, free=60, holders=1) == 60
    assert share(0, need=1, want=60, free=60, holders=2) == 30
    assert share(50, need=40, want=60, free=-5, holders=1) == 45, "the limit was lowered"


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0s"),
        (1, "1ms"),
        (119_001, "120ms"),
        (SECOND, "1s"),
        (59_900_000, "59.9s"),
        (60_100_000, "1m0.1s"),
        (60 * SECOND, "1m0s"),
    ],
)
def test_times_are_written_as_openai_writes_them(micros: int, text: str) -> None:
    assert reset_text(micros) == text


@pytest.mark.parametrize(("wait", "seconds"), [(0, 1), (1, 1), (SECOND, 1), (SECOND + 1, 2), (None, 60)])
def test_retry_after_is_never_too_early(wait: int | None, seconds: int) -> None:
    assert retry_after_s(wait) == seconds
