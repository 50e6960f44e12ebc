"""Rating a stored record again: the same prices give the same cost, whatever the provider sent."""

from datetime import date
from operator import attrgetter
from zoneinfo import ZoneInfo

import pytest

from service.ledger.record import RequestRecord
from service.ledger.repricing import Change, Diff, Standing, reprice, usage_of
from service.pricing.pricebook import PriceBook
from service.usage.meter import BodyMeter, StreamMeter
from service.usage.metered import Metered
from service.usage.tokens import TokenUsage
from tests.pricing.cards import card, usd
from tests.support.rated import AFTER, BEFORE, book, rated, variety
from tests.usage.wire_cases import WireCase, load_cases, replay

EVERY_METER = card(
    usd(
        input="1", cache_read_input="2", cache_write_input="3", cache_write_1h_input="5", audio_input="7",
        cache_read_audio_input="11", image_input="13", cache_read_image_input="17", video_input="19", output="23",
        reasoning_output="29", audio_output="31", image_output="37", citation="41", web_search="43", request="47",
    ),
    model="any", provider=None,
)  # fmt: skip


def standing_of(record: RequestRecord) -> Standing:
    return Standing(
        cost_nanos=record.cost_nanos, cost_status=record.cost_status, lines=record.cost_lines or ()
    )


def metered(case: WireCase) -> Metered:
    meter = StreamMeter(case.dialect, choices=case.choices) if case.stream else BodyMeter(case.dialect)
    replay(meter, [case.data])
    return meter.result()


RECORDINGS = [
    case for case in load_cases(stream=True) + load_cases(stream=False) if metered(case).usage is not None
]


@pytest.mark.parametrize("case", RECORDINGS, ids=attrgetter("name"))
@pytest.mark.parametrize("raw", [True, False], ids=["with the usage as received", "without"])
def test_every_recording_costs_the_same_a_second_time(case: WireCase, *, raw: bool) -> None:
    facts = metered(case)
    prices = PriceBook([EVERY_METER])
    provider = case.dialect.name if case.dialect.decides else "nobody"
    record = rated(
        1, facts.usage, by=prices, upstream_model="any", provider=provider,
        usage_raw=facts.usage_raw if raw else None, usage_flags=facts.usage_flags, usage_source=facts.usage_source,
    )  # fmt: skip
    assert reprice(record, standing_of(record), book=prices) == "same"


def test_the_recordings_are_many() -> None:
    assert len(RECORDINGS) > 40


def test_nothing_changes_at_the_same_prices() -> None:
    verdicts = [reprice(record, standing_of(record), book=BEFORE) for record in variety()]
    assert [verdict for verdict in verdicts if isinstance(verdict, Change)] == []
    assert {"same", "no_usage", "no_price", "provider_cost"} == set(verdicts)


def test_a_change_says_what_is_to_be_added() -> None:
    (record, *_) = variety()
    change = reprice(record, standing_of(record), book=AFTER)
    assert isinstance(change, Change)
    assert change.rating.cost_status == "assumed"  # no cache price: the input price
    assert change.delta_nanos == 1_000 * 2_500
    later = Standing(cost_nanos=change.rating.cost_nanos, cost_status="assumed", version=2)
    assert reprice(record, later, book=AFTER) == "same"


def test_a_record_without_a_cost_gets_its_first() -> None:
    record = variety()[3]
    assert (record.cost_nanos, record.cost_status) == (None, "unpriced")
    change = reprice(record, standing_of(record), book=AFTER)
    assert isinstance(change, Change)
    assert change.delta_nanos == change.rating.cost_nanos == 1_200_000


def test_a_price_taken_away_leaves_the_cost() -> None:
    (record, *_) = variety()
    assert reprice(record, standing_of(record), book=book()) == "no_price"


def test_only_the_status_may_change() -> None:
    record = rated(1, TokenUsage(input_tokens=0, output_tokens=0), upstream_model="new")
    change = reprice(record, standing_of(record), book=AFTER)
    assert isinstance(change, Change)
    assert (change.delta_nanos, change.rating.cost_status) == (0, "priced")


def test_an_hour_s_cache_write_is_rated_as_such_again() -> None:
    with_raw, without_raw = variety()[9:11]
    for record in (with_raw, without_raw):
        usage = usage_of(record, record.cost_lines or ())
        assert usage is not None
        assert usage.cache_write_1h_input_tokens == 40
    without_lines = usage_of(without_raw)
    assert without_lines is not None
    assert without_lines.cache_write_1h_input_tokens is None


def test_usage_as_received_that_is_not_what_was_stored_is_not_believed() -> None:
    record = variety()[9]
    record.input_tokens = 161
    usage = usage_of(record)
    assert usage is not None
    assert (usage.input_tokens, usage.cache_write_1h_input_tokens) == (161, None)


@pytest.mark.parametrize("raw", ["", "null", "[]", "{", '{"prompt_tokens":"x"}'])
def test_garbage_as_received_is_nothing(raw: str) -> None:
    record = rated(1, TokenUsage(input_tokens=5, output_tokens=6), usage_raw=raw)
    assert usage_of(record) == TokenUsage(input_tokens=5, output_tokens=6)


def test_a_diff_goes_by_the_days_of_a_zone_and_by_model() -> None:
    def diff(zone: str) -> Diff:
        found = Diff(ZoneInfo(zone))
        for record in variety():
            found.add(reprice(record, standing_of(record), book=AFTER))
        return found

    utc = diff("UTC")
    assert [(group.day, group.model, group.records) for group in utc.groups] == [
        (date(2026, 3, 6), "gpt-4o", 3),
        (date(2026, 3, 6), "new", 2),
        (date(2026, 3, 7), "gpt-4o", 1),
    ]
    assert [group.day.day for group in diff("America/Los_Angeles").groups] == [5, 5, 6]
    assert (utc.records, utc.newly_priced) == (6, 2)
    assert utc.new_nanos - utc.old_nanos == 4 * 2_500_000 + 2 * 1_200_000
    assert utc.unchanged == {"same": 3, "no_usage": 1, "no_price": 1, "provider_cost": 1}
