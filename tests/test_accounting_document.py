"""The worked example of docs/accounting.md is what the program does, figure by figure."""

import re
from datetime import timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from service.ledger.record import RequestRecord
from service.ledger.repricer import Repricer, Wanted
from service.pricing.money import format_usd
from service.pricing.override import override_card
from service.pricing.pricebook import PriceBook
from service.pricing.pricefile import parse_price_file
from service.pricing.rating import rate
from service.reporting.check import check
from service.reporting.rows import RequestFilter, list_requests
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store
from service.store.measure_columns import COST_STATUSES, USAGE_SOURCES
from service.usage.dialects import dialect_for
from service.usage.normalise import read_usage
from service.usage.tokens import TokenUsage
from tests.support.audit import TESTER, TRAIL
from tests.support.rated import rated
from tests.support.records import START, write

TEXT = (Path(__file__).parents[1] / "docs" / "accounting.md").read_text("utf-8")
EXAMPLE = TEXT[TEXT.index("## A worked example") :]


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", EXAMPLE, re.DOTALL)
    assert found is not None
    return found[1]


def table() -> list[tuple[str, int, int, int]]:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \|$", EXAMPLE, re.MULTILINE)
    return [(meter, *map(int, numbers)) for meter, *numbers in rows]


def bold() -> list[str]:
    return re.findall(r"\*\*(0\.\d+) USD\*\*", EXAMPLE)


PRICES = PriceBook(parse_price_file(block("toml"), "toml"))
USAGE_RAW = block("json")


def usage() -> TokenUsage:
    reading = read_usage(USAGE_RAW.encode(), dialect_for("openai"))
    assert reading is not None
    assert reading.usage is not None
    assert not reading.flags
    return reading.usage


@pytest.fixture
def record() -> RequestRecord:
    return rated(1, usage(), by=PRICES, upstream_model="example-1", usage_raw=USAGE_RAW)


def test_the_lines_are_those_of_the_table(record: RequestRecord) -> None:
    lines = [
        (one["meter"], one["quantity"], one["rate_picos"], one["cost_nanos"])
        for one in record.cost_lines or ()
    ]
    assert lines == table()
    assert record.cost_status == "priced"
    assert format_usd(record.cost_nanos or 0) == bold()[0]
    assert f"{record.cost_nanos:,} nano-USD" in EXAMPLE


def test_the_correction_is_the_one_described(store: Store, record: RequestRecord) -> None:
    write(store, [record])
    cheaper = override_card(
        {"model": "example-1", "provider": "openai", "input_usd_per_mtok": "2.00"}
        | {"cache_read_input_usd_per_mtok": "0.313", "output_usd_per_mtok": "10.00"}
    )
    later = START + timedelta(days=1)
    diff = Repricer(store, PriceBook([cheaper]), zone=ZoneInfo("UTC"), trail=TRAIL).apply(
        Wanted(until=later), reason="the contract", by=TESTER, now=later, random_bytes=Random(1).randbytes
    )
    assert f"{format_usd(diff.new_nanos - diff.old_nanos).replace('-', '−')} USD" in EXAMPLE  # noqa: RUF001  (the text's minus)
    with store.read() as tx:
        (row,) = list_requests(tx, RequestFilter()).data
        total = usage_report(tx, UsageQuery(since=START, until=later)).total
    assert (format_usd(row["rated_cost_nanos"]), row["cost_usd"]) == tuple(bold()[:2])
    assert total.cost_usd == bold()[1]
    assert check(store) == []


@pytest.mark.parametrize(("tokens", "said"), [(200_001, "1.000005 USD"), (200_000, "0.50 USD")])
def test_the_tier_is_a_cliff(tokens: int, said: str) -> None:
    (card,) = PRICES.cards
    rating = rate(TokenUsage(input_tokens=tokens, output_tokens=0), card, at=START)
    assert f"{format_usd(rating.cost_nanos or 0)} USD" == said
    assert said in EXAMPLE


@pytest.mark.parametrize("name", [*COST_STATUSES, *USAGE_SOURCES])
def test_every_status_is_explained(name: str) -> None:
    assert f"| `{name}` |" in TEXT


def test_commands_of_the_text_exist() -> None:
    from service.cli import COMMANDS
    from service.cli.prices import prices

    for command, sub in re.findall(r"`tollkeeper (\w+)(?: (\w+))?", TEXT):
        assert command in COMMANDS
        assert command != "prices" or sub in prices.commands


def test_the_price_is_as_it_is_written() -> None:
    steps = PRICES.cards[0].rates.input or ()
    assert [(step.from_input_tokens, step.rate_picos) for step in steps] == [
        (0, 2_500_000),
        (200_001, 5_000_000),
    ]
