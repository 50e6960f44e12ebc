"""`tollkeeper reconcile`: what it prints, and its exit status."""

import json
from pathlib import Path

import pytest

from service.pricing.pricebook import PriceBook
from service.store.engine import Store
from service.usage.tokens import TokenUsage
from tests.cli.conftest import Cli
from tests.pricing.cards import card
from tests.support.rated import rated
from tests.support.records import write

USAGE = TokenUsage(input_tokens=1_000, output_tokens=100)
PRICES = PriceBook([card()])  # 2.50 and 10 USD per million
HEADER = "date,model,meter,quantity,cost\n"
AGREEING = HEADER + "2026-03-06,gpt-4o,input,1000,0.0025\n2026-03-06,gpt-4o,output,100,0.001\n"


@pytest.fixture
def books(store: Store) -> Store:
    write(store, [rated(1, USAGE, by=PRICES)])
    return store


@pytest.mark.usefixtures("books")
def test_books_that_agree(on_store: Cli) -> None:
    Path("bill.csv").write_text(AGREEING)
    outcome = on_store.ok("reconcile", "bill.csv", "--provider", "openai")
    assert outcome.out == ""
    assert outcome.err.splitlines() == [
        "Costs in USD: ours 0.0035, theirs 0.0035, difference 0.00.",
        "2 of 2 figures agree.",
    ]
    everything = on_store.ok("reconcile", "bill.csv", "--provider", "openai", "--all").out.splitlines()
    assert everything[1].split() == [
        "2026-03-06",
        "gpt-4o",
        "input",
        "1000",
        "1000",
        "0.0025",
        "0.0025",
        "0.00",
    ]


@pytest.mark.usefixtures("books")
def test_books_that_differ_exit_with_1(on_store: Cli) -> None:
    Path("bill.csv").write_text(AGREEING.replace("0.0025", "0.0030"))
    outcome = on_store("reconcile", "bill.csv", "--provider", "openai", "--json")
    assert outcome.code == 1
    answer = outcome.json
    assert (answer["agree"], answer["differ"]) == (1, 1)
    assert answer["total"] == {"our_usd": "0.0035", "their_usd": "0.004", "difference_usd": "-0.0005"}
    assert answer["data"] == [
        {
            "day": "2026-03-06",
            "model": "gpt-4o",
            "meter": "input",
            "our_quantity": 1_000,
            "their_quantity": 1_000,
            "our_usd": "0.0025",
            "their_usd": "0.003",
            "difference_usd": "-0.0005",
            "agrees": False,
            "reasons": [
                {"kind": "price", "text": "for a million, we count 2.500000 USD and they 3.000000 USD"}
            ],
        }
    ]
    assert "price: for a million" in on_store("reconcile", "bill.csv", "--provider", "openai").out


@pytest.mark.usefixtures("books")
def test_a_page_of_openai_s_costs(on_store: Cli) -> None:
    result = {
        "object": "organization.costs.result",
        "amount": {"value": 0.0035, "currency": "usd"},
        "line_item": None,
    }
    bucket = {"object": "bucket", "start_time": 1772755200, "end_time": 1772841600, "results": [result]}
    Path("costs.json").write_text(json.dumps({"object": "page", "data": [bucket], "has_more": True}))
    outcome = on_store.ok("reconcile", "costs.json", "--provider", "openai")
    assert "1 of 1 figures agree." in outcome.err
    assert "Note: the report says that more pages follow" in outcome.err


@pytest.mark.usefixtures("books")
def test_counts_alone_have_no_costs_to_sum(on_store: Cli) -> None:
    Path("usage.csv").write_text(HEADER + "2026-03-06,gpt-4o,input_tokens,1000,\n")
    outcome = on_store.ok("reconcile", "usage.csv", "--provider", "openai", "--json", "--all")
    assert outcome.json["total"] == {"our_usd": None, "their_usd": None, "difference_usd": None}
    assert outcome.json["data"][0]["their_usd"] is None
    assert on_store.ok("reconcile", "usage.csv", "--provider", "openai").err == "1 of 1 figures agree.\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEADER + "2026-03-06,m,input,NaN,", "line 2: quantity is 'NaN'"),
        (HEADER + "2026-03-06,m,input,1,-1", "line 2: cost is '-1'"),
        (HEADER + "2026-03-06,m,input,1,1e5", "line 2: cost is '1e5'"),
        (HEADER + "2026-03-06,m,input,1," + "1" * 31, "line 2: cost has more than 30 digits"),
        (HEADER + "0001-01-01,m,input,1,", "since is in the year 1;"),
        (
            '{"data":[{"start_time":0,"end_time":900,"results":[{"input_tokens":1}]}]}',
            "since is in the year 1970",
        ),
        ("{", "the report is not valid JSON"),
        ("", "date is no column"),
        (HEADER, "the report has no usage and no costs"),
    ],
)
def test_mistakes_are_one_line(on_store: Cli, text: str, said: str) -> None:
    Path("bill.csv").write_text(text)
    assert said in on_store.refused("reconcile", "bill.csv", "--provider", "openai")


def test_other_mistakes(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("bill.csv").write_text(AGREEING)
    assert "timezone is 'Mars'" in cli.refused(
        "reconcile", "bill.csv", "--provider", "x", "--timezone", "Mars"
    )
    assert "does not exist yet" in cli.refused("reconcile", "bill.csv", "--provider", "x")
    with monkeypatch.context() as patched:
        patched.setattr("service.cli.reconcile.LARGEST_FILE", 10)
        assert "is larger than" in cli.refused("reconcile", "bill.csv", "--provider", "x")
    assert cli("reconcile", "bill.csv").code == 2
    assert cli("reconcile", "absent.csv", "--provider", "x").code == 2
    Path("bill.csv").write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in cli.refused("reconcile", "bill.csv", "--provider", "x")
