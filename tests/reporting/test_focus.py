"""FOCUS 1.2: every row obeys the column table, and the costs are those of the books to the last nano-dollar."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from service.ledger.entries import LedgerEntry, append
from service.ledger.record import RequestRecord, uuid7
from service.reporting.focus import export_focus, focus_rows
from service.reporting.focus_columns import COLUMNS, problems
from service.reporting.intervals import Span
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store
from service.store.tables import virtual_key
from service.store.types import to_micros
from tests.support.records import START, write

DAY = Span(START, START + timedelta(days=1))
MANDATORY_IN_1_2 = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
]


def record(number: int, **fields: Any) -> RequestRecord:
    started = to_micros(START) + number * 1_000_000
    identifier = uuid7(started, number.to_bytes(8, "big"))
    given: dict[str, Any] = {
        "key_id": "key_a",
        "project": "team-1",
        "upstream": "main",
        "provider": "openai",
        "upstream_model": "gpt-4o",
        "response_model": "gpt-4o-2024-11-20",
        "usage_source": "provider",
        "cost_status": "priced",
        "price_id": "card-7",
        "input_tokens": 1_500,
        "output_tokens": 100,
        "cost_nanos": 3_750_001,
        "cost_lines": (
            {"meter": "input", "quantity": 500, "rate_picos": 2_500_000, "cost_nanos": 1_250_001},
            {
                "meter": "cache_read_input",
                "quantity": 1_000,
                "rate_picos": 1_250_000,
                "cost_nanos": 1_250_000,
            },
            {"meter": "output", "quantity": 100, "rate_picos": 12_500_000, "cost_nanos": 1_250_000},
        ),
    }
    common = {"id": identifier, "request_id": identifier, "attempt": 1, "started_at": started}
    return RequestRecord(**{**given, **fields, **common})


BOOKS = [
    record(1),
    record(2),
    record(3, service_tier="flex", provider_cost_nanos=4_000_000),
    record(
        4,
        cost_nanos=10_000_000,
        cost_lines=({"meter": "request", "quantity": 1, "rate_picos": 10**10, "cost_nanos": 10_000_000},),
    ),
    record(5, cost_status="provider", cost_nanos=77, cost_lines=None, provider_cost_nanos=77, key_id=None),
    record(6, cost_status="unpriced", cost_nanos=None, cost_lines=None, price_id=None, provider=None),
    record(7, outcome="rejected_budget", upstream=None, cost_status="free", cost_nanos=0, cost_lines=None),
]


@pytest.fixture
def books(store: Store) -> Store:
    write(store, BOOKS)
    with store.write() as tx:
        tx.execute(
            virtual_key.insert().values(
                id="key_a", name="=cmd", project="team-1", created_at=START, updated_at=START
            )
        )
    return store


def rows_of(store: Store) -> list[dict[str, Any]]:
    with store.read() as tx:
        return focus_rows(tx, DAY)


def nanos(rows: list[dict[str, Any]], column: str) -> int:
    return int(sum(Decimal(row[column]) for row in rows) * 10**9)


def test_the_mandatory_columns_are_those_of_the_specification() -> None:
    assert sorted(column.name for column in COLUMNS if column.mandatory) == sorted(MANDATORY_IN_1_2)
    names = [column.name for column in COLUMNS]
    assert len(set(names)) == len(names)


def test_every_row_obeys_the_column_table(books: Store) -> None:
    for row in rows_of(books):
        assert problems(row) == []


def test_the_costs_are_those_of_the_books(books: Store) -> None:
    rows = rows_of(books)
    with books.read() as tx:
        total = usage_report(tx, UsageQuery(since=DAY.since, until=DAY.until)).total
    for column in ("EffectiveCost", "ContractedCost", "ListCost"):
        assert nanos(rows, column) == total.cost_nanos
    assert nanos(rows, "BilledCost") == (total.cost_nanos or 0) + 4_000_000 - 3_750_001


def test_one_row_for_each_meter_key_and_price(books: Store) -> None:
    used = [row for row in rows_of(books) if row["ChargeCategory"] == "Usage" and row["SubAccountId"]]
    standard = {row["SkuMeter"]: row for row in used if row["x_ServiceTier"] is None}
    assert sorted(standard) == ["Cache Read Input Tokens", "Input Tokens", "Output Tokens", "Requests"]
    cached = standard["Cache Read Input Tokens"]
    assert {
        name: cached[name] for name in cached if name.startswith(("Consumed", "Pricing", "Contracted", "Sku"))
    } == {
        "ConsumedQuantity": "2000",
        "ConsumedUnit": "Tokens",
        "PricingQuantity": "0.002000",
        "PricingUnit": "1000000 Tokens",
        "PricingCategory": "Standard",
        "ContractedCost": "0.0025",
        "ContractedUnitPrice": "1.25",
        "SkuId": "openai/gpt-4o-2024-11-20",
        "SkuMeter": "Cache Read Input Tokens",
        "SkuPriceId": "card-7/cache_read_input/1250000",
        "SkuPriceDetails": {},
    }
    fee = standard["Requests"]
    assert (fee["PricingQuantity"], fee["PricingUnit"], fee["ContractedUnitPrice"]) == (
        "1",
        "Requests",
        "0.010000000000",
    )
    assert (cached["SubAccountId"], cached["SubAccountName"], cached["Tags"]) == (
        "key_a",
        "=cmd",
        {"project": "team-1"},
    )
    assert (cached["BillingPeriodStart"], cached["BillingPeriodEnd"]) == (
        "2026-03-01T00:00:00Z",
        "2026-04-01T00:00:00Z",
    )


def test_a_provider_cost_without_lines_is_charged_by_the_request(books: Store) -> None:
    (row,) = [row for row in rows_of(books) if row["SubAccountId"] is None]
    assert (row["EffectiveCost"], row["PricingQuantity"], row["PricingUnit"]) == (
        "0.000000077",
        "1",
        "Requests",
    )


def test_costs_that_the_provider_reported_are_one_row_without_a_unit_price(store: Store) -> None:
    def reported(nanos: int) -> dict[str, Any]:
        line = {"meter": "provider_reported", "quantity": 1, "rate_picos": nanos * 1_000, "cost_nanos": nanos}
        return {"cost_status": "provider", "cost_nanos": nanos, "cost_lines": (line,), "price_id": None}

    write(store, [record(1, **reported(40)), record(2, **reported(37))])
    (row,) = rows_of(store)
    assert problems(row) == []
    assert (row["EffectiveCost"], row["PricingQuantity"]) == ("0.000000077", "2")
    assert (row["SkuMeter"], row["PricingUnit"], row["ContractedUnitPrice"]) == ("Requests", "Requests", None)


def test_a_ledger_entry_is_a_correction_in_the_period_of_its_record(books: Store) -> None:
    before = rows_of(books)
    entry = LedgerEntry(
        id=UUID(int=9), record_id=UUID(bytes=BOOKS[5].id), kind="reprice", rating_version=2, delta_nanos=1_234,
        cost_status_before="unpriced", cost_status_after="priced", created_at=START + timedelta(days=40),
    )  # fmt: skip
    with books.write() as tx:
        append(tx, [entry])
    rows = rows_of(books)
    (correction,) = [row for row in rows if row.get("ChargeClass") == "Correction"]
    assert problems(correction) == []
    assert correction["BilledCost"] == correction["EffectiveCost"] == "0.000001234"
    assert correction["ProviderName"] == "main"
    assert nanos(rows, "BilledCost") == nanos(before, "BilledCost") + 1_234


@pytest.mark.parametrize("period", ["hour", "day"])
def test_the_file_holds_every_period(books: Store, period: Any) -> None:
    heard: list[tuple[int, int, int]] = []
    until = START + timedelta(days=2)
    pieces = export_focus(
        books, since=START, until=until, period=period, progress=lambda *done: heard.append(done)
    )
    rows = list(csv.DictReader(io.StringIO(b"".join(pieces).decode(), newline="")))
    assert list(rows[0]) == [column.name for column in COLUMNS]
    assert nanos(rows, "EffectiveCost") == nanos(rows_of(books), "EffectiveCost")
    assert heard[-1] == ((48, 48, len(rows)) if period == "hour" else (2, 2, len(rows)))
    length = timedelta(hours=1) if period == "hour" else timedelta(days=1)
    for row in rows:
        start, end = (datetime.fromisoformat(row[f"ChargePeriod{edge}"]) for edge in ("Start", "End"))
        assert end - start == length
        assert start.tzinfo == UTC
        assert json.loads(row["Tags"]) in ({}, {"project": "team-1"})
    assert {row["SubAccountName"] for row in rows} == {"'=cmd", ""}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"BilledCost": None}, "BilledCost is null"),
        ({"ChargeCategory": "Gift"}, "ChargeCategory is 'Gift'"),
        ({"PricingQuantity": None}, "PricingQuantity is null"),
        ({"ConsumedUnit": None}, "ConsumedQuantity and ConsumedUnit are null together or not at all"),
        ({"SubAccountId": None}, "SubAccountName has no SubAccountId"),
        ({"SkuId": None}, "SkuPriceId or SkuMeter has no SkuId"),
        ({"Colour": "red"}, "Colour is no column"),
    ],
)
def test_the_column_table_objects(books: Store, change: dict[str, Any], problem: str) -> None:
    row = next(row for row in rows_of(books) if row["ChargeCategory"] == "Usage" and row["SubAccountId"])
    assert problem in problems({**row, **change})
