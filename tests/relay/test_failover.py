"""Another upstream is asked only where nobody can be billed twice and the client has seen nothing."""

import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from service.relay.context import RetryAllowance
from tests.relay.conftest import MakeRelay
from tests.support.client import Client
from tests.support.relay import CHAT, STREAM, Relay
from tests.support.relay import upstream as configured
from tests.support.upstream import (
    CHUNKED_HEAD,
    COMPLETION,
    DONE,
    Upstream,
    chunk,
    delta,
    response,
    stream_head,
    usage_event,
)

MakeUpstream = Callable[[], Upstream]


class Pair(NamedTuple):
    relay: Relay
    first: Upstream
    second: Upstream


@pytest.fixture
def pair(make_relay: MakeRelay, make_upstream: MakeUpstream) -> Pair:
    """Two upstreams for one model, asked in this order."""
    first, second = make_upstream(), make_upstream()
    relay = make_relay(
        configured("first", first.url),
        configured("second", second.url, priority=1),
    )
    return Pair(relay, first, second)


@pytest.fixture
def client(pair: Pair) -> Iterator[Client]:
    with pair.relay.client() as opened:
        yield opened


def assert_two(pair: Pair, client: Client, *, outcome: str, status: int | None) -> None:
    """Two attempts of one request: the first did not reach the client, the second did."""
    first, second = pair.relay.records(client.agent, count=2)
    assert first["request_id"] == second["request_id"] == first["id"]
    assert first["id"] < second["id"]
    assert [(each["attempt"], each["final"], each["upstream"]) for each in (first, second)] == [
        (1, False, "first"),
        (2, True, "second"),
    ]
    assert (first["outcome"], first["http_status"]) == (outcome, status)
    assert (first["cost_nanos"], first["cost_status"]) == (0, "free")
    assert second["outcome"] == "ok"
    assert first["started_at"] <= second["started_at"]
    assert second["duration_ms"] >= 0


@pytest.mark.parametrize(
    "status", [b"429 Too Many Requests", b"500 Oops", b"502 Bad Gateway", b"503 No", b"529 Full"]
)
@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
def test_the_second_is_asked_where_the_first_cannot(
    pair: Pair, client: Client, status: bytes, body: dict[str, Any]
) -> None:
    client.post(body)
    one = pair.first.answer(response(b'{"error":{"message":"m"}}', status=status))
    answer = (
        response(COMPLETION) if body is CHAT else stream_head() + delta(finish="stop") + usage_event() + DONE
    )
    two = pair.second.answer(answer)
    got = client.answer()
    assert got.status == 200
    assert got.header(b"x-tollkeeper-upstream") == b"second"
    assert one.body == two.body
    assert one.values(b"authorization") == [b"Bearer sk-of-first"]
    assert two.values(b"authorization") == [b"Bearer sk-of-second"]
    assert one.values(b"x-request-id") != two.values(b"x-request-id")
    assert_two(pair, client, outcome="upstream_error", status=int(status[:3]))


def test_the_second_is_asked_where_the_first_is_away(
    make_relay: MakeRelay, make_upstream: MakeUpstream
) -> None:
    second = make_upstream()
    with socket.create_server(("127.0.0.1", 0)) as gone:
        away = f"http://127.0.0.1:{gone.getsockname()[1]}/v1"
    relay = make_relay(configured("first", away), configured("second", second.url, priority=1))
    with relay.client() as client:
        client.post(CHAT)
        second.answer(response(COMPLETION))
        assert client.answer().status == 200
        assert_two(Pair(relay, second, second), client, outcome="upstream_error", status=None)


def test_the_second_is_asked_where_connecting_takes_too_long(
    make_relay: MakeRelay, make_upstream: MakeUpstream
) -> None:
    second = make_upstream()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/v1"
        slow = configured("first", url, connect_timeout_s=0.1)
        relay = make_relay(slow, configured("second", second.url, priority=1))
        with relay.client() as client:
            client.post(CHAT)
            second.answer(response(COMPLETION))
            assert client.answer().status == 200
            assert_two(Pair(relay, second, second), client, outcome="timeout", status=None)


@pytest.mark.parametrize(
    "status", [b"200 OK", b"400 Bad Request", b"401 No", b"403 No", b"404 No", b"408 Slow", b"422 No"]
)
def test_any_other_answer_is_the_answer(pair: Pair, client: Client, status: bytes) -> None:
    client.post(CHAT)
    pair.first.answer(response(COMPLETION, status=status))
    assert client.answer().status == int(status[:3])
    assert pair.second.nobody_came()
    assert len(pair.relay.records(client.agent)) == 1


FATAL: dict[str, tuple[list[bytes], int | None]] = {
    "hang-up after the request": ([], 502),
    "half a body": ([response(COMPLETION, length=10_000)], 502),
    "half a stream": ([CHUNKED_HEAD, chunk(delta("Hi"))], None),
}


@pytest.mark.parametrize(("parts", "status"), FATAL.values(), ids=FATAL.keys())
def test_what_may_be_billed_is_not_asked_again(
    pair: Pair, client: Client, parts: list[bytes], status: int | None
) -> None:
    client.post(STREAM if status is None else CHAT)
    pair.first.answer(*parts)
    answer = client.answer()
    assert answer.status == (status or 200)
    assert pair.second.nobody_came()
    assert len(pair.relay.records(client.agent)) == 1


def test_a_first_byte_that_does_not_come_is_not_awaited_elsewhere(
    make_relay: MakeRelay, make_upstream: MakeUpstream
) -> None:
    first, second = make_upstream(), make_upstream()
    hasty = configured("first", first.url, first_byte_timeout_s=0.1)
    relay = make_relay(hasty, configured("second", second.url, priority=1))
    with relay.client() as client:
        client.post(CHAT)
        first.accept().request()
        assert client.answer().status == 504
        assert second.nobody_came()
        assert len(relay.records(client.agent)) == 1


def test_the_last_failure_is_the_answer(pair: Pair, client: Client) -> None:
    client.post(CHAT)
    pair.first.answer(response(b"one", status=b"500 Oops"))
    pair.second.answer(response(b"two", b"retry-after: 9", status=b"429 Later"))
    answer = client.answer()
    assert (answer.status, answer.body, answer.header(b"retry-after")) == (429, b"two", b"9")
    first, second = pair.relay.records(client.agent, count=2)
    assert (first["final"], second["final"], second["outcome"]) == (False, True, "upstream_error")


def test_a_refused_option_does_not_cost_the_fail_over(pair: Pair, client: Client) -> None:
    client.post(STREAM)
    pair.first.answer(response(b"stream_options is unknown", status=b"400 Bad Request"))
    pair.first.answer(response(b"busy", status=b"503 Busy"))
    seen = pair.second.answer(stream_head(), delta(finish="stop"), usage_event(), DONE)
    assert client.answer().body == delta(finish="stop") + DONE
    assert b"stream_options" in seen.body
    records = pair.relay.records(client.agent, count=3)
    assert [(each["attempt"], each["final"], each["upstream"]) for each in records] == [
        (1, False, "first"),
        (2, False, "first"),
        (3, True, "second"),
    ]
    assert not pair.relay.context.refuses_stream_options


def test_retries_never_double_the_load(pair: Pair) -> None:
    burst = int(RetryAllowance.BURST)
    refused = response(b"{}", status=b"500 Oops")
    with pair.relay.client() as client:
        for _ in range(burst):
            client.post(CHAT)
            pair.first.answer(refused)
            pair.second.answer(response(COMPLETION))
            assert client.answer().status == 200
        client.post(CHAT)
        pair.first.answer(refused)
        assert client.answer().status == 500
        assert pair.second.nobody_came()
        records = pair.relay.records(client.agent, count=2 * burst + 1)
    assert sum(each["final"] for each in records) == burst + 1


def test_the_retry_allowance_is_earned_by_requests() -> None:
    allowance = RetryAllowance()
    for _ in range(int(RetryAllowance.BURST)):
        assert allowance.take()
    assert not allowance.take()
    for _ in range(11):
        allowance.earn()
    assert allowance.take()
    assert not allowance.take()
    for _ in range(1000):
        allowance.earn()
    assert sum(allowance.take() for _ in range(100)) == int(RetryAllowance.BURST)


def test_an_attempt_that_was_given_up_is_in_the_store_where_durability_promises_it(
    make_relay: MakeRelay, make_upstream: MakeUpstream
) -> None:
    first, second = make_upstream(), make_upstream()
    ours = (configured("first", first.url), configured("second", second.url, priority=1))
    relay = make_relay(*ours, durability="store")
    with relay.client() as client:
        client.post(CHAT)
        first.answer(response(b"{}", status=b"500 No"))
        second.answer(response(COMPLETION))
        assert client.answer().status == 200
        assert_two(Pair(relay, first, second), client, outcome="upstream_error", status=500)
