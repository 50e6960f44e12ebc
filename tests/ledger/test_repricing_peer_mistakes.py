"""What went wrong elsewhere when prices changed, each as a test of ours. The numbers are issues of that project."""

import json
from datetime import timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from service.errors import InvalidInputError
from service.ledger.repricer import Repricer, Wanted
from service.ledger.repricing import Diff
from service.pricing.card import PriceCard
from service.pricing.pricebook import PriceBook
from service.pricing.pricefile import parse_price_file
from service.reporting.check import check
from service.reporting.export import export_requests
from service.reporting.provider_report import parse_report
from service.reporting.rows import RequestFilter, list_requests
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store
from service.usage.tokens import TokenUsage
from tests.pricing.cards import card, usd
from tests.support.audit import TESTER, TRAIL
from tests.support.rated import AFTER, BEFORE, rated, variety
from tests.support.records import START, write

UTC = ZoneInfo("UTC")
END = START + timedelta(days=9)


def reprice(store: Store, book: PriceBook, *, zone: str = "UTC") -> Diff:
    repricer = Repricer(store, book, zone=ZoneInfo(zone), trail=TRAIL)
    return repricer.apply(Wanted(until=END), reason="r", by=TESTER, now=END, random_bytes=Random(1).randbytes)


def test_litellm_35913_a_model_without_a_price_does_not_become_free(store: Store) -> None:
    """Requests of unknown models were booked at $0.00 and nobody saw it."""
    usage = TokenUsage(input_tokens=10**6, output_tokens=10**6)
    write(store, [rated(1, usage, upstream_model="unknown")])
    assert reprice(store, AFTER).unchanged["no_price"] == 1
    with store.read() as tx:
        total = usage_report(tx, UsageQuery(since=START, until=END)).total
    assert (total.cost_nanos, total.unpriced_requests, total.coverage) == (None, 1, 0.0)


def test_litellm_37144_log_totals_and_export_say_the_same_after_a_change(store: Store) -> None:
    """Spend logs and daily tables drifted apart, and nothing noticed."""
    write(store, variety())
    reprice(store, AFTER)
    with store.read() as tx:
        logged = sum(row["cost_nanos"] or 0 for row in list_requests(tx, RequestFilter(), limit=100).data)
        by_rollups = usage_report(tx, UsageQuery(since=START, until=END, interval="day")).total.cost_nanos
        by_records = usage_report(
            tx, UsageQuery(since=START, until=END, group_by=("session",))
        ).total.cost_nanos
    exported = b"".join(export_requests(store, RequestFilter(), file_format="jsonl"))
    in_file = sum(json.loads(line)["cost_nanos"] or 0 for line in exported.splitlines())
    assert logged == by_rollups == by_records == in_file
    assert check(store) == []


def test_litellm_27780_days_of_any_zone_add_up_to_the_total(store: Store) -> None:
    """Days of another time zone were counted twice or not at all."""
    write(
        store, [rated(number, TokenUsage(input_tokens=7, output_tokens=1)) for number in range(0, 5_000, 37)]
    )
    diffs = [
        Repricer(store, AFTER, zone=ZoneInfo(zone), trail=TRAIL).preview(Wanted(until=END))
        for zone in ("UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/Los_Angeles")
    ]
    assert len({(diff.records, diff.old_nanos, diff.new_nanos) for diff in diffs}) == 1
    assert len({tuple(group.records for group in diff.groups) for diff in diffs}) > 1


@pytest.mark.parametrize("part", ["cache_read_input_tokens", "reasoning_output_tokens"])
def test_litellm_14849_cached_and_reasoning_tokens_are_charged_once(store: Store, part: str) -> None:
    """Parts were charged beside the totals that contain them."""
    prices = PriceBook(
        [card(usd(input="1", cache_read_input="1", output="1", reasoning_output="1"), provider=None)]
    )
    write(store, [rated(1, TokenUsage(input_tokens=500, output_tokens=500, **{part: 400}), by=BEFORE)])
    assert reprice(store, prices).new_nanos == 1_000 * 1_000


def test_new_api_4429_a_correction_is_not_given_twice(store: Store) -> None:
    """Refunds ran twice when a job was started again."""
    write(store, variety())
    first = reprice(store, AFTER)
    assert (first.records, reprice(store, AFTER).records) == (6, 0)


def test_a_price_file_with_one_wrong_line_leaves_no_price_behind() -> None:
    """Half of a price list was taken over before the parser gave up."""
    taken: list[PriceCard] = []
    with pytest.raises(InvalidInputError, match=r"line 4: input_usd_per_mtok"):
        taken.extend(parse_price_file("model,input_usd_per_mtok\na,1\nb,2\nc,NaN\nd,4\n", "csv"))
    assert taken == []


def test_a_report_s_first_page_is_not_taken_for_the_whole() -> None:
    """The first seven days of a month were compared with the whole month."""
    result = {"object": "organization.usage.completions.result", "model": "m", "input_tokens": 1}
    bucket = {"start_time": 1772755200, "end_time": 1772841600, "results": [result]}
    report = parse_report(json.dumps({"data": [bucket], "has_more": True, "next_page": "p"}), zone=UTC)
    assert any("more pages follow" in note for note in report.notes)


def test_a_report_s_page_given_twice_is_not_counted_twice() -> None:
    """Pages fetched again after a time-out were added up."""
    result = {"object": "organization.usage.completions.result", "model": "m", "input_tokens": 1}
    page = {"data": [{"start_time": 1772755200, "end_time": 1772841600, "results": [result]}]}
    with pytest.raises(InvalidInputError, match="comes twice"):
        parse_report(json.dumps([page, page]), zone=UTC)
