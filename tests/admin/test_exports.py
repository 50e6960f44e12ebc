"""`/admin/v1/export/…`: the command line's files over HTTP, streamed, and given up when the client leaves."""

import asyncio
import io
import json
from importlib import import_module
from typing import Any, get_args

import pytest
from litestar.exceptions import LitestarException
from litestar.types import Message
from openapi_spec_validator import validate

from service.admin import exports
from service.errors import StoreUnavailableError
from service.reporting import export
from service.reporting.export import export_requests, export_usage
from service.reporting.files import FileFormat
from service.reporting.focus import export_focus
from service.reporting.rows import RequestFilter
from service.reporting.usage import UsageQuery, usage_report
from service.store.types import from_micros
from tests.admin.conftest import ADMIN_KEY, Api, error_of
from tests.reporting.plain_files import connections_in_use
from tests.support.records import START, some, write

RECORDS = some(seed=7, count=80, days=2)
FORMATS = get_args(FileFormat)
RANGE = {"from": "2026-03-06", "to": "2026-03-09"}
FIRST, LAST = START, from_micros(1_773_014_400_000_000)  # the same instants as RANGE


@pytest.fixture
def api(api: Api) -> Api:
    write(api.store, RECORDS)
    return api


@pytest.fixture
def sqlite_api(sqlite_api: Api) -> Api:
    write(sqlite_api.store, RECORDS)
    return sqlite_api


def same(found: bytes, expected: bytes, file_format: str) -> bool:
    if file_format != "parquet":
        return found == expected
    read = import_module("pyarrow.parquet").read_table
    return bool(read(io.BytesIO(found)).equals(read(io.BytesIO(expected))))


@pytest.mark.parametrize("file_format", FORMATS)
def test_files_are_those_of_the_command_line(api: Api, file_format: FileFormat) -> None:
    query = UsageQuery(since=FIRST, until=LAST, interval="day", group_by=("model",))
    with api.store.read() as tx:
        report = usage_report(tx, query)
    files = {
        "requests": export_requests(
            api.store, RequestFilter(since=FIRST, until=LAST), file_format=file_format
        ),
        "usage": export_usage(report, file_format=file_format),
        "focus": export_focus(api.store, since=FIRST, until=LAST, file_format=file_format),
    }
    for name, pieces in files.items():
        more = {"interval": "day", "group_by": "model"} if name == "usage" else {}
        answer = api.call(
            "GET", f"/export/{name}", key=api.viewer_key, params={"format": file_format, **RANGE, **more}
        )
        assert answer.status_code == 200
        assert same(answer.content, b"".join(pieces), file_format)
        assert len(answer.content) > 1_000
        assert answer.headers["content-type"].partition(";")[0] == exports.MEDIA_TYPES[file_format]
        assert answer.headers["content-disposition"] == (
            f'attachment; filename="tollkeeper-{name}.{file_format}"'
        )
        assert answer.headers["cache-control"] == "no-store"


def test_filters_are_those_of_the_list(api: Api) -> None:
    asked: dict[str, Any] = {
        "outcome": ["ok", "timeout"],
        "key": "key_a",
        "final_only": "true",
        "min_cost_usd": "0.1",
    }
    listed = api.get("/requests", limit=1000, **asked)["data"]
    answer = api.call("GET", "/export/requests", params={"format": "jsonl", **asked})
    rows = [json.loads(line) for line in answer.content.splitlines()]
    assert [row["id"] for row in rows] == [row["id"] for row in listed]
    assert 0 < len(rows) < len(RECORDS)


@pytest.mark.parametrize(
    ("path", "query", "param"),
    [
        ("requests", {"format": "xlsx"}, "format"),
        ("requests", {"limit": "5"}, "limit"),
        ("requests", {"from": "yesterday"}, "from"),
        ("requests", {"min_cost_usd": "-1"}, "min_cost_usd"),
        ("usage", {"group_by": "colour"}, "group_by"),
        ("usage", {"timezone": "Mars/Base"}, "timezone"),
        ("focus", {"period": "week"}, "period"),
        ("focus", {"model": "gpt-4o"}, "model"),
        ("focus", {"interval": "day"}, "interval"),
    ],
)
def test_what_is_wrong_is_said_before_the_file_begins(
    sqlite_api: Api, path: str, query: dict[str, str], param: str
) -> None:
    answer = sqlite_api.call("GET", f"/export/{path}", params=query)
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param
    assert "content-disposition" not in answer.headers


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_store_that_is_away_is_an_error_and_not_an_empty_file(
    sqlite_api: Api, file_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise StoreUnavailableError("the store is away")

    monkeypatch.setattr(export, "_raw", away)
    answer = sqlite_api.call("GET", "/export/requests", params={"format": file_format})
    assert answer.status_code == 503
    assert error_of(answer)["code"] == "store_unavailable"
    assert answer.headers["retry-after"]


class Reader:
    """A client below HTTP: takes so many pieces, then waits or leaves."""

    def __init__(self, api: Api, *, takes: int) -> None:
        self.api = api
        self.takes = takes
        self.pieces: list[bytes] = []
        self.full = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.left = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self) -> None:
        scope = {
            "type": "http", "method": "GET", "path": "/admin/v1/export/requests", "raw_path": b"",
            "http_version": "1.1",
            "query_string": b"format=csv", "scheme": "http", "server": ("test", 80), "client": ("test", 1),
            "root_path": "", "headers": [(b"authorization", f"Bearer {ADMIN_KEY}".encode())], "state": {},
            "asgi": {"version": "3.0"}, "extensions": {},
        }  # fmt: skip
        await self.api.client.app(scope, self._receive, self._send)

    async def _receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            return
        self.pieces.append(message["body"])
        if not message["more_body"]:
            self.ended.set()
        if len(self.pieces) == self.takes:
            self.full.set()
            await self.may_go_on.wait()


@pytest.fixture
def pages_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    read: list[int] = []
    raw = export._raw

    def counted(*arguments: Any) -> Any:
        read.append(1)
        return raw(*arguments)

    monkeypatch.setattr(export, "PAGE_ROWS", 4)
    monkeypatch.setattr(export, "_raw", counted)
    return read


def test_a_slow_client_is_not_read_ahead_for(sqlite_api: Api, pages_read: list[int]) -> None:
    idle = connections_in_use(sqlite_api.store)

    async def play() -> None:
        reader = Reader(sqlite_api, takes=4)
        answering = asyncio.ensure_future(reader.run())
        await reader.full.wait()
        assert len(pages_read) == 3  # the header is the first piece
        assert connections_in_use(sqlite_api.store) == idle
        reader.may_go_on.set()
        await reader.ended.wait()
        reader.left.set()
        await answering
        assert b"".join(reader.pieces).count(b"\r\n") > len(RECORDS)

    asyncio.run(play())
    assert len(pages_read) == len(RECORDS) // 4 + 1


def test_a_client_that_leaves_ends_the_reading(sqlite_api: Api, pages_read: list[int]) -> None:
    idle = connections_in_use(sqlite_api.store)

    async def play() -> None:
        reader = Reader(sqlite_api, takes=4)
        answering = asyncio.ensure_future(reader.run())
        await reader.full.wait()
        reader.left.set()
        await answering

    asyncio.run(play())
    assert len(pages_read) == 3
    assert connections_in_use(sqlite_api.store) == idle


def test_a_failure_half_way_does_not_look_like_an_end(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = export._raw
    pages: list[int] = []

    def breaks(*arguments: Any) -> Any:
        pages.append(1)
        if len(pages) == 4:
            raise ValueError("a page that cannot be read")
        return raw(*arguments)

    monkeypatch.setattr(export, "PAGE_ROWS", 4)
    monkeypatch.setattr(export, "_raw", breaks)

    async def play() -> list[bytes]:
        reader = Reader(sqlite_api, takes=-1)
        with pytest.raises(LitestarException, match="after response started"):
            await reader.run()
        return reader.pieces

    pieces = asyncio.run(play())
    assert b"" not in pieces
    assert len(pieces) == 4  # the header and three pages


def test_the_document_describes_them(sqlite_api: Api) -> None:
    document = sqlite_api.client.get("/schema/openapi.json").json()
    validate(document)
    for name in ("requests", "usage", "focus"):
        operation = document["paths"][f"/admin/v1/export/{name}"]["get"]
        parameters = {parameter["name"] for parameter in operation["parameters"]}
        assert {"from", "to", "format"} <= parameters
        assert set(operation["responses"]["200"]["content"]) == {"text/csv"}
