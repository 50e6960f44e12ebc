"""When the client has its last byte, its record is where `durability` promises; on both stores."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.relay.conftest import MakeRelay
from tests.support.relay import CHAT, STREAM, Relay, until
from tests.support.relay import upstream as configured
from tests.support.upstream import COMPLETION, DONE, Upstream, delta, response, stream_head, usage_event

FIRST = delta("Hello")
STREAMED = FIRST + delta(finish="stop") + usage_event() + DONE


@pytest.fixture
def upstream(make_upstream: Callable[[], Upstream]) -> Upstream:
    return make_upstream()


@pytest.fixture(params=["local", "fsync", "store"])
def relay(request: pytest.FixtureRequest, store_url: str, make_relay: MakeRelay, upstream: Upstream) -> Relay:
    return make_relay(configured("a", upstream.url), store_url=store_url, durability=request.param)


def test_a_conversation_of_every_kind(relay: Relay, upstream: Upstream) -> None:
    with relay.client() as client:
        client.post(CHAT)
        upstream.answer(response(COMPLETION))
        assert client.answer().body == COMPLETION
        client.post(STREAM)
        upstream.answer(stream_head(), STREAMED)
        assert client.answer().body == FIRST + delta(finish="stop") + DONE
        client.post(CHAT)
        upstream.answer(response(b"{}", status=b"500 No"))
        assert client.answer().status == 500
        assert client.post(b"{").answer().status == 400
        client.post(STREAM)
        peer = upstream.accept()
        peer.request()
        peer.send(stream_head(), FIRST)
        assert client.read(len(FIRST)) == FIRST
        client.leave()
        assert until(lambda: relay.context.disconnect_drains == 1)
        peer.send(STREAMED)
        peer.close()
        records = relay.records(client.agent, count=5)
    facts = [(each["outcome"], each["http_status"], each["cost_nanos"]) for each in records]
    assert facts == [
        ("ok", 200, 52_500),
        ("ok", 200, 52_500),
        ("upstream_error", 500, 0),
        ("rejected_request", 400, 0),
        ("client_disconnect", 200, 52_500),
    ]
    assert len({each["request_id"] for each in records}) == 5


def test_odd_texts_are_stored_alike(relay: Relay, upstream: Upstream) -> None:
    body: dict[str, Any] = {
        **CHAT,
        "user": "a\x00\ud83d\ude42'\"\\;--",
        "metadata": {"\u0000k": "\uffff\u2028"},
    }
    said = COMPLETION.replace(b"chatcmpl-1", b"\\u0000chat\\ud83d")
    with relay.client() as client:
        client.post(body, b"x-session-id: \xff\xfe")
        upstream.answer(response(said, b"x-request-id: \xff\xe9"))
        assert client.answer().body == said
        record = relay.record(client)
    assert record["end_user"] == "a�🙂'\"\\;--"
    assert record["session"] == "��"
    assert record["outcome"] == "ok"


def test_the_client_gets_its_last_byte_after_the_store_has_the_record(
    store_url: str, make_relay: MakeRelay, upstream: Upstream
) -> None:
    relay = make_relay(configured("a", upstream.url), store_url=store_url, durability="store")
    with relay.client() as client:
        client.post(STREAM)
        peer = upstream.accept()
        peer.request()
        peer.send(stream_head(), STREAMED)
        shown = FIRST + delta(finish="stop") + DONE
        assert client.read(len(shown)) == shown
        assert len(relay._stored(client.agent)) == 1
        peer.close()
        assert client.rest() == b""
        client.post(CHAT)
        upstream.answer(response(COMPLETION))
        client.answer()
        assert len(relay._stored(client.agent)) == 2
