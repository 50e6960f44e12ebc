"""`tollkeeper usage` and `tollkeeper requests` show what the reports say."""

from contextlib import closing

import pytest

from service.reporting import rows
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
    assert sum(int(row.split()[3]) for row in rows[:-1]) == total["requests"]
    assert len({len(row) for row in (header, *rows)}) == 1


def test_times_have_one_form(books: Cli) -> None:
    """Z in UTC, as in every other table; in another zone its offset."""
    plain = ("--from", "2026-02-03", "--to", "2026-02-04T12:00:00Z", "--interval", "day")
    utc = books.ok("usage", *plain)
    assert utc.err == "2026-02-03 00:00:00Z to 2026-02-04 12:00:00Z, UTC\n"
    assert [row.rpartition("Z")[0] for row in utc.out.splitlines()[1:-1]] == [
        "2026-02-03 00:00",
        "2026-02-04 00:00",
    ]
    madrid = books.ok("usage", *plain, "--timezone", "Europe/Madrid")
    assert madrid.err == "2026-02-02 23:00:00Z to 2026-02-04 12:00:00Z, Europe/Madrid\n"
    assert madrid.out.splitlines()[1].startswith("2026-02-03 00:00+01:00 ")


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


def test_the_log_shows_who_counted_and_how_often(books: Cli) -> None:
    header, *lines = books.ok("requests", "--limit", "1000").out.splitlines()
    names = header.split()
    assert names[-1] == "repeat_count"
    assert "usage_source" in names
    shown = books.ok("requests", "--limit", "1000", "--json").json["data"]
    assert sorted(line.split()[-1] for line in lines) == sorted(str(row["repeat_count"]) for row in shown)
    assert {row["usage_source"] for row in shown} >= {"provider", "estimated", "none"}


def test_a_search_goes_on_until_the_page_is_full(books: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """One page of the log may look at so many records; the command asks for the next one itself."""
    everything = books.ok("requests", "--limit", "1000", "--filter", "session=session-1", "--json").json[
        "data"
    ]
    monkeypatch.setattr(rows, "LARGEST_SEARCH", 5)
    found = books.ok("requests", "--limit", "9", "--filter", "session=session-1", "--json").json
    assert found["data"] == everything[:9]


def test_what_has_no_price_has_no_cost(on_store: Cli, store_url: str) -> None:
    """Refusals and failures of the same model cost 0; that is not what the model costs."""
    records = [record for record in some(seed=6, count=80, days=4) if record.upstream is not None]
    for number, record in enumerate(records):
        record.upstream_model = "house-model" if number % 2 else "failing-model"
        record.cost_lines, record.provider_cost_nanos = None, None
        failed = number % 4 == 1 or number % 2 == 0
        record.cost_nanos, record.cost_status = (0, "free") if failed else (None, "unpriced")
    with closing(Store(store_url)) as store:
        write(store, records)
    report = on_store.ok("usage", *SPAN, "--by", "model", "--json").json
    costs = {row["dimensions"]["model"]: row["measures"]["cost_usd"] for row in report["rows"]}
    assert costs == {"house-model": None, "failing-model": "0.00"}
    assert report["total"]["cost_usd"] is None
    assert 0 < report["total"]["coverage"] < 1
    lines = {
        line.split()[0]: line.split()
        for line in on_store.ok("usage", *SPAN, "--by", "model").out.splitlines()
    }
    assert "unpriced" in lines["house-model"]
    covered = {row["dimensions"]["model"]: row["measures"]["coverage"] for row in report["rows"]}
    assert f"{covered['house-model']:.1%}" in lines["house-model"]
    assert "100.0%" in lines["failing-model"]
    assert "unpriced" not in lines["failing-model"]
    assert "unpriced" in lines["total"]


def test_percentiles_are_said_to_be_estimates(cli: Cli) -> None:
    assert "p50 and p95 are estimates" in " ".join(cli.ok("usage", "--help").out.split())


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
        (["usage", "--by", "modle"], "use one of key, project, upstream, provider, model, outcome, end_user"),
        (["usage", "--outcome", "success"], "'success' is no outcome; use one of ok, client_disconnect"),
        (["requests", "--outcome", "ok,success"], "'success' is no outcome; use one of ok"),
        (["requests", "--filter", "usage_source=guess"], "use one of provider, partial, estimated, none"),
        (["requests", "--limit", "0"], "limit is 0"),
        (["requests", "--cursor", "x"], "cursor is not one"),
        (["requests", "nonsense"], "'nonsense' is not a request id"),
        (["requests", "00000000-0000-7000-8000-000000000000"], "there is no request"),
    ],
)
def test_what_cannot_be_asked(books: Cli, arguments: list[str], reason: str) -> None:
    assert reason in books.refused(*arguments)
