"""`GET /v1/usage`: a key sees its own usage, all of it, and nobody else's."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema
import pytest

from service.budgets.values import GivenScope, NewBudget
from service.keys.values import Limits
from service.relay.openapi import relay_document
from service.relay.own_usage import period_starts
from tests.budgets.making import BY, registry
from tests.relay.conftest import MakeRelay
from tests.support.client import Client
from tests.support.relay import CHAT, Relay
from tests.support.relay import upstream as configured
from tests.support.upstream import COMPLETION, Upstream, response


def usage_of(client: Client) -> dict[str, Any]:
    answer = client.get(b"/v1/usage")
    assert answer.status == 200
    assert answer.header(b"content-type") == b"application/json"
    assert answer.header(b"x-request-id")
    found: dict[str, Any] = json.loads(answer.body)
    document = relay_document()
    schema = {**document["components"]["schemas"]["OwnUsage"], "components": document["components"]}
    jsonschema.validate(found, schema)
    return found


def ask(relay: Relay, upstream: Upstream, key: str) -> None:
    with relay.client(key) as client:
        client.post(CHAT)
        upstream.answer(response(COMPLETION))
        assert client.answer().status == 200
        relay.record(client)


def test_a_key_without_requests_has_spent_nothing(relay: Relay) -> None:
    with relay.client(relay.new_key(name="fresh", project="p")) as client:
        found = usage_of(client)
    assert found["key"]["name"] == "fresh"
    assert found["key"]["project"] == "p"
    assert (found["object"], found["timezone"], found["budgets"], found["limits"]) == ("usage", "UTC", [], [])
    for name in ("today", "month", "total"):
        assert (found[name]["requests"], found[name]["cost_usd"], found[name]["input_tokens"]) == (
            0,
            "0.00",
            None,
        )
    assert found["total"]["since"] is None


def test_a_key_sees_its_own_requests_only(make_relay: MakeRelay) -> None:
    with Upstream() as upstream:
        relay = make_relay(configured("gpt", upstream.url))
        mine, other = relay.new_key(name="mine"), relay.new_key(name="other")
        for key in (mine, mine, other):
            ask(relay, upstream, key)
        with relay.client(mine) as client:
            found = usage_of(client)
    for name in ("today", "month", "total"):
        period = found[name]
        assert (period["requests"], period["input_tokens"], period["output_tokens"]) == (2, 18, 6)
        assert period["cost_usd"] == "0.000105"  # 2 · (9 · 2.50 + 3 · 10) USD per million
        assert (period["unpriced_requests"], period["coverage"]) == (0, 1.0)


def test_a_key_sees_its_budgets_and_limits(make_relay: MakeRelay) -> None:
    with Upstream() as upstream:
        relay = make_relay(configured("gpt", upstream.url))
        key = relay.new_key(name="mine", project="search", limits=Limits(rpm=60))
        other = relay.new_key(name="other", project="search")
        budgets = registry()
        scopes = (("key", "*"), ("project", "search"), ("global", None), ("end_user", "*"))
        with relay.process.store.write() as tx:
            for kind, identifier in scopes:
                new = NewBudget(scope=GivenScope(kind, identifier), limit_usd="1", window="total")
                budgets.create(tx, new, by=BY)
        relay.process.configuration.refresh_now()
        for caller in (key, other):
            ask(relay, upstream, caller)
        with relay.client(key) as client:
            found = usage_of(client)
    assert found["limits"] == [{"scope": "key", "rpm": 60, "tpm": None, "concurrency": None}]
    by_scope = {budget["scope"]["kind"]: budget for budget in found["budgets"]}
    assert set(by_scope) == {"key", "project"}
    assert (by_scope["key"]["spent_usd"], by_scope["key"]["scope"]["id"]) == ("0.0000525", "*")
    assert (by_scope["project"]["spent_usd"], by_scope["project"]["limit_now_usd"]) == ("0.000105", "1.00")
    for budget in found["budgets"]:
        amounts = [Decimal(budget[name]) for name in ("spent_usd", "held_usd", "remaining_usd")]
        assert sum(amounts) == 1


def test_a_cost_that_is_not_known_is_null(make_relay: MakeRelay) -> None:
    with Upstream() as upstream:
        relay = make_relay(configured("own", upstream.url, provider="nobody"))
        key = relay.new_key()
        ask(relay, upstream, key)
        with relay.client(key) as client:
            total = usage_of(client)["total"]
    assert (total["cost_usd"], total["unpriced_requests"], total["coverage"]) == (None, 1, 0.0)


@pytest.mark.parametrize("key", [None, "wrong"])
def test_without_a_key_there_is_no_usage(relay: Relay, key: str | None) -> None:
    with relay.client(key) as client:
        answer = client.get(b"/v1/usage")
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")


def test_only_reading(client: Client) -> None:
    answer = client.get(b"/v1/usage", method=b"DELETE")
    assert (answer.status, answer.header(b"allow")) == (405, b"GET")


def test_a_store_that_is_away_is_said(make_relay: MakeRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.errors import StoreUnavailableError
    from service.store.engine import Store

    with Upstream() as upstream:
        relay = make_relay(configured("gpt", upstream.url))

        def away(_store: Store) -> None:
            raise StoreUnavailableError("away")

        with relay.client() as client:
            monkeypatch.setattr(Store, "read", away)
            answer = client.get(b"/v1/usage")
            monkeypatch.undo()
    assert (answer.status, answer.error["code"]) == (503, "store_unavailable")
    assert answer.header(b"retry-after")


@pytest.mark.parametrize(
    ("zone", "now", "today", "month"),
    [
        ("UTC", "2026-03-01T00:00:00", "2026-03-01T00:00:00", "2026-03-01T00:00:00"),
        ("Asia/Kathmandu", "2026-02-28T18:20:00", "2026-02-28T18:15:00", "2026-02-28T18:15:00"),
        ("America/Los_Angeles", "2026-03-09T05:00:00", "2026-03-08T08:00:00", "2026-03-01T08:00:00"),
    ],
)
def test_days_and_months_begin_in_the_reporting_zone(zone: str, now: str, today: str, month: str) -> None:
    instants = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (now, today, month)]
    assert period_starts(instants[0], zone=ZoneInfo(zone)) == tuple(instants[1:])
