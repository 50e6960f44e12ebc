"""OpenAI's organization API over our books, read with OpenAI's own SDK."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import openai
import pytest

from service.reporting.books import read_books
from service.reporting.provider_report import parse_report
from service.reporting.reconcile import period, reconcile
from service.reporting.usage import UsageQuery, usage_report
from tests.admin.conftest import ADMIN_KEY, Api, error_of
from tests.support.records import START, some, write

SECOND = int(START.timestamp())
DAY = 86_400
RECORDS = some(seed=91, count=120, days=3)


@pytest.fixture
def books(api: Api) -> Api:
    write(api.store, RECORDS)
    api.clock.advance(START + timedelta(days=5, hours=3) - api.clock.now())
    return api


@pytest.fixture
def sdk(books: Api) -> openai.OpenAI:
    """OpenAI's SDK with the test client as its network."""
    return openai.OpenAI(
        api_key="unused", admin_api_key=ADMIN_KEY, base_url="http://testserver.local/v1", http_client=books.client,  # type: ignore[arg-type]
        max_retries=0,
    )  # fmt: skip


def call(api: Api, path: str, **query: Any) -> httpx.Response:
    key = query.pop("key", ADMIN_KEY)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return api.client.get(f"/v1/organization{path}", params=query, headers=headers)


def get(api: Api, path: str, **query: Any) -> dict[str, Any]:
    answer = call(api, path, **query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = json.loads(answer.content, parse_float=Decimal)
    assert (found["object"], found["has_more"]) == ("page", found["next_page"] is not None)
    return found


def total(api: Api) -> Any:
    with api.store.read() as tx:
        return usage_report(tx, UsageQuery(since=START, until=START + timedelta(days=9))).total


def results(page: dict[str, Any]) -> list[dict[str, Any]]:
    return [result for bucket in page["data"] for result in bucket["results"]]


def test_the_sdk_reads_usage(books: Api, sdk: openai.OpenAI) -> None:
    page = sdk.admin.organization.usage.completions(
        start_time=SECOND, group_by=["model", "api_key_id", "project_id"], limit=31
    )
    found: list[Any] = [result for bucket in page.data for result in bucket.results]
    sums = total(books)
    assert sum(result.input_tokens for result in found) == sums.input_tokens
    assert sum(result.num_model_requests for result in found) == sums.requests
    assert {result.api_key_id for result in found} == {None, "key_a", "key_b", "key_ü"}
    assert [bucket.end_time - bucket.start_time for bucket in page.data] == [DAY] * 6
    narrow: Any = sdk.admin.organization.usage.completions(
        start_time=SECOND, api_key_ids=["key_a"], models=["gpt-4o", "o1"]
    )
    some_tokens = sum(result.input_tokens for bucket in narrow.data for result in bucket.results)
    assert 0 < some_tokens < sums.input_tokens


def test_the_sdk_reads_costs(books: Api, sdk: openai.OpenAI) -> None:
    page = sdk.admin.organization.usage.costs(start_time=SECOND, group_by=["line_item"], limit=180)
    assert {result.object for bucket in page.data for result in bucket.results} == {
        "organization.costs.result"
    }
    exact = get(books, "/costs", start_time=SECOND, group_by="line_item", limit=180)
    assert sum(result["amount"]["value"] for result in results(exact)) * 10**9 == total(books).cost_nanos
    assert {result["amount"]["currency"] for result in results(exact)} == {"usd"}


@pytest.mark.parametrize(
    ("path", "width"), [("/usage/completions", "1d"), ("/usage/completions", "1h"), ("/costs", "1d")]
)
def test_pages_make_the_whole(books: Api, path: str, width: str) -> None:
    whole = get(books, path, start_time=SECOND, bucket_width=width, limit=31 if width == "1d" else 150)
    assert whole["next_page"] is None
    assert len(whole["data"]) == (6 if width == "1d" else 5 * 24 + 3)
    pages, token = [], None
    while True:
        page = get(
            books,
            path,
            start_time=SECOND,
            bucket_width=width,
            limit=4 if width == "1d" else 50,
            **({"page": token} if token else {}),
        )
        pages += page["data"]
        token = page["next_page"]
        if token is None:
            break
    assert pages == whole["data"]
    assert all(one["end_time"] == other["start_time"] for one, other in itertools.pairwise(pages))


def test_defaults_are_openai_s(books: Api) -> None:
    books.clock.advance(timedelta(days=60))
    assert len(get(books, "/usage/completions", start_time=SECOND)["data"]) == 7
    assert len(get(books, "/usage/completions", start_time=SECOND, bucket_width="1h")["data"]) == 24
    assert len(get(books, "/costs", start_time=SECOND)["data"]) == 7


def test_everything_is_asked_for_from_0_on(books: Api) -> None:
    page = get(books, "/usage/completions", start_time=0, limit=2)
    assert [bucket["start_time"] for bucket in page["data"]] == [315_532_800, 315_619_200]
    assert page["has_more"] is True


def test_buckets_begin_where_days_begin(books: Api) -> None:
    page = get(books, "/usage/completions", start_time=SECOND + 5_000, end_time=SECOND + DAY)
    assert [(bucket["start_time"], bucket["end_time"]) for bucket in page["data"]] == [(SECOND, SECOND + DAY)]
    (part,) = get(books, "/usage/completions", start_time=SECOND, end_time=SECOND + 3_600)["data"]
    assert part["end_time"] == SECOND + 3_600


def test_brackets_repetition_and_commas_are_the_same(books: Api) -> None:
    pages = [
        get(books, "/usage/completions", **{"start_time": SECOND, **query})
        for query in (
            {"group_by": ["model", "project_id"]},
            {"group_by[]": ["model", "project_id"]},
            {"group_by": "model,project_id"},
        )
    ]
    assert pages[0] == pages[1] == pages[2]
    assert get(books, "/usage/completions", start_time=SECOND, group_by="batch") == get(
        books, "/usage/completions", start_time=SECOND
    )


def test_without_a_group_dimensions_are_null(books: Api) -> None:
    (first, *_) = results(get(books, "/usage/completions", start_time=SECOND))
    assert {
        first[name] for name in ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier")
    } == {None}


def test_no_batch_was_ever_seen(books: Api) -> None:
    assert results(get(books, "/usage/completions", start_time=SECOND, batch="true")) == []
    assert results(get(books, "/usage/completions", start_time=SECOND, batch="false")) != []


@pytest.mark.parametrize(
    ("path", "query", "param"),
    [
        ("/usage/completions", {}, "start_time"),
        ("/usage/completions", {"start_time": "x"}, "start_time"),
        ("/usage/completions", {"start_time": -1}, "start_time"),
        ("/usage/completions", {"start_time": 10**18}, "start_time"),
        ("/usage/completions", {"start_time": SECOND, "end_time": SECOND}, "end_time"),
        ("/usage/completions", {"start_time": SECOND + 10**9}, "end_time"),
        ("/usage/completions", {"start_time": SECOND, "bucket_width": "1m"}, "bucket_width"),
        ("/usage/completions", {"start_time": SECOND, "bucket_width": "1w"}, "bucket_width"),
        ("/usage/completions", {"start_time": SECOND, "limit": 32}, "limit"),
        ("/usage/completions", {"start_time": SECOND, "limit": 0}, "limit"),
        ("/costs", {"start_time": SECOND, "limit": 181}, "limit"),
        ("/costs", {"start_time": SECOND, "bucket_width": "1h"}, "bucket_width"),
        ("/usage/completions", {"start_time": SECOND, "group_by": "api_source"}, "group_by"),
        ("/costs", {"start_time": SECOND, "group_by": "model"}, "group_by"),
        ("/costs", {"start_time": SECOND, "models": "gpt-4o"}, "models"),
        ("/costs", {"start_time": SECOND, "projekt_ids": "x"}, "projekt_ids"),
        ("/costs", {"start_time": SECOND, "page": "page_nonsense"}, "page"),
        ("/costs", {"start_time": SECOND, "page": "page_AAAAAAAAAAA"}, "page"),
        ("/costs", {"start_time": SECOND, "page": "ü"}, "page"),
        ("/costs", {"start_time": SECOND, "project_ids": "a\x00"}, "project"),
    ],
)
def test_mistakes_name_their_parameter(books: Api, path: str, query: dict[str, Any], param: str) -> None:
    answer = call(books, path, **query)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)


def test_only_admin_keys_may_read(books: Api) -> None:
    virtual = books.create()["key"]
    for path in ("/usage/completions", "/costs"):
        for key in (None, "wrong", virtual):
            assert call(books, path, start_time=SECOND, key=key).status_code == 401
        assert call(books, path, start_time=SECOND, key=books.viewer_key).status_code == 200


def test_what_we_say_agrees_with_what_we_have(books: Api) -> None:
    """Our own answer as a provider's report: reconciling it finds no difference in requests."""
    answer = call(books, "/usage/completions", start_time=SECOND, limit=31)
    report = parse_report(answer.text, zone=ZoneInfo("UTC"))
    span = period(report.entries)
    assert span.since == datetime.fromtimestamp(SECOND, UTC)
    figures = reconcile(report.entries, read_books(books.store, span, provider="openai"))
    assert {figure.meter for figure in figures} >= {"input_tokens", "output_tokens", "requests"}
