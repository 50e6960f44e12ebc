from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidInputError
from service.pricing.money import (
    MAX_NANOS,
    format_usd,
    format_usd_per_mtok,
    line_cost_nanos,
    parse_usd,
    parse_usd_per_mtok,
)


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_line_is_quantity_times_rate_rounded_half_to_even(quantity: int, rate_picos: int) -> None:
    exact = (Decimal(quantity) * rate_picos / 1000).quantize(Decimal(1), ROUND_HALF_EVEN)

    assert line_cost_nanos(quantity, rate_picos=rate_picos) == int(exact)


@pytest.mark.parametrize(
    ("picos", "nanos"),
    [(0, 0), (499, 0), (500, 0), (501, 1), (1499, 1), (1500, 2), (2500, 2), (2501, 3), (3500, 4)],
)
def test_a_half_goes_to_the_even_nano(picos: int, nanos: int) -> None:
    assert line_cost_nanos(1, rate_picos=picos) == nanos
    assert line_cost_nanos(picos, rate_picos=1) == nanos


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("10.00", 10_000_000_000),
        ("0", 0),
        ("0.0", 0),
        ("0.000000001", 1),
        ("0.0000000010000", 1),
        ("007.5", 7_500_000_000),
        ("9223372036.854775807", MAX_NANOS),
    ],
)
def test_an_amount_is_read_exactly(text: str, nanos: int) -> None:
    assert parse_usd(text, field="limit_usd") == nanos


REFUSED = [
    "", " ", "NaN", "nan", "Infinity", "inf", "-inf", "-1", "-0", "+1", "1e3", "1E-3", ".5", "5.", "1,000", "1_000",
    "1.0.0", "$10", "10 usd", " 10", "10\n", "0x10", "\u0661\u0662", "\uff11", "0.0000000001", "9223372036.854775808",
    "1" * 31, "0." + "0" * 30, "9" * 5000, "true",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_amount_is_refused_with_the_field_named(text: str) -> None:
    with pytest.raises(InvalidInputError, match="limit_usd") as caught:
        parse_usd(text, field="limit_usd")

    assert caught.value.field == "limit_usd"


def test_thirty_digits_are_the_most() -> None:
    assert parse_usd("0" * 29 + "1", field="x") == 1_000_000_000
    assert parse_usd("0" * 28 + "1.0", field="x") == 1_000_000_000
    with pytest.raises(InvalidInputError, match="30 digits"):
        parse_usd("0" * 30 + "1", field="x")


@pytest.mark.parametrize(
    ("text", "picos"), [("0.15", 150_000), ("15", 15_000_000), ("0.000001", 1), ("0", 0), ("0.003625", 3_625)]
)
def test_a_price_by_the_million_tokens_is_read_exactly(text: str, picos: int) -> None:
    assert parse_usd_per_mtok(text, field="input_usd_per_mtok") == picos


def test_a_price_finer_than_a_picodollar_per_token_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"input_usd_per_mtok.*finest step") as caught:
        parse_usd_per_mtok("0.0000001", field="input_usd_per_mtok")

    assert caught.value.field == "input_usd_per_mtok"


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "0.00"),
        (1, "0.000000001"),
        (1_500_000_000, "1.50"),
        (10_000_000_000, "10.00"),
        (1_234_000_000, "1.234"),
        (-500_000_000, "-0.50"),
        (MAX_NANOS, "9223372036.854775807"),
    ],
)
def test_an_amount_is_written_exactly_with_two_decimals_at_least(nanos: int, text: str) -> None:
    assert format_usd(nanos) == text


@given(st.integers(0, MAX_NANOS))
def test_what_is_written_can_be_read(nanos: int) -> None:
    assert parse_usd(format_usd(nanos), field="x") == nanos
    assert Decimal(format_usd(nanos)) == Decimal(nanos) / 10**9


@given(st.integers(0, 10**15))
def test_a_written_price_can_be_read(picos: int) -> None:
    assert parse_usd_per_mtok(format_usd_per_mtok(picos), field="x") == picos
