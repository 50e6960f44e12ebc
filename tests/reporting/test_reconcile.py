"""Our books beside a provider's: what agrees, what does not, and why. Named after what goes wrong elsewhere."""

from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from service.errors import InvalidInputError
from service.ledger.record import RequestRecord
from service.ledger.repricer import Repricer, Wanted
from service.pricing.pricebook import PriceBook
from service.reporting.books import Books, read_books
from service.reporting.intervals import Span
from service.reporting.provider_report import Billed, parse_report
from service.reporting.reconcile import Figure, period, reconcile, usd
from service.store.engine import Store
from service.store.tables import ledger_entry, request_record
from service.usage.tokens import TokenUsage
from tests.pricing.cards import card
from tests.pricing.cards import usd as rates
from tests.support.audit import TESTER, TRAIL
from tests.support.rated import rated
from tests.support.records import START, write

TEXT = TokenUsage(
    input_tokens=1_000, output_tokens=100, cache_read_input_tokens=400, reasoning_output_tokens=30
)
PRICES = PriceBook([card(rates(input="2.50", cache_read_input="1.25", output="10"), provider="openai")])
MARGIN = timedelta(days=1)
LINES = {"input": (600, "0.0015"), "cached input": (400, "0.0005"), "output": (100, "0.001")}


def one(minute: int, **fields: Any) -> RequestRecord:
    return rated(minute, fields.pop("usage", TEXT), by=PRICES, **{"upstream_model": "gpt-4o", **fields})


def compared(store: Store, text: str, *, zone: str = "UTC", **options: Any) -> list[Figure]:
    report = parse_report(text, zone=ZoneInfo(zone))
    span = period(report.entries)
    wide = Span(span.since - MARGIN, span.until + MARGIN)
    return reconcile(report.entries, read_books(store, wide, **{"provider": "openai", **options}))


def bill(*rows: str) -> str:
    return "\n".join(("date,model,meter,quantity,cost", *rows)) + "\n"


def kinds(figures: list[Figure]) -> set[str]:
    return {reason.kind for figure in figures for reason in figure.reasons}


def lines(day: str = "2026-03-06", *, times: int = 1, model: str = "gpt-4o") -> list[str]:
    return [
        f"{day},{model},{meter},{quantity * times},{Decimal(cost) * times}"
        for meter, (quantity, cost) in LINES.items()
    ]


def test_equal_books_agree_to_the_last_nano(store: Store) -> None:
    write(store, [one(1), one(2), one(1_500)])
    figures = compared(store, bill(*lines(times=2), *lines("2026-03-07")))
    assert len(figures) == 6
    assert [figure for figure in figures if not figure.agrees] == []
    assert sum((figure.our_cost_usd or 0) for figure in figures) == Decimal("0.009")


def test_counts_agree_too(store: Store) -> None:
    write(store, [one(1), one(2)])
    day = "2026-03-06,gpt-4o,"
    text = bill(
        f"{day}input_tokens,2000,",
        f"{day}cache_read_input_tokens,800,",
        f"{day}output_tokens,200,",
        f"{day}requests,2,",
    )
    assert [figure.agrees for figure in compared(store, text)] == [True] * 4


def test_a_nano_dollar_is_a_difference(store: Store) -> None:
    write(store, [one(1)])
    text = bill("2026-03-06,gpt-4o,input,600,0.001500001", *lines()[1:])
    (wrong,) = [figure for figure in compared(store, text) if not figure.agrees]
    assert wrong.cost_difference_usd == Decimal("-0.000000001")
    assert kinds([wrong]) == {"rounding"}  # one line of ours is rounded to half a nano, theirs to as much


def test_cents_are_rounding_and_say_so(store: Store) -> None:
    write(store, [one(1)])
    (figure,) = compared(store, bill("2026-03-06,,,,0.00"))
    assert (figure.agrees, figure.cost_difference_usd, kinds([figure])) == (
        False,
        Decimal("0.003"),
        {"rounding"},
    )
    (figure,) = compared(store, bill("2026-03-06,,,,0.02"))
    assert kinds([figure]) == {"unexplained"}


def test_unpriced_usage_explains_a_lower_cost_and_is_no_silent_zero(store: Store) -> None:
    write(store, [one(1), rated(2, TEXT, by=PriceBook(()), upstream_model="gpt-4o")])
    by_meter = {figure.meter: figure for figure in compared(store, bill(*lines(times=2)))}
    reasons = by_meter["output"].reasons
    assert [reason.kind for reason in reasons] == ["unpriced"]
    assert reasons[0].text == "1 of our requests, 1100 tokens, have no price"


def test_what_is_priced_in_part_is_named(store: Store) -> None:
    audio = TokenUsage(input_tokens=1_000, output_tokens=100, audio_input_tokens=500)
    write(store, [one(1, usage=audio)])
    figures = compared(store, bill("2026-03-06,gpt-4o,input,500,5"))
    assert [reason.kind for figure in figures if figure.meter == "input" for reason in figure.reasons] == [
        "partial",
        "price",
    ]


def test_costs_without_quantities_find_the_hour_too(store: Store) -> None:
    write(store, [one(minute) for minute in range(0, 2 * 1_440, 60)])
    figures = compared(store, bill("2026-03-05,,,,0.009", "2026-03-06,,,,0.072", "2026-03-07,,,,0.063"))
    assert kinds(figures) == {"timezone_edge"}  # theirs begin three hours later


def test_a_cost_without_a_quantity_has_no_price_to_compare(store: Store) -> None:
    fresh = TokenUsage(input_tokens=10, output_tokens=1)
    write(store, [one(1), one(2, upstream_model="o1", usage=fresh)])
    figures = compared(store, bill("2026-03-06,gpt-4o,input,,5", "2026-03-06,gpt-4o,cached input,,0.0005"))
    assert [(figure.meter, kinds([figure])) for figure in figures if figure.model == "gpt-4o"] == [
        ("cache_read_input", set()),
        ("input", {"unexplained"}),
    ]
    assert [figure.meter for figure in figures if figure.model == "o1"] == []


def test_estimates_explain_a_difference_of_quantity(store: Store) -> None:
    estimated = one(2, usage_source="estimated", usage_low=900, usage_high=1_400)
    write(store, [one(1), estimated])
    (figure,) = compared(store, bill("2026-03-06,gpt-4o,input_tokens,2100,"))
    assert figure.quantity_difference == -100
    assert figure.reasons[0].kind == "estimated"
    assert "500 tokens between the bounds" in figure.reasons[0].text


def test_a_price_that_differs_is_told_by_the_million(store: Store) -> None:
    write(store, [one(1)])
    (figure, *_) = [
        f for f in compared(store, bill("2026-03-06,gpt-4o,input,600,0.0018")) if f.meter == "input"
    ]
    assert figure.reasons[0].kind == "price"
    assert figure.reasons[0].text == "for a million, we count 2.500000 USD and they 3.000000 USD"


def test_traffic_past_tollkeeper_is_missing_on_our_side(store: Store) -> None:
    write(store, [one(1)])
    figures = compared(store, bill(*lines(), *lines(model="o1")))
    assert kinds([figure for figure in figures if figure.model == "o1"]) == {"missing_ours"}
    assert kinds([figure for figure in figures if figure.model == "gpt-4o"]) == set()


def test_what_they_do_not_list_is_missing_on_theirs(store: Store) -> None:
    write(store, [one(1), one(2, response_model="GPT-4o-2024-08-06")])
    figures = compared(store, bill(*lines()))
    theirs = [figure for figure in figures if figure.model == "gpt-4o-2024-08-06"]
    assert {figure.meter for figure in theirs} == {"input", "cache_read_input", "output"}
    assert kinds(theirs) == {"missing_theirs"}
    assert sum(figure.cost_difference_usd for figure in theirs) == Decimal("0.003")


def test_a_tool_s_total_does_not_count_the_models_twice(store: Store) -> None:
    write(store, [one(1)])
    figures = compared(store, bill(*lines(), "2026-03-06,web search tool calls,total,,0.50"))
    assert {figure.model for figure in figures} == {"gpt-4o", "web search tool calls"}
    assert len(figures) == 4


def test_days_of_another_zone_are_an_edge_not_a_loss(store: Store) -> None:
    """A provider's days that begin at Pacific midnight once looked like lost usage (BerriAI/litellm #27780)."""
    write(store, [one(minute) for minute in range(0, 3 * 1_440, 90)])
    honest = bill(*(f"2026-03-0{day},gpt-4o,input_tokens,16000," for day in (6, 7, 8)))
    assert [figure.agrees for figure in compared(store, honest)] == [True] * 3
    pacific = bill(
        "2026-03-05,gpt-4o,input_tokens,6000,",  # the eight hours before Pacific midnight
        *(
            f"2026-03-0{day},gpt-4o,input_tokens,{count},"
            for day, count in ((6, 16_000), (7, 16_000), (8, 10_000))
        ),
    )
    figures = compared(store, pacific)
    wrong = [figure for figure in figures if not figure.agrees]
    assert [figure.day for figure in wrong] == [date(2026, 3, 5), date(2026, 3, 8)]
    assert kinds(wrong) == {"timezone_edge"}
    assert "begin 8 h later" in wrong[0].reasons[0].text
    assert [figure.agrees for figure in compared(store, pacific, zone="Etc/GMT+8")] == [True] * 4


def test_failed_attempts_and_provider_costs_are_named(store: Store) -> None:
    failed = rated(3, upstream_model="gpt-4o", outcome="upstream_error")
    by_provider = one(4, provider_cost_nanos=999)
    write(store, [one(1), failed, by_provider])
    figures = compared(store, bill("2026-03-06,gpt-4o,input,1200,5", "2026-03-06,gpt-4o,input_tokens,9000,"))
    by_meter = {figure.meter: figure for figure in figures if figure.reasons}
    assert [reason.kind for reason in by_meter["input"].reasons] == ["provider_cost", "no_usage"]
    assert [reason.kind for reason in by_meter["input_tokens"].reasons] == ["no_usage"]


def test_a_second_rating_counts_in_place_of_the_first(store: Store) -> None:
    write(store, [one(1)])
    dearer = PriceBook([card(rates(input="5", cache_read_input="2.50", output="20"), provider="openai")])
    Repricer(store, dearer, zone=ZoneInfo("UTC"), trail=TRAIL).apply(
        Wanted(until=START + timedelta(days=9)),
        reason="r",
        by=TESTER,
        now=START,
        random_bytes=Random(1).randbytes,
    )
    figures = compared(store, bill("2026-03-06,gpt-4o,input,600,0.0030", "2026-03-06,,,,0.0060"))
    assert [figure.agrees for figure in figures if figure.meter in {"input", "total"}] == [True, True]


def test_only_the_provider_and_the_upstream_asked_for_count(store: Store) -> None:
    write(store, [one(1), one(2, provider="azure"), one(3, upstream="second")])
    text = bill("2026-03-06,gpt-4o,requests,1,")
    assert [figure.our_quantity for figure in compared(store, text)] == [2]
    assert [figure.our_quantity for figure in compared(store, text, upstream="second")] == [1]
    assert [figure.our_quantity for figure in compared(store, text, provider="azure-openai")] == [1]


def test_nothing_is_changed(store: Store) -> None:
    write(store, [one(1)])
    with store.read() as tx:
        before = tx.execute(select(request_record)).all()
    compared(store, bill(*lines(times=3)))
    with store.read() as tx:
        assert tx.execute(select(request_record)).all() == before
        assert tx.scalar(select(func.count()).select_from(ledger_entry)) == 0


def test_minutes_make_a_day(store: Store) -> None:
    write(store, [one(0), one(1), one(17)])
    results = [
        {"object": "organization.usage.completions.result", "model": "gpt-4o", "input_tokens": count}
        for count in (2_000, 1_000, 0)
    ]
    start = int(START.timestamp())
    document = {
        "data": [
            {"start_time": start + 600 * number, "end_time": start + 600 * (number + 1), "results": [result]}
            for number, result in enumerate(results)
        ]
    }
    (figure,) = compared(store, str(document).replace("'", '"'))
    assert (figure.agrees, figure.our_quantity) == (True, 3_000)
    document["data"] = document["data"][:2]
    with pytest.raises(InvalidInputError, match="only whole quarters of an hour"):
        compared(store, str(document).replace("'", '"'))


def test_money_is_exact() -> None:
    assert usd(1) == Decimal("0.000000001")
    assert usd(9_223_372_036_854_775_807) == Decimal("9223372036.854775807")
    entry = Billed(
        day=START.date(), span=Span(START, START + timedelta(days=1)), model="", meter="total",
        cost=Decimal("0.1"), step=Decimal("0.1"),
    )  # fmt: skip
    (figure,) = reconcile([entry] * 10, Books())
    assert figure.their_cost_usd == Decimal("1.0")
