"""`/admin/v1/usage`: the rows are those of the reports, without nesting."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from service.reporting.usage import UsageQuery, usage_report
from tests.admin.conftest import Api, error_of
from tests.support.records import START, some, write

SPAN = {"from": "2026-03-06", "to": "2026-03-10"}


@pytest.fixture
def api(api: Api) -> Api:
    write(api.store, some(seed=5, count=80, days=4))
    return api


def test_rows_are_dimensions_and_measures(api: Api) -> None:
    answer = api.get("/usage", **SPAN, interval="day", group_by="project,model")
    query = UsageQuery(
        since=START, until=START + timedelta(days=4), interval="day", group_by=("project", "model")
    )
    with api.store.read() as tx:
        report = msgspec.to_builtins(usage_report(tx, query))
    assert answer["data"] == [
        {"start": row["start"], "end": row["end"], **row["measures"], **row["dimensions"]}
        for row in report["rows"]
    ]
    assert (answer["total"], answer["next"]) == (report["total"], None)
    assert len(answer["data"]) > 4


def test_the_parts_add_up_to_the_total(api: Api) -> None:
    for group_by in ("", "model", "tag", "key,outcome"):
        answer = api.get("/usage", **SPAN, interval="day", group_by=group_by)
        if group_by != "tag":  # a record with two tags counts for both
            assert sum(row["requests"] for row in answer["data"]) == answer["total"]["requests"]
            assert sum(row["cost_nanos"] or 0 for row in answer["data"]) == answer["total"]["cost_nanos"]


def test_a_dimension_takes_the_place_of_a_measure_of_its_name(api: Api) -> None:
    rows = api.get("/usage", **SPAN, group_by="cost_status")["data"]
    assert {"priced", "free"} <= {row["cost_status"] for row in rows}


def test_filters_narrow(api: Api) -> None:
    everything = api.get("/usage", **SPAN)["total"]["requests"]
    some_of_it = api.get("/usage", **SPAN, outcome=["ok", "timeout"], model="gpt-4o*")["total"]["requests"]
    assert 0 < some_of_it < everything


def test_without_a_range_it_is_the_last_30_days(api: Api) -> None:
    api.clock.advance(datetime(2026, 4, 4, 12, tzinfo=UTC) - api.clock.now())
    answer = api.get("/usage")
    assert (answer["since"], answer["until"]) == ("2026-03-05T12:00:00Z", "2026-04-04T12:00:00Z")
    assert answer["total"] == api.get("/usage", **SPAN)["total"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"interval": "year"}, "interval"),
        ({"group_by": "x"}, "group_by"),
        ({"group_by": "model,model"}, "group_by"),
        ({"group_by": "model;DROP TABLE request_record"}, "group_by"),
        ({"grop_by": "model"}, "grop_by"),
        ({"timezone": "Mars"}, "timezone"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "until"),
        ({"from": "1900-01-01"}, "from"),
        ({"to": "0001-01-01T00:00:00Z"}, "to"),
        ({"to": "9999-12-31"}, "to"),
        ({"from": "1990-01-01", "interval": "15m"}, "interval"),
        ({"limit": "5"}, "limit"),
    ],
)
def test_reports_that_cannot_be(api: Api, query: dict[str, Any], param: str) -> None:
    answer = api.call("GET", "/usage", params=query)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)
