"""`tollkeeper usage` and `tollkeeper requests` show what the reports say."""

from contextlib import closing

import pytest

from service.store.engine import Store
from tests.cli.conftest import Cli
from tests.support.records import some, write

SPAN = ("--from", "2026-03-06", "--to", "2026-03-10")


@pytest.fixture
def books(on_store: Cli, store_url: str) -> Cli:
    with closing(Store(store_url)) as store:
        write(store, some(seed=6, count=80, days=4))
    return on_store


def test_usage_as_json_is_the_report(books: Cli) -> None:
    report = books.ok("usage", *SPAN, "--by", "model,project", "--interval", "day", "--json").json
    assert report["group_by"] == ["model", "project"]
    assert sum(row["measures"]["requests"] for row in report["rows"]) == report["total"]["requests"] > 0


def test_usage_as_a_table_ends_with_the_total(books: Cli) -> None:
    total = books.ok("usage", *SPAN, "--json").json["total"]
    outcome = books.ok("usage", *SPAN, "--by", "outcome", "--interval", "week")
    header, *rows = outcome.out.splitlines()
    assert header.split()[:4] == ["start", "outcome", "requests", "errors"]
    assert rows[-1].split()[:2] == ["total", str(total["requests"])]
    assert total["cost_usd"] in rows[-1]
    assert sum(int(row.split()[2]) for row in rows[:-1]) == total["requests"]
    assert len({len(row) for row in (header, *rows)}) == 1


def test_usage_without_dimensions_is_one_row(books: Cli) -> None:
    header, row = books.ok("usage", *SPAN).out.splitlines()
    assert header.split()[0] == "requests"
    assert int(row.split()[0]) > 0


def test_usage_by_something_with_nothing_in_range(books: Cli) -> None:
    header, row = books.ok(
        "usage", "--from", "2020-01-01", "--to", "2020-01-02", "--by", "model"
    ).out.splitlines()
    assert header.split()[0] == "model"
    assert row.split()[:2] == ["total", "0"]


def test_filters_narrow(books: Cli) -> None:
    everything = books.ok("usage", *SPAN, "--json").json["total"]["requests"]
    narrow = books.ok("usage", *SPAN, "--outcome", "ok,timeout", "--filter", "end_user=user-1", "--json").json
    assert 0 < narrow["total"]["requests"] < everything


def test_requests_go_from_page_to_page(books: Cli) -> None:
    everything = books.ok("requests", "--limit", "1000", "--json").json["data"]
    first = books.ok("requests", "--limit", "10", "--json").json
    second = books.ok("requests", "--limit", "10", "--cursor", first["next"], "--json").json
    assert first["data"] + second["data"] == everything[:20]
    final = books.ok("requests", "--limit", "1000", "--final", "--json").json["data"]
    assert final == [row for row in everything if row["final"]]


def test_requests_as_a_table(books: Cli) -> None:
    outcome = books.ok("requests", "--limit", "3", "--key", "key_a")
    assert len(outcome.out.splitlines()) == 4
    assert outcome.out.split()[:3] == ["started_at", "request_id", "key_name"]
    assert outcome.err.startswith("\nMore: --cursor ")


def test_one_request_is_shown_whole(books: Cli) -> None:
    row = next(
        row for row in books.ok("requests", "--limit", "1000", "--json").json["data"] if row["attempt"] == 2
    )
    found = books.ok("requests", row["request_id"], "--json").json
    assert len(found["attempts"]) >= 2
    shown = books.ok("requests", row["id"]).out
    assert shown.count("\nrequest_id ") == len(found["attempts"])


def test_times_may_be_relative(books: Cli) -> None:
    report = books.ok("usage", "--from", "2h", "--to", "1h", "--json").json
    assert report["since"] < report["until"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ["usage", "--from", "yesterday"],
            "--from is 'yesterday'; write 2026-01-31T00:00:00Z or 2026-01-31, or 7d",
        ),
        (["usage", "--from", "999999w"], "is '999999w' ago, which is before all records"),
        (["usage", "--by", "modle"], "'modle' is not a dimension"),
        (["usage", "--timezone", "Mars"], "timezone is 'Mars'"),
        (["usage", "--filter", "model"], "--filter 'model' must be DIMENSION=VALUE"),
        (["usage", "--filter", "modle=x"], "'modle' is not a dimension"),
        (["requests", "--limit", "0"], "limit is 0"),
        (["requests", "--cursor", "x"], "cursor is not one"),
        (["requests", "nonsense"], "'nonsense' is not a request id"),
        (["requests", "00000000-0000-7000-8000-000000000000"], "there is no request"),
    ],
)
def test_what_cannot_be_asked(books: Cli, arguments: list[str], reason: str) -> None:
    assert reason in books.refused(*arguments)
