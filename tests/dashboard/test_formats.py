"""Numbers as people read them: exact where they say so, never a made-up zero, never all where something is missing."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import formats
from tests.reporting.figures_of import row

amounts = st.integers(-(10**18), 10**18)


def value_of(text: str) -> Decimal:
    return Decimal(text.replace("$", "").replace(",", ""))


@given(amounts)
def test_an_amount_is_written_exactly(nanos: int) -> None:
    assert nanos == value_of(formats.usd(nanos)) * 10**9


@given(amounts)
def test_a_headline_is_near_and_never_turns_something_into_nothing(nanos: int) -> None:
    shown = value_of(formats.short_usd(nanos)) * 10**9
    finest = Decimal(5_000_000) if abs(nanos) >= 10**9 else max(abs(nanos) / Decimal(200), Decimal("0.5"))
    assert abs(shown - nanos) <= finest
    assert (shown == 0) == (nanos == 0)


@pytest.mark.parametrize(
    ("nanos", "exact", "short"),
    [
        (0, "$0.00", "$0.00"),
        (1, "$0.000000001", "$0.000000001"),
        (640_000, "$0.00064", "$0.00064"),
        (42_123_456, "$0.042123456", "$0.0421"),
        (999_999_999, "$0.999999999", "$1.00"),
        (206_795_873_780, "$206.79587378", "$206.80"),
        (1_234_567_891_234_567, "$1,234,567.891234567", "$1,234,567.89"),
        (-5_000_000_000, "-$5.00", "-$5.00"),
        (None, "—", "—"),
    ],
)
def test_amounts(nanos: int | None, exact: str, short: str) -> None:
    assert (exact, short) == (formats.usd(nanos), formats.short_usd(nanos))


@given(st.lists(st.integers(0, 10**14), min_size=1))
def test_a_column_has_the_decimals_of_its_finest_amount(nanos: list[int]) -> None:
    decimals = formats.usd_decimals([*nanos, None])
    for amount in nanos:
        assert amount == Decimal(f"{amount / 10**9:.{decimals}f}") * 10**9


def test_a_column_of_unknown_amounts_has_two_decimals() -> None:
    assert formats.usd_decimals([None, None]) == 2


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, "—"),
        (0, "0"),
        (9_999, "9,999"),
        (10_000, "10.0k"),
        (146_600_000, "146.6M"),
        (3_545_173, "3.55M"),
        (2_119_792_770, "2.12B"),
        (10**13, "10.0T"),
    ],
)
def test_compact(number: int | None, shown: str) -> None:
    assert shown == formats.compact(number)


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, "—"),
        (0, "0%"),
        (1, "100%"),
        (0.974, "97.40%"),
        (0.5, "50.0%"),
        (0.99999, "99.999%"),
        (0.9999999, ">99.999%"),
        (0.00001, "0.001%"),
        (0.0000001, "<0.001%"),
    ],
)
def test_a_share_is_all_or_nothing_only_if_it_is(share: float | None, shown: str) -> None:
    assert shown == formats.percent(share)


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (None, "—"),
        (0.42, "0.4 ms"),
        (812.4, "812 ms"),
        (4_988.567, "4.99 s"),
        (60_004, "1 min 00 s"),
        (1_048_576, "17 min 29 s"),
        (7_260_000, "2 h 01 min"),
    ],
)
def test_durations(ms: float | None, shown: str) -> None:
    assert shown == formats.duration(ms)


@pytest.mark.parametrize(
    ("now", "before", "shown"),
    [
        (112.3, 100, "+12.3%"),
        (96.9, 100, "-3.1%"),
        (100.04, 100, "±0.0%"),
        (99.96, 100, "±0.0%"),
        (1200, 100, "12x"),
        (None, 100, None),
        (5, 0, None),
        (5, None, None),
    ],
)
def test_changes(now: float | None, before: float | None, shown: str | None) -> None:
    assert shown == formats.change(now, before)


@pytest.mark.parametrize(
    ("now", "before", "shown"),
    [(0.05, 0.01, "+4.00 pp"), (0.01, 0.05, "-4.00 pp"), (0.01, 0.01, "±0.00 pp"), (None, 0.1, None)],
)
def test_differences_of_shares(now: float | None, before: float | None, shown: str | None) -> None:
    assert shown == formats.points(now, before)


def test_an_instant_stands_on_the_clock_of_the_zone() -> None:
    moment = datetime(2026, 3, 8, 20, 0, 1, tzinfo=UTC)
    assert formats.instant(moment, timezone="Asia/Kathmandu") == "2026-03-09 01:45:01"


@pytest.mark.parametrize(
    ("sums", "spend", "priced"),
    [
        ({"unpriced": 3, "metered": 3, "uncovered": 3, "cost_unpriced": 3}, "unpriced", "unpriced"),
        (
            {
                "unpriced": 3,
                "metered": 3,
                "uncovered": 3,
                "cost_unpriced": 3,
                "cost_nanos": 0,
                "cost_free": 2,
            },
            "unpriced",
            "unpriced",
        ),
        (
            {"unpriced": 1, "metered": 4, "uncovered": 1, "cost_priced": 3, "cost_nanos": 5 * 10**8},
            "$0.50",
            "75.0%",
        ),
        ({"cost_free": 2, "cost_nanos": 0}, "$0.00", "—"),
        ({}, "—", "—"),
    ],
)
def test_what_has_no_price_says_so_and_is_no_zero(sums: dict[str, Any], spend: str, priced: str) -> None:
    measures = row({}, **sums).measures
    assert (formats.spend(measures), formats.priced(measures)) == (spend, priced)
