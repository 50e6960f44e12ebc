"""`/metrics` of a running relay: who may read it, and that it and the spans tell what happened."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from litestar.connection import ASGIConnection

from service.content.policy import Capture
from service.keys.admin_registry import AdminKeyRegistry
from service.relay.exchange import Exchange
from service.relay.metrics_route import is_local
from service.settings import ContentSettings, TelemetrySettings
from tests.relay.conftest import MakeRelay
from tests.relay.test_recording import set_capture
from tests.support.audit import TESTER
from tests.support.client import Answer
from tests.support.relay import CHAT, STREAM, Relay, _now, until
from tests.support.relay import upstream as configured
from tests.support.upstream import DONE, Upstream, delta, event, response, stream_head, usage_event
from tests.telemetry.exposition import Scrape, parse
from tests.telemetry.receiver import Receiver, attributes
from tests.telemetry.test_trace_context import GOOD, PARENT

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}
LOCAL = b"host: 127.0.0.1:4000"


class Metered:
    """A relay of the test's own, its upstream, and its metrics."""

    def __init__(self, relay: Relay, upstream: Upstream) -> None:
        self.relay = relay
        self.upstream = upstream

    def ask(self, *headers: bytes, body: Any = CHAT) -> str:
        """One answered request, in the store now; returns its id."""
        with self.relay.client() as client:
            client.post(body, *headers)
            if body.get("stream"):
                stream = (delta("Hi"), delta(finish="stop"), usage_event(), DONE)
                self.upstream.answer(stream_head(), *stream)
            else:
                self.upstream.answer(response(event(ANSWER)[6:-2]))
            answer = client.answer()
            assert answer.status == 200
            self.relay.record(client)
            return (answer.header(b"x-request-id") or b"").decode()

    def get(self, *headers: bytes, key: str | None = None) -> Answer:
        """The page, or its refusal, for exactly these headers and that key."""
        lines = [b"GET /metrics HTTP/1.1", *headers]
        if key is not None:
            lines.append(b"authorization: Bearer " + key.encode())
        with self.relay.client(None) as client:
            client.send(b"\r\n".join(lines) + b"\r\n\r\n")
            return client.answer()

    def scrape(self) -> Scrape:
        """What the page says."""
        answer = self.get(LOCAL)
        assert answer.status == 200, answer.body
        return parse(answer.body.decode())

    def admin_key(self, role: Any) -> str:
        """An admin key that the relay knows."""
        process = self.relay.process
        registry = AdminKeyRegistry(process.peppers, trail=process.trail, now=_now, random_bytes=os.urandom)
        with process.store.write() as tx:
            issued = registry.create(tx, name=role, role=role, by=TESTER)
        process.configuration.refresh_now()
        return issued.token


Start = Callable[..., Metered]


@pytest.fixture
def start(make_relay: MakeRelay, make_upstream: Callable[[], Upstream]) -> Start:
    def make(*, headers: str | None = None, **telemetry: Any) -> Metered:
        upstream = make_upstream()
        relay = make_relay(
            configured("main", upstream.url, models=("*",)),
            telemetry=TelemetrySettings(**telemetry),
            otlp_headers=headers,
        )
        return Metered(relay, upstream)

    return make


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as opened:
        yield opened


def test_the_page_tells_what_happened(start: Start) -> None:
    metered = start()
    metered.ask()
    metered.ask(body=STREAM)
    with metered.relay.client("tk_wrong") as client:
        assert client.post(CHAT).answer().status == 401
        metered.relay.record(client)
    found = metered.scrape()
    assert found.value("tollkeeper_requests_total", tollkeeper_outcome="ok") == 2
    assert found.value("tollkeeper_requests_total", error_type="invalid_api_key") == 1
    assert found.value("tollkeeper_tokens_total", tollkeeper_token_class="uncached_input") > 10
    books = [one for one in metered.relay._stored(None) if one["cost_nanos"]]
    assert found.value("tollkeeper_cost_usd_total") == sum(one["cost_nanos"] for one in books) / 10**9 > 0
    chunk = "gen_ai_client_operation_time_to_first_chunk_seconds_count"
    assert found.value(chunk, tollkeeper_upstream="main") == 1
    assert found.value("tollkeeper_store_available", tollkeeper_worker="0") == 1
    assert found.value("tollkeeper_ready") == 1
    assert found.value("tollkeeper_journal_limit_bytes") == 1 << 30
    assert found.value("tollkeeper_journal_size_bytes") > 0


def test_what_is_open_is_shown_while_it_is(start: Start) -> None:
    metered = start()
    with metered.relay.client() as client:
        client.post(STREAM)
        peer = metered.upstream.accept()
        peer.request()
        assert until(lambda: metered.scrape().value("tollkeeper_open_streams") == 1)
        found = metered.scrape()
        assert found.value("tollkeeper_open_requests") == 1
        assert found.value("tollkeeper_journal_open_intents") == 1
        peer.send(stream_head(), delta("Hi"), delta(finish="stop"), usage_event(), DONE)
        peer.close()
        assert client.answer().status == 200
    assert metered.relay.is_idle()
    assert metered.scrape().value("tollkeeper_open_requests") == 0


def test_records_that_wait_for_the_store_are_shown(start: Start) -> None:
    metered = start()
    metered.ask()
    process = metered.relay.process
    with process.store.write(), metered.relay.client() as client:  # nobody else can write meanwhile
        client.post(CHAT)
        metered.upstream.answer(response(event(ANSWER)[6:-2]))
        assert client.answer().status == 200
        assert until(lambda: metered.scrape().value("tollkeeper_recorder_backlog") == 1)
        assert until(lambda: metered.scrape().value("tollkeeper_recorder_lag_seconds") > 0)
        assert metered.scrape().value("tollkeeper_journal_used_bytes") > 0
    metered.relay.record(client)
    assert until(lambda: metered.scrape().value("tollkeeper_recorder_backlog") == 0)
    assert metered.scrape().value("tollkeeper_recorder_lag_seconds") == 0


def test_two_keys_are_none(start: Start) -> None:
    metered = start(prometheus="key")
    key = metered.admin_key("viewer")
    assert metered.get(LOCAL, key=key).status == 200
    answer = metered.get(LOCAL, b"authorization: Bearer another", key=key)
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert "2 `Authorization` headers" in answer.error["message"]


def test_content_that_is_kept_and_content_that_is_not_is_counted(start: Start) -> None:
    metered = start()
    set_capture(metered.relay, "default", Capture(enabled=True))
    metered.ask()
    assert until(lambda: metered.scrape().value("tollkeeper_content_stored_total") == 1)
    assert metered.scrape().value("tollkeeper_content_left_out_total") == 0
    assert metered.relay.process.capturer.room.take(ContentSettings().memory_bytes)  # all there is
    metered.ask()
    assert until(lambda: metered.scrape().value("tollkeeper_content_left_out_total") == 1)
    found = metered.scrape()
    assert found.value("tollkeeper_content_stored_total") == 1
    assert found.value("tollkeeper_content_failed_total") == 0


def test_a_draining_relay_says_so(start: Start) -> None:
    metered = start()
    with metered.relay.client() as client:
        client.post(STREAM)
        metered.upstream.accept().request()
        metered.relay.drain()
        assert metered.scrape().value("tollkeeper_ready") == 0


@pytest.mark.parametrize(
    "headers",
    [
        (LOCAL,),
        (b"host: localhost",),
        (b"host: localhost:4000",),
        (b"host: [::1]:4000",),
        (b"host: [::1]",),
        (b"host: 127.0.0.9",),
    ],
)
def test_programs_on_this_machine_may_read(start: Start, headers: tuple[bytes, ...]) -> None:
    answer = start().get(*headers)
    assert answer.status == 200
    assert answer.header(b"content-type") == b"text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize(
    "headers",
    [
        (b"host: metrics.example.com",),
        (b"host: 192.0.2.1:4000",),
        (b"host: 127.0.0.1.evil.example",),
        (LOCAL, b"x-forwarded-for: 127.0.0.1"),
        (LOCAL, b"forwarded: for=127.0.0.1"),
        (LOCAL, b"x-real-ip: 127.0.0.1"),
        (LOCAL, b"via: 1.1 proxy"),
    ],
)
def test_a_proxy_on_this_machine_or_a_foreign_name_needs_a_key(
    start: Start, headers: tuple[bytes, ...]
) -> None:
    metered = start()
    answer = metered.get(*headers)
    assert answer.status == 401
    assert answer.error["code"] == "invalid_api_key"
    assert b"tollkeeper_" not in answer.body
    assert metered.get(*headers, key=metered.admin_key("viewer")).status == 200


@pytest.mark.parametrize(
    ("peer", "local"),
    [
        (("127.0.0.1", 5), True),
        (("::1", 5), True),
        (("::ffff:127.0.0.1", 5), True),
        (("192.0.2.7", 5), False),
        (("2001:db8::7", 5), False),
        (("::ffff:192.0.2.7", 5), False),
        (("a unix socket", 0), False),
        (None, False),
    ],
)
def test_who_is_on_this_machine(peer: Any, *, local: bool) -> None:
    scope: Any = {"type": "http", "client": peer, "headers": [(b"host", b"localhost")]}
    assert is_local(ASGIConnection(scope)) is local


@pytest.mark.parametrize(
    ("access", "anybody", "viewer", "client_key"),
    [("loopback", 200, 200, 200), ("key", 401, 200, 401), ("open", 200, 200, 200), ("off", 404, 404, 404)],
)
def test_who_may_read_is_a_setting(
    start: Start, access: str, anybody: int, viewer: int, client_key: int
) -> None:
    metered = start(prometheus=access)
    assert metered.get(LOCAL).status == anybody
    assert metered.get(LOCAL, key=metered.admin_key("viewer")).status == viewer
    assert metered.get(LOCAL, key=metered.admin_key("admin")).status == viewer
    assert metered.get(LOCAL, key=metered.relay.key).status == client_key


def test_open_is_open_to_any_name(start: Start) -> None:
    assert start(prometheus="open").get(b"host: relay.example.com").status == 200


def test_counts_go_on_after_a_restart(start: Start) -> None:
    metered = start()
    metered.ask()
    metered.relay.stop()
    settings = metered.relay.process.settings
    folder = settings.relay.data_dir.parent
    with Relay(folder, store_url=settings.store.url, upstreams=settings.upstreams) as again:
        successor = Metered(again, metered.upstream)
        assert successor.scrape().value("tollkeeper_requests_total") == 1
        successor.ask()
        assert successor.scrape().value("tollkeeper_requests_total") == 2


def test_each_attempt_is_a_span_under_its_caller(start: Start, receiver: Receiver) -> None:
    metered = start(enabled=True, otlp_endpoint=receiver.endpoint)
    request_id = metered.ask(b"traceparent: " + GOOD.encode())
    metered.ask()
    metered.relay.stop()
    spans = {attributes(span)["tollkeeper.request.id"]: span for span in receiver.spans(2)}
    called = spans.pop(request_id)
    assert int.from_bytes(called.trace_id, "big") == PARENT.trace_id
    assert int.from_bytes(called.parent_span_id, "big") == PARENT.span_id
    ((own_id, own),) = spans.items()
    assert own.trace_id.hex() == own_id.replace("-", "")
    assert own.end_time_unix_nano > own.start_time_unix_nano
    for span in (called, own):
        shown = attributes(span)
        assert shown["server.address"] == "127.0.0.1"
        assert shown["gen_ai.response.model"] == "gpt-4o-2024-08-06"
        assert shown["tollkeeper.cost_nanos"] > 0
    counted = receiver.latest_metrics()["tollkeeper.requests"].sum.data_points
    assert sum(point.as_int for point in counted) == 2


def test_the_caller_s_trace_goes_to_the_upstream_as_it_came(start: Start, receiver: Receiver) -> None:
    for wanted in ({}, {"enabled": True, "otlp_endpoint": receiver.endpoint}):
        metered = start(**wanted)
        with metered.relay.client() as client:
            client.post(CHAT, b"traceparent: " + GOOD.encode(), b"tracestate: vendor=1")
            received = metered.upstream.answer(response(event(ANSWER)[6:-2]))
            assert client.answer().status == 200
        assert received.values(b"traceparent") == [GOOD.encode()]
        assert received.values(b"tracestate") == [b"vendor=1"]


@pytest.mark.parametrize(("export", "kept"), [(True, GOOD), (False, None)])
def test_a_caller_s_trace_is_kept_only_where_spans_are_made(
    start: Start, receiver: Receiver, *, export: bool, kept: str | None
) -> None:
    metered = start(enabled=export, otlp_endpoint=receiver.endpoint)
    with metered.relay.client() as client:
        client.post(STREAM, b"traceparent: " + GOOD.encode())
        peer = metered.upstream.accept()
        peer.request()
        (exchange,) = metered.relay.context.exchanges
        assert isinstance(exchange, Exchange)
        assert exchange._admitted.opening.traceparent == kept
        peer.close()
        client.answer()
