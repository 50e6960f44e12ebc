"""`/admin/v1/requests`."""

import pytest

from tests.admin.conftest import Api, error_of
from tests.support.records import some, write


@pytest.fixture
def api(api: Api) -> Api:
    write(api.store, some(seed=4, count=60, days=2))
    return api


def test_pages_hold_each_attempt_once_newest_first(api: Api) -> None:
    seen, cursor = [], None
    while True:
        page = api.get("/requests", limit=25, **({"cursor": cursor} if cursor else {}))
        seen += [row["id"] for row in page["data"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) >= 60
    assert seen == sorted(set(seen), reverse=True)


def test_every_dimension_filters_and_values_are_alternatives(api: Api) -> None:
    rows = api.get("/requests", outcome=["ok", "timeout"], key="key_a", limit=1000)["data"]
    everything = api.get("/requests", limit=1000)["data"]
    wanted = [row for row in everything if row["outcome"] in ("ok", "timeout") and row["key_id"] == "key_a"]
    assert rows == wanted
    assert 0 < len(rows) < len(everything)


def test_times_costs_and_final_attempts(api: Api) -> None:
    everything = api.get("/requests", limit=1000)["data"]
    second_day = api.get("/requests", **{"from": "2026-03-07", "to": "2026-03-08"}, limit=1000)["data"]
    assert second_day == [row for row in everything if row["started_at"].startswith("2026-03-07")]
    dear = api.get("/requests", min_cost_usd="0.5", max_cost_usd="0.9", limit=1000)["data"]
    assert dear == [row for row in everything if 500_000_000 <= (row["cost_nanos"] or -1) <= 900_000_000]
    final = api.get("/requests", final_only="true", limit=1000)["data"]
    assert final == [row for row in everything if row["final"]]
    assert 0 < len(final) < len(everything)


def test_a_day_begins_where_the_zone_says(api: Api) -> None:
    utc = api.get("/requests", **{"from": "2026-03-07T05:00:00Z"}, limit=1000)
    assert api.get("/requests", **{"from": "2026-03-07"}, timezone="America/New_York", limit=1000) == utc
    assert api.get("/requests", **{"from": "2026-03-07T00:00:00-05:00"}, limit=1000) == utc


def test_one_request_has_its_attempts_and_cost_lines(api: Api) -> None:
    retried = next(row for row in api.get("/requests", limit=1000)["data"] if row["attempt"] == 2)
    for identifier in (retried["id"], retried["request_id"]):
        found = api.get(f"/requests/{identifier}")
        assert found["request_id"] == retried["request_id"]
        assert [attempt["attempt"] for attempt in found["attempts"]][:2] == [1, 2]
        assert {"cost_lines", "usage_raw", "ledger"} <= set(found["attempts"][0])


@pytest.mark.parametrize("identifier", ["x", "%00", "00000000-0000-7000-8000-000000000000"])
def test_a_request_that_is_not_there(api: Api, identifier: str) -> None:
    answer = api.call("GET", f"/requests/{identifier}")
    assert answer.status_code in (400, 404)
    error_of(answer)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"modle": "x"}, "modle"),
        ({"limit": ["1", "2"]}, "limit"),
        ({"limit": "0"}, "limit"),
        ({"cursor": "zz"}, "cursor"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-03-01T00:00:00"}, "from"),
        ({"to": "2026-13-01"}, "to"),
        ({"to": "0001-01-01T00:00:00+23:00"}, "to"),
        ({"timezone": "Mars"}, "timezone"),
        ({"final_only": "maybe"}, "final_only"),
        ({"min_cost_usd": "1e3"}, "min_cost_usd"),
        ({"max_cost_usd": "-1"}, "max_cost_usd"),
        ({"end_user": "\x00"}, "end_user"),
    ],
)
def test_filters_that_cannot_be(api: Api, query: dict[str, str], param: str) -> None:
    answer = api.call("GET", "/requests", params=query)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)
