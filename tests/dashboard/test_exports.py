"""Files from a route: the same bytes as the export, for who is signed in, streamed, and refused in one line."""

import csv
import io

import httpx
import pytest
from pyarrow import parquet  # type: ignore[import-untyped]

from dashboard.exports import address
from service.reporting.export import export_requests
from service.reporting.rows import RequestFilter, list_requests
from service.store.engine import Store
from tests.support.dashboards import running
from tests.support.records import some, write


def test_a_file_holds_what_the_filter_says_and_needs_a_session(sqlite_store: Store) -> None:
    write(sqlite_store, some(seed=11, count=300, days=4))
    wanted = RequestFilter(filters={"outcome": ("ok", "timeout"), "model": ("gpt-4o",)})
    with sqlite_store.read() as tx:
        rows = list_requests(tx, wanted, limit=1000).data
    with running(sqlite_store.url.render_as_string(), role="viewer") as dashboard:
        url = dashboard.url + address(wanted, file_format="csv")
        assert httpx.get(url).status_code == 401
        answer = httpx.get(url, cookies=dashboard.cookies)
        assert answer.headers["content-disposition"] == 'attachment; filename="tollkeeper-requests.csv"'
        assert answer.content == b"".join(export_requests(sqlite_store, wanted, file_format="csv"))
        found = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["id"] for row in found] == [row["id"] for row in rows]
        url = dashboard.url + address(wanted, file_format="parquet")
        table = parquet.read_table(io.BytesIO(httpx.get(url, cookies=dashboard.cookies).content))
        assert table.num_rows == len(rows) > 0


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("format=xlsx", "format"),
        ("password=x", "password"),
        ("since=never", "since"),
        ("min_cost_usd=-1", "min"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line(sqlite_store: Store, query: str, word: str) -> None:
    with running(sqlite_store.url.render_as_string()) as dashboard:
        answer = httpx.get(f"{dashboard.url}/files/requests?{query}", cookies=dashboard.cookies)
    assert answer.status_code == 400
    assert word in answer.text
    assert answer.text.count("\n") == 1
