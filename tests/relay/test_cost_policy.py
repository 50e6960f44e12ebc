"""What a request costs where its provider reports a cost: by `cost` of the upstream, ours or theirs."""

import json
from typing import Any

import pytest

from tests.relay.conftest import MakeRelay
from tests.support.client import Client
from tests.support.relay import upstream as configured
from tests.support.upstream import Upstream, response

ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
USAGE = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}


def answered(
    make_relay: MakeRelay, *, cost: Any, usage: dict[str, Any], provider: str = "openrouter"
) -> dict[str, Any]:
    """The record of one answer with *usage*, and its cost headers."""
    completion = {
        "id": "gen-1", "object": "chat.completion", "created": 1, "model": "openai/gpt-4o", "usage": usage,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    }  # fmt: skip
    with Upstream() as upstream:
        relay = make_relay(configured("router", upstream.url, provider=provider, cost=cost))
        with relay.client() as client:
            client.post(ASKED)
            upstream.answer(response(json.dumps(completion).encode()))
            answer = client.answer()
            return {**relay.record(client), **_headers(answer, client)}


def _headers(answer: Any, _client: Client) -> dict[str, Any]:
    names = ("x-tollkeeper-cost-usd", "x-tollkeeper-cost-status")
    return {name: (answer.header(name.encode()) or b"").decode() for name in names}


def test_the_provider_s_cost_counts_where_the_upstream_says_so(make_relay: MakeRelay) -> None:
    record = answered(make_relay, cost="provider", usage=USAGE | {"cost": 0.00123456})
    assert (record["cost_nanos"], record["cost_status"], record["provider_cost_nanos"]) == (
        1_234_560,
        "provider",
        1_234_560,
    )
    assert record["cost_lines"] == [
        {"meter": "provider_reported", "quantity": 1, "rate_picos": 1_234_560_000, "cost_nanos": 1_234_560}
    ]
    assert record["price_id"] is None
    assert record["input_tokens"] == 1_000
    assert record["x-tollkeeper-cost-usd"] == "0.00123456"
    assert record["x-tollkeeper-cost-status"] == "provider"


def test_by_default_the_provider_s_cost_only_stands_beside_ours(make_relay: MakeRelay) -> None:
    record = answered(make_relay, cost="computed", usage=USAGE | {"cost": 0.00123456})
    assert record["cost_status"] in {"priced", "unpriced"}
    assert record["cost_nanos"] != 1_234_560
    assert record["provider_cost_nanos"] == 1_234_560


def test_an_explicit_zero_is_a_cost(make_relay: MakeRelay) -> None:
    record = answered(make_relay, cost="provider", usage=USAGE | {"cost": 0})
    assert (record["cost_nanos"], record["cost_status"]) == (0, "provider")


@pytest.mark.parametrize("reported", [{}, {"cost": "1.00"}, {"cost": -1}, {"cost": None}])
def test_without_a_reported_cost_ours_counts(make_relay: MakeRelay, reported: dict[str, Any]) -> None:
    record = answered(make_relay, cost="provider", usage=USAGE | reported, provider="openrouter")
    assert record["provider_cost_nanos"] is None
    assert record["cost_status"] != "provider"


def test_ticks_of_xai(make_relay: MakeRelay) -> None:
    record = answered(
        make_relay, cost="provider", usage=USAGE | {"cost_in_usd_ticks": 12_345_678_905}, provider="xai"
    )
    assert (record["cost_nanos"], record["cost_status"]) == (1_234_567_890, "provider")
