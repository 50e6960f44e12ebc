"""A client that leaves: read on for the true usage, or stop and estimate; always one record."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.relay.conftest import MakeRelay
from tests.support.client import Client
from tests.support.relay import CHAT, STREAM, Relay, until
from tests.support.relay import upstream as configured
from tests.support.upstream import COMPLETION, DONE, Peer, Upstream, delta, response, stream_head, usage_event

REST = delta(finish="stop") + usage_event() + DONE
LONG_TEXT = "word " * 40


def assert_left(record: dict[str, Any], *, source: str) -> None:
    assert record["outcome"] == "client_disconnect"
    assert record["error_type"] == "client_disconnect"
    assert record["usage_source"] == source
    assert (record["attempt"], record["final"]) == (1, True)


def leave(relay: Relay, client: Client) -> None:
    """Close the connection; the relay has noticed when this returns."""
    client.leave()
    assert until(lambda: relay.on_loop(lambda: all(each.reply.gone for each in relay.context.exchanges)))  # type: ignore[attr-defined]  # an Exchange


def streaming(
    client: Client, upstream: Upstream, *, model: str = "gpt-4o", events: int = 1, **body: Any
) -> Peer:
    """A stream of which the client has seen *events*."""
    client.post({**STREAM, "model": model, **body})
    peer = upstream.accept()
    peer.request()
    peer.send(stream_head())
    for _ in range(events):
        peer.send(delta(LONG_TEXT))
        assert client.read(len(delta(LONG_TEXT))) == delta(LONG_TEXT)
    return peer


# Draining


@pytest.mark.parametrize("events", [0, 1, 3])
def test_a_stream_is_read_on_for_its_true_usage(
    relay: Relay, client: Client, upstream: Upstream, events: int
) -> None:
    peer = streaming(client, upstream, events=events)
    leave(relay, client)
    peer.send(delta("more"), REST)
    peer.close()
    record = relay.record(client)
    assert_left(record, source="provider")
    assert (record["input_tokens"], record["output_tokens"], record["cost_nanos"]) == (9, 3, 52_500)
    assert (record["http_status"], record["chunks"]) == (200, events + 3)
    assert record["bytes_out"] == events * len(delta(LONG_TEXT))
    assert relay.is_idle()
    assert relay.context.disconnect_drains == 0


def test_a_body_is_read_on_for_its_true_usage(relay: Relay, client: Client, upstream: Upstream) -> None:
    client.post(CHAT)
    peer = upstream.accept()
    peer.request()
    peer.send(response(COMPLETION)[:-50])
    leave(relay, client)
    peer.send(response(COMPLETION)[-50:])
    peer.close()
    record = relay.record(client)
    assert_left(record, source="provider")
    assert (record["output_tokens"], record["bytes_out"], record["http_status"]) == (3, 0, 200)


def test_a_client_that_leaves_before_the_head(relay: Relay, client: Client, upstream: Upstream) -> None:
    client.post(CHAT)
    peer = upstream.accept()
    peer.request()
    leave(relay, client)
    peer.send(response(COMPLETION))
    peer.close()
    record = relay.record(client)
    assert_left(record, source="provider")
    assert record["cost_nanos"] == 52_500


def test_an_upstream_s_error_after_the_client_left_costs_nothing(
    relay: Relay, client: Client, upstream: Upstream
) -> None:
    client.post(CHAT)
    peer = upstream.accept()
    peer.request()
    leave(relay, client)
    peer.send(response(b'{"error":{"message":"m"}}', status=b"500 Internal Server Error"))
    peer.close()
    record = relay.record(client)
    assert_left(record, source="none")
    assert (record["cost_nanos"], record["cost_status"], record["http_status"]) == (0, "free", 500)


def test_an_upstream_that_breaks_off_after_the_client_left_is_estimated(
    relay: Relay, client: Client, upstream: Upstream
) -> None:
    peer = streaming(client, upstream)
    leave(relay, client)
    peer.reset()
    record = relay.record(client)
    assert_left(record, source="estimated")
    assert_bounded(record, seen_tokens=40)


def assert_bounded(record: dict[str, Any], *, seen_tokens: int, allowed: int = 0) -> None:
    """An estimate from what was seen (calibrated by what other tests reported), with bounds around it."""
    assert seen_tokens / 10 < record["output_tokens"] < seen_tokens * 2
    estimate = record["input_tokens"] + record["output_tokens"]
    assert 0 <= record["usage_low"] <= estimate <= record["usage_high"]
    assert record["usage_high"] >= allowed
    assert record["cost_nanos"] > 0
    assert record["cost_status"] == "priced"


# Cancelling


@pytest.mark.parametrize("events", [1, 3])
def test_cancelling_closes_the_upstream_and_estimates(
    relay: Relay, client: Client, upstreams: dict[str, Upstream], events: int
) -> None:
    peer = streaming(client, upstreams["cancel"], model="cancel-1", events=events, max_tokens=5000)
    client.leave()
    assert peer.left()
    record = relay.record(client)
    assert_left(record, source="estimated")
    assert_bounded(record, seen_tokens=40 * events, allowed=5000)
    assert (record["http_status"], record["response_model"]) == (200, "gpt-4o-2024-08-06")
    assert relay.is_idle()


def test_the_bound_of_an_estimate_counts_every_choice(
    relay: Relay, client: Client, upstreams: dict[str, Upstream]
) -> None:
    peer = streaming(client, upstreams["cancel"], model="cancel-1", max_completion_tokens=1000, n=3)
    client.leave()
    assert peer.left()
    assert relay.record(client)["usage_high"] >= 3000


@pytest.mark.parametrize("n", [10**18, -5, 0])
def test_absurd_limits_do_not_break_the_books(
    relay: Relay, client: Client, upstreams: dict[str, Upstream], n: int
) -> None:
    peer = streaming(client, upstreams["cancel"], model="cancel-1", n=n, max_tokens=10**30)
    client.leave()
    assert peer.left()
    record = relay.record(client)
    assert_left(record, source="estimated")
    assert record["usage_low"] <= record["usage_high"] < 2**53


def test_cancelling_before_the_head(relay: Relay, client: Client, upstreams: dict[str, Upstream]) -> None:
    client.post({**CHAT, "model": "cancel-1"})
    peer = upstreams["cancel"].accept()
    peer.request()
    client.leave()
    assert peer.left()
    record = relay.record(client)
    assert_left(record, source="none")
    assert (record["cost_nanos"], record["cost_status"], record["http_status"]) == (0, "free", None)


def test_usage_so_far_is_partial_where_the_upstream_reports_it(
    relay: Relay, client: Client, upstreams: dict[str, Upstream]
) -> None:
    client.post({**STREAM, "model": "cancel-1", "stream_options": {"include_usage": True}})
    peer = upstreams["cancel"].accept()
    peer.request()
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    counted = delta("Hel", usage=usage)
    peer.send(stream_head(), counted)
    assert client.read(len(counted)) == counted
    client.leave()
    assert peer.left()
    record = relay.record(client)
    assert_left(record, source="partial")
    assert (record["input_tokens"], record["output_tokens"]) == (9, 2)


# Bounds of draining


def test_too_many_drains_are_cancelled(make_relay: MakeRelay, make_upstream: Callable[[], Upstream]) -> None:
    upstream = make_upstream()
    relay = make_relay(configured("a", upstream.url), max_disconnect_drains=1)
    with relay.client() as first, relay.client() as second:
        drained, cancelled = streaming(first, upstream), streaming(second, upstream)
        leave_one(relay, first)
        second.leave()
        assert cancelled.left()
        assert_left(relay.record(second), source="estimated")
        drained.send(REST)
        drained.close()
        assert_left(relay.record(first), source="provider")
    assert relay.is_idle()
    assert relay.context.disconnect_drains == 0


def leave_one(relay: Relay, client: Client) -> None:
    client.leave()
    assert until(lambda: relay.context.disconnect_drains == 1)


def test_a_drain_ends_in_time(make_relay: MakeRelay, make_upstream: Callable[[], Upstream]) -> None:
    upstream = make_upstream()
    relay = make_relay(configured("a", upstream.url), disconnect_drain_s=0.1)
    with relay.client() as client:
        peer = streaming(client, upstream)
        client.leave()
        assert peer.left()
        assert_left(relay.record(client), source="estimated")
    assert relay.is_idle()
    assert relay.context.disconnect_drains == 0


# Leaving when everything has been said


@pytest.mark.parametrize("model", ["gpt-4o", "cancel-1"])
def test_leaving_after_done_is_no_disconnect(
    relay: Relay, client: Client, upstreams: dict[str, Upstream], model: str
) -> None:
    upstream = upstreams["gpt" if model == "gpt-4o" else "cancel"]
    peer = streaming(client, upstream, model=model)
    peer.send(REST)
    shown = delta(finish="stop") + DONE
    assert client.read(len(shown)) == shown
    client.leave()
    peer.close()
    record = relay.record(client)
    assert (record["outcome"], record["usage_source"], record["output_tokens"]) == ("ok", "provider", 3)
    assert record["bytes_out"] == len(delta(LONG_TEXT)) + len(shown)


def test_an_upstream_that_never_closes_after_done_is_left_with_the_client(
    make_relay: MakeRelay, make_upstream: Callable[[], Upstream]
) -> None:
    upstream = make_upstream()
    relay = make_relay(configured("a", upstream.url), disconnect_drain_s=0.1)
    with relay.client() as client:
        peer = streaming(client, upstream)
        peer.send(REST)
        shown = delta(finish="stop") + DONE
        assert client.read(len(shown)) == shown
        client.leave()
        assert peer.left()
        assert relay.record(client)["outcome"] == "ok"


def test_leaving_after_a_whole_body_is_no_disconnect(
    relay: Relay, client: Client, upstream: Upstream
) -> None:
    client.post(CHAT)
    upstream.answer(response(COMPLETION))
    client.answer()
    client.leave()
    assert relay.record(client)["outcome"] == "ok"


def test_a_reset_by_the_client_is_a_disconnect_too(relay: Relay, client: Client, upstream: Upstream) -> None:
    peer = streaming(client, upstream)
    Peer(client._socket).reset()
    assert until(lambda: relay.context.disconnect_drains == 1)
    peer.send(REST)
    peer.close()
    assert_left(relay.record(client), source="provider")
