from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidInputError
from service.pricing.card import ModelMatch, PriceCard, RateStep, flat
from service.pricing.listing import price_fields
from service.pricing.override import override_card
from service.pricing.pricebook import PriceBook
from service.pricing.rating import rate
from tests.pricing.cards import NOON, usd, used

PLAIN: dict[str, Any] = {"provider": "openai", "model": "gpt-4o", "input_usd_per_mtok": "2.50"}
FULL = PLAIN | {
    "aliases": ["GPT-4o-Latest"],
    "scope": "project",
    "scope_id": "search",
    "effective_from": "2026-12-01",
    "effective_to": "2027-01-01T01:00:00+01:00",
    "output_usd_per_mtok": "10",
    "cache_read_input_usd_per_mtok": "0",
    "request_usd": "0.012",
    "tiers": [{"from_input_tokens": 200_001, "input_usd_per_mtok": "5"}],
    "windows": [{"from": "22:30", "to": "24:00", "output_usd_per_mtok": "5"}],
    "variants": {"batch": {"input_usd_per_mtok": "1.25"}},
}


def test_fields_become_a_card() -> None:
    card = override_card(FULL)

    assert (card.source, card.scope, card.scope_id, card.provider) == (
        "override",
        "project",
        "search",
        "openai",
    )
    assert card.match == ModelMatch(exact=("gpt-4o", "gpt-4o-latest"))
    assert card.effective_from == datetime(2026, 12, 1, tzinfo=UTC)
    assert card.effective_to == datetime(2027, 1, 1, tzinfo=UTC)
    assert card.rates.input == (RateStep(0, 2_500_000), RateStep(200_001, 5_000_000))
    assert card.rates.cache_read_input == flat(0)
    assert card.rates.request == flat(12_000_000_000)
    assert card.rates.reasoning_output is None
    assert [(one.start_minute, one.end_minute) for one in card.windows] == [(1350, 1440)]
    assert card.windows[0].rates.output == flat(5_000_000)
    assert card.windows[0].rates.input == card.rates.input
    assert [(one.tier, one.rates) for one in card.variants] == [("batch", usd(input="1.25"))]


def test_a_field_that_is_null_is_absent() -> None:
    assert override_card(PLAIN | {"effective_from": None, "output_usd_per_mtok": None}) == override_card(
        PLAIN
    )


def test_the_values_that_toml_gives_are_understood() -> None:
    card = override_card(
        PLAIN
        | {
            "effective_from": date(2026, 12, 1),
            "effective_to": datetime(2027, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
            "output_usd_per_mtok": 10,
            "windows": [{"from": time(1), "to": time(4, 30), "input_usd_per_mtok": "1"}],
        }
    )

    assert card.effective_from == datetime(2026, 12, 1, tzinfo=UTC)
    assert card.effective_to == datetime(2027, 1, 1, tzinfo=UTC)
    assert card.rates.output == flat(10_000_000)
    assert (card.windows[0].start_minute, card.windows[0].end_minute) == (60, 270)


@pytest.mark.parametrize(
    ("model", "matching", "other"),
    [
        ("gpt-4o", ["gpt-4o", "GPT-4O"], ["gpt-4o-mini", "xgpt-4o"]),
        ("GPT-4o", ["gpt-4o"], ["gpt-4"]),
        ("gpt-4o*", ["gpt-4o", "gpt-4o-mini"], ["gpt-4", "xgpt-4o"]),
        ("*", ["anything"], []),
        ("*-mini", ["gpt-4o-mini"], ["gpt-4o-mini-2024", "mini"]),
        ("ft:*:acme:*", ["ft:gpt-4o:acme:x"], ["ft:gpt-4o:other:x", "xft:gpt-4o:acme:x"]),
        ("a.b*c", ["a.bxc"], ["axbxc", "a.bxcd"]),
    ],
)
def test_a_star_in_a_model_stands_for_anything(model: str, matching: list[str], other: list[str]) -> None:
    book = PriceBook([override_card(PLAIN | {"model": model})])

    for name in matching:
        assert book.resolve(provider="openai", model=name, at=NOON) is not None, name
    for name in other:
        assert book.resolve(provider="openai", model=name, at=NOON) is None, name


TIER = {"from_input_tokens": 10, "input_usd_per_mtok": "5"}
WINDOW = {"from": "01:00", "to": "04:00", "input_usd_per_mtok": "1"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": None}, "model"),
        ({"model": " "}, "model"),
        ({"model": 5}, "model"),
        ({"model": "m" * 201}, "model"),
        ({"provider": "p" * 65}, "provider"),
        ({"provider": ""}, "provider"),
        ({"model": "gpt-4o\n"}, "model"),
        ({"model": "gpt\t4o"}, "model"),
        ({"provider": "open\x1b[2Jai"}, "provider"),
        ({"provider": "openai\u202e"}, "provider"),
        ({"scope": "project", "scope_id": "a\x00b"}, "scope_id"),
        ({"aliases": ["gpt-4", "gpt\r\n4"]}, "aliases"),
        ({"variants": {"ba\ntch": {"input_usd_per_mtok": "1"}}}, "variants"),
        ({"aliases": "gpt"}, "aliases"),
        ({"aliases": [""]}, "aliases"),
        ({"aliases": [1]}, "aliases"),
        ({"input_usd_per_mtok": None}, "input_usd_per_mtok"),
        ({"input_usd_per_mtok": 2.5}, "input_usd_per_mtok"),
        ({"input_usd_per_mtok": True}, "input_usd_per_mtok"),
        ({"input_usd_per_mtok": "NaN"}, "input_usd_per_mtok"),
        ({"input_usd_per_mtok": "-1"}, "input_usd_per_mtok"),
        ({"input_usd_per_mtok": -1}, "input_usd_per_mtok"),
        ({"input_usd_per_mtok": "1e3"}, "input_usd_per_mtok"),
        ({"request_usd": "9000000000"}, "request_usd"),
        ({"request_usd": "inf"}, "request_usd"),
        ({"input_usd": "1"}, "input_usd"),
        ({"zzz": "1"}, "zzz"),
        ({"scope": "team"}, "scope"),
        ({"scope": "imported"}, "scope"),
        ({"scope": "key"}, "scope_id"),
        ({"scope_id": "k1"}, "scope_id"),
        ({"scope": "key", "scope_id": ""}, "scope_id"),
        ({"effective_from": "tomorrow"}, "effective_from"),
        ({"effective_from": "2026-12-01T00:00:00"}, "effective_from"),
        ({"effective_from": 5}, "effective_from"),
        ({"effective_from": "2026-12-01", "effective_to": "2026-12-01"}, "effective_to"),
        ({"tiers": "x"}, "tiers"),
        ({"tiers": [5]}, "tiers[0]"),
        ({"tiers": [{"input_usd_per_mtok": "5"}]}, "tiers[0].from_input_tokens"),
        ({"tiers": [TIER | {"from_input_tokens": True}]}, "tiers[0].from_input_tokens"),
        ({"tiers": [TIER | {"from_input_tokens": "10"}]}, "tiers[0].from_input_tokens"),
        ({"tiers": [TIER, TIER]}, "tiers[1].from_input_tokens"),
        ({"tiers": [TIER | {"output_usd_per_mtok": "5"}]}, "tiers[0].output_usd_per_mtok"),
        ({"tiers": [TIER | {"input_usd_per_mtok": "x"}]}, "tiers[0].input_usd_per_mtok"),
        ({"tiers": [TIER | {"typo": "x"}]}, "tiers[0].typo"),
        ({"windows": {}}, "windows"),
        ({"windows": [{"to": "04:00"}]}, "windows[0].from"),
        ({"windows": [WINDOW | {"to": "24:01"}]}, "windows[0].to"),
        ({"windows": [WINDOW | {"to": "4:00"}]}, "windows[0].to"),
        ({"windows": [WINDOW, WINDOW | {"input_usd_per_mtok": ""}]}, "windows[1].input_usd_per_mtok"),
        ({"variants": []}, "variants"),
        ({"variants": {"batch": "half"}}, "variants.batch"),
        ({"variants": {"batch": {"input_usd_per_mtok": "1/2"}}}, "variants.batch.input_usd_per_mtok"),
    ],
)
def test_what_cannot_be_a_price_is_refused_with_the_field_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        override_card(PLAIN | change)

    assert caught.value.field == field
    assert field.rstrip("0123456789[]").rpartition(".")[2] in str(caught.value)


def test_what_is_no_table_is_refused() -> None:
    not_a_table: Any = ["model"]
    with pytest.raises(InvalidInputError, match="table of fields"):
        override_card(not_a_table)


def test_a_misspelt_field_is_told_the_right_one() -> None:
    with pytest.raises(InvalidInputError, match="did you mean input_usd_per_mtok"):
        override_card(PLAIN | {"input_usd_per_mtk": "1"})


AMOUNT = st.integers(0, 10**9).map(lambda micros: f"{micros // 10**6}.{micros % 10**6:06d}")
PRICES = st.fixed_dictionaries(
    {"input_usd_per_mtok": AMOUNT, "output_usd_per_mtok": AMOUNT},
    optional={"cache_read_input_usd_per_mtok": AMOUNT, "request_usd": AMOUNT, "web_search_usd": AMOUNT},
)
TIERED = st.builds(
    lambda prices, start: prices | {"tiers": [{"from_input_tokens": start} | prices]},
    PRICES,
    st.integers(1, 10**7),
)
ENTRIES = st.builds(
    lambda prices, windows, variants: PLAIN | prices | {"windows": windows, "variants": variants},
    PRICES | TIERED,
    st.lists(TIERED.map(lambda prices: {"from": "00:30", "to": "24:00"} | prices), max_size=2),
    st.dictionaries(st.sampled_from(["batch", "flex"]), PRICES | TIERED),
)


@given(ENTRIES)
def test_the_fields_of_a_card_make_the_same_card(fields: dict[str, Any]) -> None:
    card = override_card(fields)

    assert override_card(price_fields(card)) == card


@pytest.mark.parametrize(
    "fields", [PLAIN, FULL, PLAIN | {"model": "gpt-*"}, PLAIN | {"model": "*-x", "aliases": ["y"]}]
)
def test_the_listed_fields_of_a_card_make_the_same_card(fields: dict[str, Any]) -> None:
    card: PriceCard = override_card(fields)

    assert override_card(price_fields(card)) == card


def test_an_override_charges_what_it_says() -> None:
    rating = rate(used(1_000_000, 500_000), override_card(PLAIN | {"output_usd_per_mtok": "10"}), at=NOON)

    assert rating.cost_nanos == 7_500_000_000
