from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pricing.card import METERS, PriceCard, Rates, RateStep, TimeWindow, Variant
from service.pricing.money import line_cost_nanos
from service.pricing.rating import Rating, rate, upper_bound_nanos
from tests.pricing.cards import NOON, card, usd, used
from tests.pricing.test_leaves import USAGES


def cost(card_: PriceCard, *counts: int, **parts: Any) -> int | None:
    return rate(used(*counts, **parts), card_, at=NOON).cost_nanos


def lines(rating: Rating) -> dict[str, tuple[int, int]]:
    return {line.meter: (line.quantity, line.cost_nanos) for line in rating.lines}


RATE = st.integers(0, 10**9)
STEPS = st.none() | st.lists(st.tuples(st.integers(1, 10**6), RATE), max_size=3).map(
    lambda later: (RateStep(0, 5), *(RateStep(*step) for step in sorted(later)))
)
RATES = st.builds(Rates, **dict.fromkeys(METERS, STEPS))
MINUTE = st.integers(0, 1440)
WINDOWS = st.lists(
    st.builds(TimeWindow, start_minute=MINUTE, end_minute=MINUTE, rates=RATES), max_size=2
).map(tuple)
VARIANTS = st.lists(
    st.builds(Variant, tier=st.sampled_from(["batch", "flex", "priority"]), rates=RATES), max_size=2
).map(tuple)
CARDS = st.builds(card, RATES, windows=WINDOWS, variants=VARIANTS)
TIERS = st.sampled_from([None, "default", "flex", "priority", "ultrafast"])
INSTANTS = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  (Hypothesis wants naive bounds)


@given(usage=USAGES, priced=CARDS, at=INSTANTS, tier=TIERS, batch=st.booleans())
def test_lines_sum_to_the_cost_and_nothing_is_negative(
    usage: Any, priced: PriceCard, at: datetime, tier: str | None, *, batch: bool
) -> None:  # fmt: skip
    rating = rate(usage, priced, at=at, service_tier=tier, batch=batch)

    for line in rating.lines:
        assert line.quantity > 0
        assert line.cost_nanos == line_cost_nanos(line.quantity, rate_picos=line.rate_picos) >= 0
    assert (rating.cost_nanos is None) == (rating.cost_status == "unpriced")
    if rating.cost_nanos is None:
        assert rating.lines == ()
    else:
        assert rating.cost_nanos == sum(line.cost_nanos for line in rating.lines)
    if rating.cost_status == "free":
        assert {line.rate_picos for line in rating.lines} == {0}


@given(usage=USAGES, priced=CARDS, at=INSTANTS, tier=TIERS, batch=st.booleans())
def test_no_request_costs_more_than_its_upper_bound(
    usage: Any, priced: PriceCard, at: datetime, tier: str | None, *, batch: bool
) -> None:  # fmt: skip
    usage = used(
        **{
            name: getattr(usage, name)
            for name in usage.__struct_fields__
            if name not in ("citation_tokens", "web_searches")
        }
    )
    rating = rate(usage, priced, at=at, service_tier=tier, batch=batch)
    bound = upper_bound_nanos(
        priced, max_input_tokens=max(usage.input_tokens, 0), max_output_tokens=max(usage.output_tokens, 0)
    )

    if bound is None:
        assert not [line for line in rating.lines if line.meter != "request"]
    else:
        assert (rating.cost_nanos or 0) <= bound


def test_the_bound_grows_with_the_tokens_and_is_not_far_off() -> None:
    priced = card(usd(input="2", output="8", cache_write_input="2.5"))

    assert upper_bound_nanos(priced, max_input_tokens=0, max_output_tokens=0) == 0
    bound = upper_bound_nanos(priced, max_input_tokens=1_000_000, max_output_tokens=1_000_000)
    assert bound is not None
    assert 10_500_000_000 <= bound <= 10_500_000_020


def test_the_bound_holds_when_every_line_is_rounded_up() -> None:
    same = dict.fromkeys(
        ("input", "cache_read_input", "cache_write_input", "output", "reasoning_output"), "0.001501"
    )
    usage = used(3, 2, cache_read_input_tokens=1, cache_write_input_tokens=1, reasoning_output_tokens=1)
    priced = card(usd(**same))

    bound = upper_bound_nanos(priced, max_input_tokens=3, max_output_tokens=2)

    assert bound is not None
    assert rate(usage, priced, at=NOON).cost_nanos == 5 * 2 <= bound


@pytest.mark.parametrize(
    ("rates", "least"),
    [
        (usd(input="2", cache_write_1h_input="4"), 4_000),
        (usd(input={0: "2", 1000: "3"}), 3_000),
        (usd(input={0: "2", 1001: "3"}), 2_000),
        (usd(input="2", audio_input="40"), 40_000),
    ],
)
def test_the_bound_takes_the_dearest_meter_and_step_within_reach(rates: Rates, least: int) -> None:
    bound = upper_bound_nanos(card(rates), max_input_tokens=1000, max_output_tokens=0)

    assert bound is not None
    assert 0 <= bound - least * 1000 <= 20


def test_the_bound_takes_the_dearest_tier_of_service_and_hour() -> None:
    day = TimeWindow(start_minute=60, end_minute=240, rates=usd(input="4"))
    fast = Variant(tier="priority", rates=usd(input="6"))

    for extra in ({"windows": (day,)}, {"variants": (fast,)}):
        bound = upper_bound_nanos(card(usd(input="2"), **extra), max_input_tokens=10**6, max_output_tokens=0)
        assert bound is not None
        assert bound >= 4_000_000_000


def test_without_any_token_price_there_is_no_bound() -> None:
    assert upper_bound_nanos(card(Rates()), max_input_tokens=10, max_output_tokens=10) is None


def test_every_token_is_charged_at_its_own_rate() -> None:
    priced = card(
        usd(
            input="4", cache_read_input="0.4", cache_write_input="5", cache_write_1h_input="8",
            output="20", reasoning_output="25", audio_input="40", audio_output="80",
        )
    )  # fmt: skip
    usage = used(
        1000, 500, cache_read_input_tokens=300, cache_write_input_tokens=200, cache_write_1h_input_tokens=50,
        audio_input_tokens=100, reasoning_output_tokens=120, audio_output_tokens=80,
    )  # fmt: skip

    rating = rate(usage, priced, at=NOON)

    assert lines(rating) == {
        "input": (400, 1_600_000),
        "cache_read_input": (300, 120_000),
        "cache_write_input": (150, 750_000),
        "cache_write_1h_input": (50, 400_000),
        "audio_input": (100, 4_000_000),
        "output": (300, 6_000_000),
        "reasoning_output": (120, 3_000_000),
        "audio_output": (80, 6_400_000),
    }
    assert rating.cost_nanos == 22_270_000
    assert rating.cost_status == "priced"
    assert rating.price_id == "test"


def test_without_a_card_the_cost_is_unknown_not_zero() -> None:
    assert rate(used(10, 10), None, at=NOON) == Rating(None, "unpriced", None, ())


def test_without_usage_the_cost_is_unknown_and_the_price_is_named() -> None:
    assert rate(None, card(), at=NOON) == Rating(None, "unpriced", "test", ())
    assert rate(None, None, at=NOON) == Rating(None, "unpriced", None, ())


def test_a_card_without_token_rates_prices_nothing_not_even_zero_tokens() -> None:
    assert rate(used(10), card(Rates()), at=NOON).cost_status == "unpriced"
    assert rate(used(), card(Rates()), at=NOON) == Rating(None, "unpriced", "test", ())


def test_a_request_that_used_nothing_costs_nothing_at_a_price() -> None:
    assert rate(used(), card(), at=NOON) == Rating(0, "priced", "test", ())


def test_an_explicit_zero_is_a_price() -> None:
    rating = rate(used(10, 20), card(usd(input="0", output="0")), at=NOON)

    assert rating.cost_nanos == 0
    assert rating.cost_status == "free"
    assert [line.quantity for line in rating.lines] == [10, 20]


def test_a_zero_beside_a_price_is_not_free() -> None:
    assert rate(used(10, 20), card(usd(input="0", output="1")), at=NOON).cost_status == "priced"


def test_a_cost_that_rounds_to_zero_is_not_free() -> None:
    rating = rate(used(1), card(usd(input="0.0001")), at=NOON)

    assert (rating.cost_nanos, rating.cost_status) == (0, "priced")


@pytest.mark.parametrize(
    ("rates", "parts", "nanos"),
    [
        (usd(input="2"), {"cache_read_input_tokens": 60}, 200_000),
        (usd(input="2"), {"cache_write_input_tokens": 60}, 200_000),
        (usd(input="2"), {"cache_write_input_tokens": 60, "cache_write_1h_input_tokens": 50}, 200_000),
        (
            usd(input="2", cache_write_input="3"),
            {"cache_write_input_tokens": 60, "cache_write_1h_input_tokens": 50},
            260_000,
        ),
        (
            usd(input="2", cache_read_input="1", audio_input="10"),
            {"cache_read_input_tokens": 100, "audio_input_tokens": 50},
            550_000,
        ),
        (
            usd(input="2", cache_read_input="1", image_input="10"),
            {"cache_read_input_tokens": 100, "image_input_tokens": 50},
            550_000,
        ),
    ],
)
def test_a_missing_cache_price_is_the_plain_price_and_assumed(
    rates: Rates, parts: dict[str, int], nanos: int
) -> None:
    rating = rate(used(100, **parts), card(rates), at=NOON)

    assert (rating.cost_nanos, rating.cost_status) == (nanos, "assumed")


def test_a_missing_cache_price_does_not_matter_when_nothing_was_cached() -> None:
    assert rate(used(100, cache_read_input_tokens=0), card(), at=NOON).cost_status == "priced"
    assert rate(used(100), card(), at=NOON).cost_status == "priced"


def test_a_zero_cache_price_is_a_price() -> None:
    rating = rate(used(100, cache_read_input_tokens=60), card(usd(input="2", cache_read_input="0")), at=NOON)

    assert (rating.cost_nanos, rating.cost_status) == (80_000, "priced")


def test_a_missing_reasoning_price_is_the_output_price_and_priced() -> None:
    rating = rate(used(0, 100, reasoning_output_tokens=70), card(usd(output="10")), at=NOON)

    assert lines(rating) == {"output": (30, 300_000), "reasoning_output": (70, 700_000)}
    assert rating.cost_status == "priced"


@pytest.mark.parametrize(
    "part",
    [
        "audio_input_tokens",
        "image_input_tokens",
        "video_input_tokens",
        "audio_output_tokens",
        "image_output_tokens",
    ],
)
def test_a_modality_without_a_price_is_never_charged_as_text(part: str) -> None:
    rating = rate(used(100, 100, **{part: 40}), card(usd(input="1", output="1")), at=NOON)

    assert (rating.cost_nanos, rating.cost_status) == (160_000, "partial")


@pytest.mark.parametrize("part", ["citation_tokens", "web_searches"])
def test_what_is_billed_apart_and_has_no_price_makes_the_cost_partial(part: str) -> None:
    rating = rate(used(100, **{part: 4}), card(usd(input="1")), at=NOON)

    assert (rating.cost_nanos, rating.cost_status) == (100_000, "partial")


def test_searches_citations_and_the_request_itself_have_prices() -> None:
    priced = card(usd(input="1", citation="2", web_search="5000", request="12000"))

    rating = rate(used(100, citation_tokens=10, web_searches=3), priced, at=NOON)

    assert lines(rating) == {
        "input": (100, 100_000),
        "citation": (10, 20_000),
        "web_search": (3, 15_000_000),
        "request": (1, 12_000_000),
    }


def test_a_fee_per_request_is_due_when_no_token_was_used() -> None:
    assert rate(used(), card(usd(input="1", request="12000")), at=NOON).cost_nanos == 12_000_000


def test_nothing_but_unpriced_tokens_is_unpriced() -> None:
    rating = rate(used(100, audio_input_tokens=100), card(usd(input="1", request="5")), at=NOON)

    assert rating == Rating(None, "unpriced", "test", ())


def test_counts_beyond_all_reason_have_no_cost_that_a_store_could_not_hold() -> None:
    assert rate(used(10**30), card(), at=NOON) == Rating(None, "unpriced", "test", ())


@pytest.mark.parametrize(
    ("tokens", "nanos"),
    [(199_999, 249_998_750), (200_000, 250_000_000), (200_001, 500_002_500), (1_000_000, 2_500_000_000)],
)
def test_the_tier_of_the_whole_request_is_chosen_by_its_total_input(tokens: int, nanos: int) -> None:
    priced = card(usd(input={0: "1.25", 200_001: "2.5"}))

    assert cost(priced, tokens) == nanos


def test_cached_input_counts_towards_the_tier_and_output_follows_it() -> None:
    priced = card(
        usd(
            input={0: "1.25", 200_001: "2.5"},
            cache_read_input={0: "0.125", 200_001: "0.25"},
            output={0: "10", 200_001: "15"},
        )
    )

    assert cost(priced, 200_000, 10, cache_read_input_tokens=199_000) == 1_250_000 + 24_875_000 + 100_000
    assert cost(priced, 200_001, 10, cache_read_input_tokens=199_000) == 2_502_500 + 49_750_000 + 150_000


def test_a_meter_without_steps_keeps_its_rate_in_every_tier() -> None:
    priced = card(usd(input={0: "1", 101: "2"}, output="8"))

    assert cost(priced, 101, 10) == 202_000 + 80_000


PEAK = (
    TimeWindow(start_minute=60, end_minute=240, rates=usd(input="0.3", output="1.2")),
    TimeWindow(start_minute=360, end_minute=600, rates=usd(input="0.6", output="2.4")),
)


@pytest.mark.parametrize(
    ("clock", "nanos"),
    [
        ("00:59:59.999999", 15),
        ("01:00", 30),
        ("03:59:59", 30),
        ("04:00", 15),
        ("06:00", 60),
        ("09:59", 60),
        ("10:00", 15),
    ],
)
def test_the_hour_of_the_day_in_utc_decides(clock: str, nanos: int) -> None:
    priced = card(usd(input="0.15", output="0.6"), windows=PEAK)
    at = datetime.fromisoformat(f"2026-11-22T{clock}+00:00")

    assert rate(used(100), priced, at=at).cost_nanos == nanos * 1000
    elsewhere = at.astimezone(datetime.fromisoformat("2026-01-01T00:00+05:30").tzinfo)
    assert rate(used(100), priced, at=elsewhere).cost_nanos == nanos * 1000


def test_a_variant_replaces_what_it_prices_also_within_an_hour() -> None:
    priced = card(
        usd(input="2", output="8"), windows=PEAK, variants=(Variant(tier="flex", rates=usd(output="4")),)
    )

    assert rate(used(100, 100), priced, at=NOON, service_tier="flex").cost_nanos == 600_000
    assert (
        rate(used(100, 100), priced, at=NOON - timedelta(hours=10), service_tier="flex").cost_nanos == 430_000
    )


@pytest.mark.parametrize(
    ("tier", "batch", "nanos", "status"),
    [
        (None, False, 200_000, "priced"),
        ("default", False, 200_000, "priced"),
        ("auto", False, 200_000, "priced"),
        ("standard", False, 200_000, "priced"),
        ("on_demand", False, 200_000, "priced"),
        ("flex", False, 100_000, "priced"),
        ("priority", False, 400_000, "priced"),
        ("ultrafast", False, 200_000, "assumed"),
        ("batch", False, 150_000, "priced"),
        (None, True, 150_000, "priced"),
        ("priority", True, 150_000, "priced"),
    ],
)
def test_the_tier_of_service_of_the_answer_decides(
    tier: str | None, nanos: int, status: str, *, batch: bool
) -> None:
    priced = card(
        usd(input="2"),
        variants=(
            Variant(tier="flex", rates=usd(input="1")),
            Variant(tier="priority", rates=usd(input="4")),
            Variant(tier="batch", rates=usd(input="1.5")),
        ),
    )

    rating = rate(used(100), priced, at=NOON, service_tier=tier, batch=batch)

    assert (rating.cost_nanos, rating.cost_status) == (nanos, status)


def test_batch_without_a_batch_price_is_the_standard_price_and_assumed() -> None:
    rating = rate(used(100), card(usd(input="2")), at=NOON, batch=True)

    assert (rating.cost_nanos, rating.cost_status) == (200_000, "assumed")


def test_contradictory_counts_are_charged_on_the_dear_side_and_assumed() -> None:
    priced = card(usd(input="2", cache_read_input="0.2", output="8"))

    rating = rate(used(100, cache_read_input_tokens=5_000), priced, at=NOON)

    assert lines(rating) == {"input": (100, 200_000)}
    assert rating.cost_status == "assumed"
