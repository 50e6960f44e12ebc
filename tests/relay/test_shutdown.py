"""A relay that is told to stop finishes what runs, refuses what comes, and at last interrupts; all is recorded."""

import json
from collections.abc import Callable

import pytest

from tests.relay.conftest import MakeRelay
from tests.support.client import Client
from tests.support.relay import CHAT, STREAM, Relay, until
from tests.support.relay import upstream as configured
from tests.support.upstream import COMPLETION, DONE, Upstream, delta, response, stream_head, usage_event

FIRST = delta("Hello")


@pytest.fixture
def upstream(make_upstream: Callable[[], Upstream]) -> Upstream:
    return make_upstream()


@pytest.fixture
def relay(make_relay: MakeRelay, upstream: Upstream) -> Relay:
    return make_relay(configured("a", upstream.url), drain_timeout_s=0.3)


@pytest.fixture
def patient(make_relay: MakeRelay, upstream: Upstream) -> Relay:
    return make_relay(configured("a", upstream.url), drain_timeout_s=60)


def test_what_runs_is_finished_and_what_comes_is_refused(patient: Relay, upstream: Upstream) -> None:
    with patient.client() as running, patient.client() as late:
        running.post(STREAM)
        peer = upstream.accept()
        peer.request()
        peer.send(stream_head(), FIRST)
        assert running.read(len(FIRST)) == FIRST
        patient.drain()
        answer = late.post(CHAT).answer()
        assert (answer.status, answer.error["code"], answer.header(b"retry-after")) == (
            503,
            "shutting_down",
            b"5",
        )
        assert late.get(b"/readyz").status == 503
        assert late.get(b"/healthz").status == 200
        peer.send(delta(finish="stop") + usage_event() + DONE)
        peer.close()
        assert running.rest() == delta(finish="stop") + DONE
        assert patient.records(running.agent)[0]["outcome"] == "ok"
        assert patient.records(late.agent)[0]["outcome"] == "rejected_unavailable"
    patient._thread.join(20)
    assert not patient._thread.is_alive()


def test_a_stream_is_interrupted_with_an_error_event(relay: Relay, upstream: Upstream) -> None:
    with relay.client() as client:
        client.post(STREAM)
        peer = upstream.accept()
        peer.request()
        peer.send(stream_head(), FIRST)
        assert client.read(len(FIRST)) == FIRST
        relay.drain()
        error = json.loads(client.rest().strip().removeprefix(b"data: "))["error"]
        assert (error["type"], error["code"], error["param"]) == (
            "service_unavailable",
            "shutting_down",
            None,
        )
        assert peer.left()
    assert_interrupted(relay, client, status=200)


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
def test_a_request_without_an_answer_is_interrupted_with_503(
    relay: Relay, upstream: Upstream, body: object
) -> None:
    with relay.client() as client:
        client.post(body)
        peer = upstream.accept()
        peer.request()
        relay.drain()
        answer = client.answer()
        assert (answer.status, answer.error["type"], answer.error["code"]) == (
            503,
            "service_unavailable",
            "shutting_down",
        )
        assert peer.left()
    assert_interrupted(relay, client, status=503)


def test_half_a_body_is_interrupted_with_503(relay: Relay, upstream: Upstream) -> None:
    with relay.client() as client:
        client.post(CHAT)
        peer = upstream.accept()
        peer.request()
        peer.send(response(COMPLETION)[:-1])
        relay.drain()
        assert client.answer().status == 503
    assert_interrupted(relay, client, status=503)


def assert_interrupted(relay: Relay, client: Client, *, status: int) -> None:
    record = stored(relay, client)
    assert (record["outcome"], record["http_status"]) == ("interrupted", status)
    assert (record["error_type"], record["error_code"]) == ("service_unavailable", "shutting_down")


def stored(relay: Relay, client: Client) -> dict[str, object]:
    """The record, from the store that the ended relay has left."""
    relay._thread.join(20)
    assert not relay._thread.is_alive()
    return relay.left_records(client.agent)[0]


def test_a_client_that_stopped_reading_does_not_stop_the_shutdown(relay: Relay, upstream: Upstream) -> None:
    with relay.client() as client:
        client.post(STREAM)
        peer = upstream.accept()
        peer.request()
        peer.send(stream_head())
        with peer.sending(*[delta("x" * 100_000)] * 400, fails=True):
            assert client.started()[0] == 200
            relay.drain()
            record = stored(relay, client)
    assert record["outcome"] == "interrupted"


def test_a_second_signal_does_not_wait(patient: Relay, upstream: Upstream) -> None:
    with patient.client() as client:
        client.post(STREAM)
        peer = upstream.accept()
        peer.request()
        peer.send(stream_head(), FIRST)
        assert client.read(len(FIRST)) == FIRST
        patient.drain()
        patient.drain()
        assert b"shutting_down" in client.rest()
    assert_interrupted(patient, client, status=200)


def test_a_client_that_left_is_recorded_as_such_even_then(relay: Relay, upstream: Upstream) -> None:
    with relay.client() as client:
        client.post(STREAM)
        peer = upstream.accept()
        peer.request()
        peer.send(stream_head(), FIRST)
        assert client.read(len(FIRST)) == FIRST
        client.leave()
        assert until(lambda: relay.context.disconnect_drains == 1)
        relay.drain()
        assert peer.left()
    record = stored(relay, client)
    assert (record["outcome"], record["usage_source"]) == ("client_disconnect", "estimated")
