from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from service.pricing.card import PriceCard, Rates, RateStep, TimeWindow, flat, overlaid, step_rate
from tests.pricing.cards import card, usd

DAY = datetime(2026, 8, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("input_tokens", "rate"),
    [(0, 1), (199_999, 1), (200_000, 1), (200_001, 2), (271_999, 2), (272_000, 3), (10**9, 3)],
)
def test_a_step_holds_from_its_first_token_on(input_tokens: int, rate: int) -> None:
    steps = (RateStep(0, 1), RateStep(200_001, 2), RateStep(272_000, 3))

    assert step_rate(steps, input_tokens=input_tokens) == rate


@pytest.mark.parametrize(
    ("start", "end", "inside", "outside"),
    [
        (60, 240, [60, 61, 239], [0, 59, 240, 1439]),
        (1380, 30, [1380, 1439, 0, 29], [30, 700, 1379]),
        (0, 1440, [0, 1439], []),
        (60, 60, [], [0, 60, 61]),
    ],
)
def test_a_window_may_run_over_midnight(start: int, end: int, inside: list[int], outside: list[int]) -> None:
    window = TimeWindow(start_minute=start, end_minute=end, rates=Rates())

    assert [minute for minute in inside + outside if window.holds(minute)] == inside


def test_a_card_holds_from_its_first_instant_to_before_its_last() -> None:
    dated = card(effective_from=DAY, effective_to=DAY + timedelta(days=1))

    assert not dated.effective(DAY - timedelta(microseconds=1))
    assert dated.effective(DAY)
    assert dated.effective(DAY + timedelta(days=1, microseconds=-1))
    assert not dated.effective(DAY + timedelta(days=1))


def test_a_card_without_dates_always_holds() -> None:
    assert card().effective(datetime.min.replace(tzinfo=UTC))
    assert card().effective(datetime.max.replace(tzinfo=UTC))


def test_special_rates_replace_the_standard_ones_meter_by_meter() -> None:
    mixed = overlaid(usd(input="2", output="8", cache_read_input="1"), usd(input="1", audio_input="0"))

    assert mixed == usd(input="1", output="8", cache_read_input="1", audio_input="0")


def test_a_card_survives_the_store() -> None:
    written = card(
        usd(input={0: "1.25", 200_001: "2.5"}, request="5"),
        effective_from=DAY,
        windows=(TimeWindow(start_minute=60, end_minute=240, rates=Rates(input=flat(7))),),
    )

    assert msgspec.json.decode(msgspec.json.encode(written), type=PriceCard) == written
