"""Budgets and rate limits on the way of a request: what is held, refused, settled, said, and survives a crash."""

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import select

from service.audit.actor import Actor
from service.budgets.values import GivenScope, NewBudget
from service.keys.values import Limits
from service.store.budget_tables import budget_lease, budget_period
from service.store.engine import Store
from tests.budgets.making import registry
from tests.relay.conftest import MakeRelay
from tests.relay.test_disconnects import leave
from tests.support.client import Client
from tests.support.relay import CHAT, STREAM, Relay, until
from tests.support.relay import upstream as configured
from tests.support.upstream import COMPLETION, DONE, Upstream, delta, response, stream_head, usage_event

BUDGETS = registry()
OPERATOR = Actor("command_line", "operator", "operator")
SHORT = {**CHAT, "max_tokens": 100}
OK = 200
COST = 9 * 2_500 + 3 * 10_000
"""Nano-USD of `COMPLETION`: gpt-4o takes 2.50 and 10 USD for a million tokens."""


@pytest.fixture
def upstream(make_upstream: Callable[[], Upstream]) -> Upstream:
    return make_upstream()


@pytest.fixture
def relay(make_relay: MakeRelay, upstream: Upstream) -> Relay:
    return make_relay(configured("a", upstream.url))


def limit(relay: Relay, usd: str, *, kind: str = "global", identifier: str | None = None, **more: Any) -> str:
    """A new budget that the relay knows; returns its id."""
    new = NewBudget(scope=GivenScope(kind, identifier), limit_usd=usd, window="total", **more)
    with relay.process.store.write() as tx:
        budget_id = BUDGETS.create(tx, new, by=OPERATOR).budget.id
    relay.process.configuration.refresh_now()
    return budget_id


def ask(relay: Relay, upstream: Upstream, body: Any = SHORT, *, key: str = "") -> tuple[Client, Any]:
    """One request that the upstream answers."""
    with relay.client(key) as asking:
        asking.post(body)
        upstream.answer(response(COMPLETION))
        return asking, asking.answer()


def spent(relay: Relay) -> int:
    """What every lease and period of the store has as spent."""
    with relay.process.store.read() as tx:
        by_lease: int = sum(row.spent_nanos for row in tx.execute(select(budget_lease)))
        direct: int = sum(row.direct_nanos for row in tx.execute(select(budget_period)))
        return by_lease + direct


def test_a_request_within_its_budget_is_charged_to_it(relay: Relay, upstream: Upstream) -> None:
    limit(relay, "1")
    asking, answer = ask(relay, upstream)
    assert answer.status == 200
    record = relay.record(asking)
    assert record["cost_nanos"] == COST
    assert record["estimate_nanos"] >= COST
    assert answer.header(b"x-tollkeeper-budget-remaining-usd") == b"0.9999475"
    assert until(lambda: spent(relay) == COST)


def test_a_stream_is_charged_before_its_end_is_told(relay: Relay, upstream: Upstream) -> None:
    limit(relay, "1")
    with relay.client() as asking:
        asking.post({**STREAM, "max_tokens": 100})
        upstream.answer(stream_head(), delta("Hi"), usage_event(), DONE)
        answer = asking.answer()
        assert answer.header(b"x-tollkeeper-budget-remaining-usd") is not None
        assert relay.record(asking)["cost_nanos"] == COST
    assert until(lambda: spent(relay) == COST)


def test_without_budgets_and_limits_nothing_is_held_or_said(relay: Relay, upstream: Upstream) -> None:
    asking, answer = ask(relay, upstream)
    assert answer.header(b"x-tollkeeper-budget-remaining-usd") is None
    assert answer.header(b"x-ratelimit-limit-requests") is None
    assert relay.record(asking)["estimate_nanos"] is None
    assert spent(relay) == 0


def test_a_budget_that_cannot_pay_refuses_before_the_upstream_is_asked(
    relay: Relay, upstream: Upstream
) -> None:
    budget_id = limit(relay, "0.0005")
    with relay.client() as asking:
        asking.post(SHORT)
        answer = asking.answer()
        record = relay.record(asking)
    assert (answer.status, answer.error["type"], answer.error["code"]) == (
        429,
        "insufficient_quota",
        "budget_exceeded",
    )
    assert answer.header(b"x-should-retry") == b"false"
    assert budget_id in answer.error["message"]
    assert "its limit is 0.0005 USD in total for all requests" in answer.error["message"]
    assert (record["outcome"], record["cost_nanos"], record["estimate_nanos"]) == ("rejected_budget", 0, None)
    assert upstream.nobody_came()
    assert spent(relay) == 0


def test_a_refusal_says_what_records_add_up_to(relay: Relay, upstream: Upstream) -> None:
    limit(relay, "0.0024")
    asking, _ = ask(relay, upstream)
    relay.record(asking)
    assert until(lambda: spent(relay) == COST)
    with relay.client() as again:
        again.post({**SHORT, "max_tokens": 230})
        message = again.answer().error["message"]
    assert "of which 0.0000525 USD are spent and " in message


def test_an_answer_that_costs_nothing_gives_everything_back(relay: Relay, upstream: Upstream) -> None:
    limit(relay, "0.0024")
    for _ in range(5):
        with relay.client() as asking:
            asking.post(SHORT)
            upstream.answer(response(b'{"error":{"message":"no"}}', status=b"400 Bad Request"))
            assert asking.answer().status == 400
            assert relay.record(asking)["cost_nanos"] == 0
    _, answer = ask(relay, upstream)
    assert answer.status == 200


def test_one_hold_covers_every_attempt(make_relay: MakeRelay, make_upstream: Callable[[], Upstream]) -> None:
    failing, working = make_upstream(), make_upstream()
    relay = make_relay(configured("a", failing.url, priority=0), configured("b", working.url, priority=1))
    limit(relay, "0.0024")  # one estimate fits, two would not
    with relay.client() as asking:
        asking.post(SHORT)
        failing.answer(response(b"{}", status=b"503 Service Unavailable"))
        working.answer(response(COMPLETION))
        assert asking.answer().status == 200
        first, second = relay.records(asking.agent, count=2)
    assert (first["cost_nanos"], second["cost_nanos"]) == (0, COST)
    assert until(lambda: spent(relay) == COST)


def test_a_client_that_leaves_is_charged_what_was_used(relay: Relay, upstream: Upstream) -> None:
    limit(relay, "1")
    with relay.client() as asking:
        asking.post({**STREAM, "max_tokens": 100})
        peer = upstream.accept()
        peer.request()
        peer.send(stream_head(), delta("Hi"))
        leave(relay, asking)
        peer.send(usage_event(), DONE)
        peer.close()
        record = relay.record(asking)
    assert record["cost_nanos"] == COST
    assert until(lambda: spent(relay) == COST)


def test_every_budget_that_applies_is_charged_and_soft_ones_only_count(
    relay: Relay, upstream: Upstream
) -> None:
    limit(relay, "1")
    limit(relay, "0.000001", mode="soft", kind="project", identifier="default")
    limit(relay, "1", kind="end_user", identifier="*")
    limit(relay, "1", kind="model", identifier="claude-*")
    asking, answer = ask(relay, upstream, {**SHORT, "user": "ann"})
    assert answer.status == 200
    relay.record(asking)
    assert until(lambda: spent(relay) == 3 * COST)


@pytest.mark.parametrize(
    ("listed", "status"), [(["gpt-4o"], 200), (["gpt-4o", "o1-pro"], 429), (["nobody-knows-me"], 429)]
)
def test_the_dearest_model_that_may_answer_is_held(
    relay: Relay, upstream: Upstream, listed: list[str], status: int
) -> None:
    limit(relay, "0.01")
    body = {**SHORT, "models": listed}
    with relay.client() as asking:
        asking.post(body)
        if status == OK:
            upstream.answer(response(COMPLETION))
        assert asking.answer().status == status
        assert relay.record(asking)["outcome"] == ("ok" if status == OK else "rejected_budget")


def test_an_unpriced_model_is_refused_where_a_hard_budget_applies(relay: Relay, upstream: Upstream) -> None:
    limit(relay, "1")
    with relay.client() as asking:
        asking.post({**SHORT, "model": "nobody-knows-me"})
        answer = asking.answer()
        assert (answer.status, answer.error["code"]) == (429, "model_unpriced")
        assert relay.record(asking)["outcome"] == "rejected_budget"
    assert upstream.nobody_came()


def test_a_deleted_or_raised_budget_lets_requests_through_again(relay: Relay, upstream: Upstream) -> None:
    budget_id = limit(relay, "0.0005")
    with relay.client() as asking:
        asking.post(SHORT)
        assert asking.answer().status == 429
    with relay.process.store.write() as tx:
        BUDGETS.delete(tx, budget_id, by=OPERATOR)
    relay.process.configuration.refresh_now()
    _, answer = ask(relay, upstream)
    assert answer.status == 200


def test_an_answer_can_be_shortened_to_what_the_budget_affords(
    make_relay: MakeRelay, upstream: Upstream
) -> None:
    relay = make_relay(configured("a", upstream.url), cap_output=True)
    limit(relay, "0.01")
    with relay.client() as asking:
        asking.post(CHAT)
        sent = json.loads(upstream.answer(response(COMPLETION)).body)
        answer = asking.answer()
    cap = int(answer.header(b"x-tollkeeper-max-completion-tokens") or 0)
    assert sent["max_completion_tokens"] == cap
    assert 16 <= cap * 10_000 <= 10_000_000
    assert relay.record(asking)["estimate_nanos"] <= 10_000_000


def test_what_a_relay_held_is_free_when_it_has_ended(relay: Relay, upstream: Upstream) -> None:
    limit(relay, "1")
    asking, _ = ask(relay, upstream)
    relay.record(asking)
    relay.stop()
    with closing(Store(relay.process.settings.store.url)) as store, store.read() as tx:
        period = tx.execute(select(budget_period)).one()
    assert period.committed_nanos == COST


def test_requests_per_minute_are_counted_and_said(relay: Relay, upstream: Upstream) -> None:
    key = relay.new_key(name="limited", limits=Limits(rpm=2))
    _, first = ask(relay, upstream, key=key)
    assert first.header(b"x-ratelimit-limit-requests") == b"2"
    assert first.header(b"x-ratelimit-remaining-requests") == b"1"
    _, second = ask(relay, upstream, key=key)
    assert second.header(b"x-ratelimit-remaining-requests") == b"0"
    with relay.client(key) as third:
        third.post(SHORT)
        answer = third.answer()
        record = relay.record(third)
    assert (answer.status, answer.error["type"], answer.error["code"]) == (
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
    )
    assert 1 <= int(answer.header(b"retry-after") or 0) <= 61
    assert answer.header(b"x-ratelimit-remaining-requests") == b"0"
    assert record["outcome"] == "rejected_rate_limit"
    assert upstream.nobody_came()


def test_requests_at_once_are_free_again_when_their_record_is_closed(
    relay: Relay, upstream: Upstream
) -> None:
    key = relay.new_key(name="one at a time", limits=Limits(concurrency=1))
    with relay.client(key) as first:
        first.post(SHORT)
        peer = upstream.accept()
        peer.request()
        with relay.client(key) as second:
            second.post(SHORT)
            assert second.answer().status == 429
        peer.send(response(COMPLETION))
        peer.close()
        assert first.answer().status == 200
    _, third = ask(relay, upstream, key=key)
    assert third.status == 200


def test_tokens_per_minute_are_corrected_to_what_was_used(relay: Relay, upstream: Upstream) -> None:
    key = relay.new_key(name="few tokens", limits=Limits(tpm=150))
    for expected in (b"138", b"126"):
        _, answer = ask(relay, upstream, key=key)
        assert answer.header(b"x-ratelimit-remaining-tokens") == expected
    with relay.client(key) as third:
        third.post({**SHORT, "max_tokens": 140})
        assert third.answer().status == 429
