"""Charts: what is drawn adds up to what the report says, in every bucket, whatever is folded into the rest."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from dashboard import charts, usage_charts
from service.reporting.figures import Sums, figures
from service.reporting.intervals import Interval
from service.reporting.rows import RequestFilter, list_requests
from service.reporting.usage import UsageQuery, UsageReport, UsageRow, usage_report
from service.store.engine import Store
from tests.dashboard.conftest import DAYS
from tests.support.records import START


def report(store: Store, *, interval: Interval = "day", group_by: tuple[str, ...] = ()) -> UsageReport:
    query = UsageQuery(
        since=START - timedelta(days=1),
        until=START + timedelta(days=DAYS),
        interval=interval,
        group_by=group_by,
        timezone="America/Los_Angeles",
    )
    with store.read() as tx:
        return usage_report(tx, query)


def drawn(option: charts.Option) -> list[float]:
    """The height of every stack."""
    stacks = zip(*(series["data"] for series in option["series"]), strict=True)
    return [sum(value or 0 for value in values) for values in stacks]


def test_the_bars_of_requests_add_up_to_the_requests(sqlite_books: Store) -> None:
    found = report(sqlite_books)
    option = charts.requests(found)
    assert drawn(option) == [row.measures.requests for row in found.rows]
    errors = next(one for one in option["series"] if one["name"] == "Errors")
    assert sum(value or 0 for value in errors["data"]) == found.total.errors > 0


def test_lines_have_a_gap_where_nothing_was(sqlite_books: Store) -> None:
    found = report(sqlite_books)
    rates = charts.error_rate(found)["series"][0]["data"]
    assert rates[0] is None
    assert rates[1:] == [
        row.measures.error_rate * 100 for row in found.rows[1:] if row.measures.error_rate is not None
    ]


def test_a_timeline_has_a_bar_for_each_attempt(sqlite_books: Store) -> None:
    with sqlite_books.read() as tx:
        rows = list_requests(tx, RequestFilter(), limit=500).data
    last = next(row for row in rows if row["attempt"] == 3 and row["ttft_ms"] and row["duration_ms"])
    attempts = sorted(
        (row for row in rows if row["request_id"] == last["request_id"]), key=lambda row: row["attempt"]
    )
    option = charts.timeline([{**one, "overhead_ms": 2.5} for one in attempts])
    assert option["yAxis"]["data"] == ["Attempt 1", "Attempt 2", "Attempt 3"]
    before, relay, wait, rest = (one["data"] for one in option["series"])
    assert before[0] == 0
    assert before[2] == pytest.approx((last["started_at"] - attempts[0]["started_at"]).total_seconds() * 1000)
    assert relay[2] == 2.5
    assert wait[2] == pytest.approx(min(last["ttft_ms"], last["duration_ms"] - 2.5), abs=0.001)
    assert relay[2] + wait[2] + rest[2] == pytest.approx(last["duration_ms"], abs=0.001)


def attempt(**known: float | None) -> dict[str, Any]:
    nothing = dict.fromkeys(("ttft_ms", "duration_ms", "overhead_ms"))
    return {"attempt": 1, "started_at": START, **nothing, **known}


def test_an_answer_that_is_not_streamed_is_one_wait() -> None:
    series = charts.timeline([attempt(duration_ms=1101.49, overhead_ms=1.49)])["series"]
    assert [(one["name"], one["data"]) for one in series] == [
        ("", [0.0]),
        ("In the relay", [1.49]),
        ("Until the answer", [1100.0]),
    ]


def test_an_attempt_of_unknown_length_has_no_bar() -> None:
    series = charts.timeline([attempt()])["series"]
    assert [one["data"] for one in series] == [[0.0], [None], [None]]


def test_a_first_token_later_than_the_end_ends_with_it() -> None:
    series = charts.timeline([attempt(duration_ms=10.0, overhead_ms=20.0, ttft_ms=30.0)])["series"]
    assert [one["data"] for one in series] == [[0.0], [10.0], [0.0], [0.0]]


def line(*values: float | None) -> dict[str, Any]:
    """A line through a report of as many hours as there are values."""
    rows = tuple(hour(number) for number in range(len(values)))
    report = UsageReport(
        since=rows[0].start,
        until=rows[-1].end,
        interval="hour",
        timezone="UTC",
        group_by=(),
        rows=rows,
        total=rows[0].measures,
    )
    drawn = charts.lines(report, [charts.Series("A", values)], value_format="%.2f", axis="{value}")
    found: dict[str, Any] = drawn["series"][0]
    return found


def hour(number: int, *, requests: int = 0) -> UsageRow:
    start = START + number * timedelta(hours=1)
    measures = msgspec.structs.replace(figures(Sums()), requests=requests, attempts=requests)
    return UsageRow(start=start, end=start + timedelta(hours=1), dimensions={}, measures=measures)


def test_a_line_of_few_points_shows_them() -> None:
    found = line(None, None, 3.0)
    assert found["showSymbol"] is True
    assert found["symbolSize"] > 0
    assert found["data"] == [None, None, 3.0]


def test_a_point_between_gaps_of_a_long_line_is_a_dot() -> None:
    found = line(1.0, 2.0, 3.0, None, 5.0, None, 7.0, 8.0, 9.0)
    assert [value["value"] for value in found["data"] if isinstance(value, dict)] == [5.0]
    assert found["showSymbol"] is True
    assert found["symbol"] == "none"
    assert line(*map(float, range(9)))["showSymbol"] is False


def test_the_running_hour_is_no_dip_in_a_rate() -> None:
    rows = (hour(0, requests=60), hour(1, requests=120), hour(2, requests=1))
    report = UsageReport(
        since=rows[0].start,
        until=rows[-1].end,
        interval="hour",
        timezone="UTC",
        group_by=(),
        rows=rows,
        total=rows[0].measures,
    )
    now = rows[2].start + timedelta(minutes=20)
    assert usage_charts.request_rate(report, now=now)["series"][0]["data"] == [1.0, 2.0, None]
    assert usage_charts.throughput(report, now=now)["series"][0]["data"] == [0.0, 0.0, None]
    assert usage_charts.over(report, now=now).rows == rows[:2]
    fresh = msgspec.structs.replace(report, rows=(hour(0), hour(1), hour(2, requests=40)))
    assert usage_charts.request_rate(fresh, now=now)["series"][0]["data"] == [0.0, 0.0, 2.0]
