"""Answers that begin and then fail, and those that only look as if: what the client gets, and what the books say."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.relay.conftest import MakeRelay, World
from tests.relay.test_outcomes import assert_failed
from tests.support.client import Client, CutError
from tests.support.relay import CHAT, STREAM, Relay
from tests.support.relay import upstream as configured
from tests.support.upstream import (
    CHUNKED_HEAD,
    COMPLETION,
    DONE,
    Upstream,
    chunk,
    delta,
    event,
    response,
    stream_head,
    usage_event,
)

FIRST = delta("Hello")
ENDINGS = [delta(finish="stop"), usage_event(), DONE]


def last_event(body: bytes) -> dict[str, Any]:
    """The error event that ends a broken stream."""
    *_, last, nothing = re.split(rb"\n\n", body)
    assert nothing == b""
    document = json.loads(last.removeprefix(b"data: "))
    assert set(document) == {"error"}
    error: dict[str, Any] = document["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


# Half an answer


@pytest.mark.parametrize("cut", ["close", "reset"])
def test_a_body_that_is_cut(relay: Relay, client: Client, upstream: Upstream, cut: str) -> None:
    client.post(CHAT)
    peer = upstream.accept()
    peer.request()
    peer.send(response(COMPLETION[:150], length=len(COMPLETION)))
    peer.close() if cut == "close" else peer.reset()
    answer, record = client.answer(), relay.record(client)
    assert_failed(answer, record, status=502, code="upstream_unreachable")
    assert (record["outcome"], record["usage_source"]) == ("truncated", "estimated")
    assert record["cost_nanos"] > 0


def test_a_body_that_stalls(hasty: World) -> None:
    with hasty.relay.client() as client:
        client.post({**CHAT, "model": "idle"})
        peer = hasty.upstreams["idle"].accept()
        peer.request()
        peer.send(response(COMPLETION)[:-1])
        answer, record = client.answer(), hasty.relay.record(client)
        assert_failed(answer, record, status=504, code="upstream_timeout")
        assert record["outcome"] == "timeout"
        assert peer.left()


CUTS: dict[str, list[bytes]] = {
    "between events": [FIRST],
    "within an event": [FIRST, FIRST[:20]],
    "before the first event": [],
    "after the finish reason": [FIRST, ENDINGS[0]],
}


@pytest.mark.parametrize("parts", CUTS.values(), ids=CUTS.keys())
@pytest.mark.parametrize("cut", ["close", "reset"])
def test_a_stream_that_is_cut_ends_with_an_error_event(
    relay: Relay,
    client: Client,
    upstream: Upstream,
    parts: list[bytes],
    cut: str,
) -> None:
    client.post({**STREAM, "stream_options": {"include_usage": True}})
    peer = upstream.accept()
    peer.request()
    peer.send(CHUNKED_HEAD, *map(chunk, parts))
    seen = client.read(len(b"".join(parts)))
    assert seen == b"".join(parts)
    peer.close() if cut == "close" else peer.reset()
    error = last_event(client.rest())
    assert (error["type"], error["code"]) == ("upstream_error", "upstream_unreachable")
    record = relay.record(client)
    assert (record["outcome"], record["http_status"]) == ("truncated", 200)
    assert (record["error_type"], record["error_code"]) == ("upstream_error", "upstream_unreachable")
    assert (record["usage_source"], record["cost_status"]) == ("estimated", "priced")
    assert record["bytes_out"] == len(seen)


@pytest.mark.parametrize("model", ["idle", "long"])
def test_a_stream_that_stalls_ends_with_an_error_event(hasty: World, model: str) -> None:
    with hasty.relay.client() as client:
        client.post({**STREAM, "model": model})
        peer = hasty.upstreams[model].accept()
        peer.request()
        peer.send(stream_head() + FIRST)
        assert client.read(len(FIRST)) == FIRST
        error = last_event(client.rest())
        assert (error["type"], error["code"]) == ("upstream_error", "upstream_timeout")
        record = hasty.relay.record(client)
        assert (record["outcome"], record["http_status"], record["error_code"]) == (
            "timeout",
            200,
            "upstream_timeout",
        )
        assert record["usage_source"] == "estimated"
        assert peer.left()


def test_a_stream_that_just_ends_is_truncated(relay: Relay, client: Client, upstream: Upstream) -> None:
    client.post(STREAM)
    upstream.answer(stream_head(), FIRST)
    assert client.answer().body == FIRST
    record = relay.record(client)
    assert (record["outcome"], record["error_code"]) == ("truncated", "stream_ended_early")
    assert record["usage_source"] == "estimated"


WHOLE_ENOUGH = {
    "no DONE": ([FIRST, *ENDINGS[:2]], "provider"),
    "no usage": ([FIRST, ENDINGS[0], DONE], "estimated"),
    "usage null": ([FIRST, delta(finish="stop", usage=None), DONE], "estimated"),
    "only DONE": ([DONE], "estimated"),
    "neither DONE nor usage": ([FIRST, ENDINGS[0]], "estimated"),
}


@pytest.mark.parametrize(("parts", "source"), WHOLE_ENOUGH.values(), ids=WHOLE_ENOUGH.keys())
def test_a_stream_that_is_whole_enough(
    relay: Relay, client: Client, upstream: Upstream, parts: list[bytes], source: str
) -> None:
    client.post({**STREAM, "stream_options": {"include_usage": True}})
    upstream.answer(stream_head(), *parts)
    assert client.answer().body == b"".join(parts)
    record = relay.record(client)
    assert (record["outcome"], record["usage_source"], record["error_type"]) == ("ok", source, None)


# Errors under HTTP 200


MID = {
    "openai": (
        event({"error": {"message": "m", "type": "server_error", "code": "boom"}}),
        "server_error",
        "boom",
    ),
    "vllm": (
        event({"object": "error", "message": "m", "type": "BadRequestError", "code": 400}),
        "BadRequestError",
        "400",
    ),
    "finish reason": (delta(finish="error"), "upstream_error", None),
    "text": (event({"error": "overloaded"}), "upstream_error", None),
}


@pytest.mark.parametrize("name", MID)
@pytest.mark.parametrize("more", [b"", DONE])
def test_an_error_event_crosses_and_is_recorded(
    relay: Relay, client: Client, upstream: Upstream, name: str, more: bytes
) -> None:
    said, kind, code = MID[name]
    client.post(STREAM)
    upstream.answer(stream_head(), FIRST, said, more)
    assert client.answer().body == FIRST + said + more
    record = relay.record(client)
    assert (record["outcome"], record["http_status"]) == ("midstream_error", 200)
    assert (record["error_type"], record["error_code"]) == (kind, code)
    assert record["usage_source"] == "estimated"


def test_an_error_body_under_200_is_an_upstream_s_error(
    relay: Relay, client: Client, upstream: Upstream
) -> None:
    said = b'{"error":{"message":"m","code":502}}'
    client.post(CHAT)
    upstream.answer(response(said))
    assert client.answer().body == said
    record = relay.record(client)
    assert (record["outcome"], record["http_status"], record["error_code"]) == ("upstream_error", 200, "502")


@pytest.mark.parametrize("said", [b"", b"<html>", b'{"choices":', b"null", COMPLETION[:100]])
def test_a_body_without_usage_is_estimated(
    relay: Relay, client: Client, upstream: Upstream, said: bytes
) -> None:
    client.post(CHAT)
    upstream.answer(response(said))
    answer = client.answer()
    assert (answer.status, answer.body) == (200, said)
    record = relay.record(client)
    assert (record["outcome"], record["usage_source"]) == ("ok", "estimated")
    assert answer.header(b"x-tollkeeper-cost-status") == record["cost_status"].encode()


def test_absurd_usage_does_not_stop_the_books(relay: Relay, client: Client, upstream: Upstream) -> None:
    for prompt in (b"-1", b"1e30", b"9" * 40, b'"9"', b"[]", b"1.5", b"NaN"):
        client.post(CHAT)
        upstream.answer(response(b'{"usage":{"prompt_tokens":%b,"completion_tokens":1}}' % prompt))
        assert client.answer().status == 200
    client.post(CHAT)
    upstream.answer(response(COMPLETION))
    client.answer()
    records = relay.records(client.agent, count=8)
    assert {each["outcome"] for each in records} == {"ok"}
    assert records[-1]["usage_source"] == "provider"


def test_the_end_of_a_connection_that_frames_a_body_is_its_end(
    relay: Relay, client: Client, upstream: Upstream
) -> None:
    client.post(CHAT)
    upstream.answer(b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n" + COMPLETION)
    answer = client.answer()
    assert (answer.body, answer.header(b"content-length")) == (COMPLETION, b"%d" % len(COMPLETION))
    assert relay.record(client)["outcome"] == "ok"


def test_a_cut_after_done_is_a_whole_answer(relay: Relay, client: Client, upstream: Upstream) -> None:
    client.post(STREAM)
    peer = upstream.accept()
    peer.request()
    peer.send(CHUNKED_HEAD, chunk(FIRST + b"".join(ENDINGS)))
    shown = FIRST + ENDINGS[0] + DONE
    assert client.read(len(shown)) == shown
    peer.reset()
    assert client.rest() == b""
    assert relay.record(client)["outcome"] == "ok"


def test_a_large_answer_that_is_cut_is_cut_for_the_client_too(
    make_relay: MakeRelay, make_upstream: Callable[[], Upstream]
) -> None:
    upstream = make_upstream()
    relay = make_relay(configured("a", upstream.url), max_answer_buffer_bytes=100)
    with relay.client() as client:
        client.post(CHAT)
        peer = upstream.accept()
        peer.request()
        peer.send(response(COMPLETION[:200], length=len(COMPLETION)))
        assert client.read(200) == COMPLETION[:200]
        peer.close()
        with pytest.raises(CutError):
            client.rest()
        record = relay.record(client)
        assert (record["outcome"], record["http_status"], record["bytes_out"]) == ("truncated", 200, 200)
