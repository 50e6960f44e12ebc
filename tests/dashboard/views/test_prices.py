"""Prices: the book as it is stored, what has no price and how it gets one, and past usage at today's prices."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import formats
from dashboard.context import current
from service.audit.trail import AuditFilter
from service.ledger.record import RequestRecord
from service.pricing.catalog import list_overrides, load_book
from service.reporting.intervals import widened
from service.reporting.rows import RequestFilter, list_requests
from service.reporting.unpriced import unpriced_models
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store
from tests.dashboard.conftest import DAYS, LOOKER, NOW, OpenPage
from tests.dashboard.pages import figures, press, refusals, table
from tests.support.records import START, some, write

RATES = {"new-input_usd_per_mtok": "$2", "new-output_usd_per_mtok": "8"}


@pytest.fixture
def unpriced(store: Store) -> Store:
    """One model that nobody knows the price of, at one upstream."""
    records = [record for record in some(seed=11, count=150, days=DAYS) if record.upstream]
    for record in records:
        _strip(record)
    write(store, records)
    return store


def _strip(record: RequestRecord) -> None:
    record.upstream, record.provider = "in-house", "vllm"
    record.requested_model = record.upstream_model = "acme-7b"
    record.cost_nanos = record.cost_lines = record.price_id = record.usage_raw = None
    record.provider_cost_nanos = record.audio_input_tokens = None
    record.cost_status = "unpriced"


def total_cost(store: Store) -> int:
    with store.read() as tx:
        rows = list_requests(tx, RequestFilter(), limit=1000).data
    return sum(row["cost_nanos"] or 0 for row in rows)


def test_the_coverage_is_the_reports(books: Store, open_page: OpenPage) -> None:
    with books.read() as tx:
        total = usage_report(tx, UsageQuery(since=START, until=NOW)).total
    shown = figures(open_page(books, "prices"))
    assert shown["Coverage, 30 days"] == formats.percent(total.coverage)
    assert shown["Priced"] == f"{total.cost_status['priced']:,}"
    assert shown["Unpriced"] == f"{total.unpriced_requests:,}"


def test_what_has_no_price_is_listed_as_the_command_line_does(books: Store, open_page: OpenPage) -> None:
    shown = table(open_page(books, "prices"), "Last seen")
    span = widened(START, NOW)
    with books.read() as tx:
        found = unpriced_models(tx, span, book=load_book(tx))
    assert list(zip(shown["Model"], shown["Upstream"], shown["Requests"], strict=True)) == [
        (one.model, one.upstream, one.requests) for one in found
    ]


def test_what_is_said_of_prices_agrees_with_the_coverage(unpriced: Store, open_page: OpenPage) -> None:
    """Every model has its price, and some attempts have none all the same: both are said."""
    set_price(open_page(unpriced, "prices"), RATES)
    page = press(open_page(unpriced, "prices"), "Show what would change")
    press(page, "Write these changes")
    page = open_page(unpriced, "prices")
    with unpriced.read() as tx:
        total = usage_report(tx, UsageQuery(since=START, until=NOW)).total
    assert total.coverage is not None
    assert 0 < total.coverage < 1
    (said,) = [
        caption.value for caption in page.caption if "Every model that was used has a price." in caption.value
    ]
    assert f"{total.unpriced_requests:,} attempts have no cost because nobody reported what they used" in said
    assert f"So the coverage is {formats.percent(total.coverage)}." in said
    assert figures(page)["Coverage, 30 days"] == formats.percent(total.coverage)


def test_only_a_coverage_of_everything_is_called_that(sqlite_store: Store, open_page: OpenPage) -> None:
    records = [record for record in some(seed=11, count=150, days=DAYS) if record.cost_status == "priced"]
    write(sqlite_store, records)
    page = open_page(sqlite_store, "prices")
    assert figures(page)["Coverage, 30 days"] == "100%"
    assert "Every forwarded attempt of the last thirty days has a price." in [
        one.value for one in page.caption
    ]


def test_a_set_price_leaves_its_form_empty(unpriced: Store, open_page: OpenPage) -> None:
    page = set_price(open_page(unpriced, "prices"), RATES)
    fields = [one for one in page.text_input if str(one.key).startswith("new-")]
    assert fields
    assert {one.value for one in fields} == {""}


def set_price(page: AppTest, rates: dict[str, str]) -> AppTest:
    for key, value in rates.items():
        page.text_input(key=key).set_value(value)
    return press(page, "Set price")


def test_one_form_gives_a_model_its_price_and_repricing_applies_it(
    unpriced: Store, open_page: OpenPage
) -> None:
    page = set_price(open_page(unpriced, "prices"), RATES)
    with unpriced.read() as tx:
        (card,) = list_overrides(tx)
        (entry,) = current().registries.trail.list(tx, AuditFilter(action="price.set"), limit=5)
    assert (card.model, card.provider, entry.actor.kind) == ("acme-7b", "vllm", "account")
    assert total_cost(unpriced) == 0
    page = press(open_page(unpriced, "prices"), "Show what would change")
    changes = table(page, "Newly priced")
    assert total_cost(unpriced) == 0
    with unpriced.read() as tx:
        total = usage_report(tx, UsageQuery(since=START, until=NOW)).total
    expected = ((total.input_tokens or 0) * 2 + (total.output_tokens or 0) * 8) * 1_000
    assert f"would cost {formats.usd(expected)} instead of $0.00" in page.text[-1].value
    assert sum(changes["Newly priced"]) == sum(changes["Requests"])
    press(page, "Write these changes")
    assert total_cost(unpriced) == expected
    page = press(open_page(unpriced, "prices"), "Show what would change")
    assert "Nothing would change" in page.info[-1].value


@pytest.mark.parametrize(
    ("rates", "reason"),
    [({}, "at least one amount"), ({"new-input_usd_per_mtok": "two"}, "input_usd_per_mtok")],
)
def test_a_price_that_cannot_be_is_refused(
    unpriced: Store, open_page: OpenPage, rates: dict[str, str], reason: str
) -> None:
    page = set_price(open_page(unpriced, "prices"), rates)
    assert reason in refusals(page)
    with unpriced.read() as tx:
        assert not list_overrides(tx)


def test_the_book_can_be_searched_and_shows_what_has_ended(unpriced: Store, open_page: OpenPage) -> None:
    set_price(open_page(unpriced, "prices"), RATES)
    set_price(open_page(unpriced, "prices"), {**RATES, "new-input_usd_per_mtok": "3"})
    page = open_page(unpriced, "prices")
    page.text_input(key="model-search").set_value("ACME").run()
    assert list(table(page, "Status")["Input"]) == ["$3.00"]
    page.toggle(key="history").set_value(True).run()
    shown = table(page, "Status")
    assert sorted(zip(shown["Input"], shown["Status"], strict=True)) == [
        ("$2.00", "ended"),
        ("$3.00", "current"),
    ]
    page.text_input(key="model-search").set_value("no such model").run()
    assert "No price matches." in [caption.value for caption in page.caption]


def test_a_viewer_may_look_at_what_repricing_would_change_but_not_write_it(
    unpriced: Store, open_page: OpenPage
) -> None:
    set_price(open_page(unpriced, "prices"), RATES)
    page = press(open_page(unpriced, "prices", viewer=LOOKER), "Show what would change")
    assert len(table(page, "Newly priced"))
    assert "Write these changes" not in [button.label for button in page.button]
    assert "Set price" not in [button.label for button in page.button]
