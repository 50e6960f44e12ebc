"""The organization API's answers, read back with OpenAI's own SDK models."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
from openai.types.admin.organization import UsageCompletionsResponse, UsageCostsResponse

from service.reporting.openai_shape import completions, costs
from service.reporting.usage import UsageQuery, UsageReport, usage_report
from service.store.engine import Store
from tests.support.records import START, some, write


def report(store: Store, **query: Any) -> UsageReport:
    asked = {"since": START, "until": START + timedelta(days=3), "interval": "day", **query}
    with store.read() as tx:
        return usage_report(tx, UsageQuery(**asked))


def test_completions_add_up_to_the_report(sqlite_store: Store) -> None:
    write(sqlite_store, some(seed=61, count=80, days=2))
    found = report(sqlite_store, group_by=("key", "project", "model", "end_user", "service_tier"))
    body = msgspec.json.encode(completions(found, next_page="abc"))
    page = UsageCompletionsResponse.model_validate_json(body, strict=True)
    assert (page.has_more, page.next_page) == (True, "abc")
    assert [bucket.end_time - bucket.start_time for bucket in page.data] == [86_400] * 3
    assert page.data[0].start_time == START.timestamp()
    results: list[Any] = [result for bucket in page.data for result in bucket.results]
    assert sum(result.input_tokens for result in results) == found.total.input_tokens
    assert sum(result.output_tokens for result in results) == found.total.output_tokens
    assert sum(result.num_model_requests for result in results) == found.total.requests
    assert sum(result.input_cached_tokens or 0 for result in results) == found.total.cache_read_input_tokens
    assert {result.api_key_id for result in results} == {None, "key_a", "key_b", "key_ü"}
    assert page.data[2].results == []


def test_costs_have_every_digit(sqlite_store: Store) -> None:
    write(sqlite_store, some(seed=62, count=80, days=2))
    found = report(sqlite_store, group_by=("project", "model"))
    body = msgspec.json.encode(costs(found))
    page = UsageCostsResponse.model_validate_json(body)
    assert (page.has_more, page.next_page) == (False, None)
    assert {result.object for bucket in page.data for result in bucket.results} == {
        "organization.costs.result"
    }
    exact = json.loads(body, parse_float=Decimal)
    nanos = [result["amount"]["value"] for bucket in exact["data"] for result in bucket["results"]]
    assert sum(nanos) * 10**9 == found.total.cost_nanos


def test_a_report_without_interval_is_one_bucket(sqlite_store: Store) -> None:
    (bucket,) = completions(report(sqlite_store, interval=None))["data"]
    assert (bucket["end_time"] - bucket["start_time"], bucket["results"]) == (3 * 86_400, [])
