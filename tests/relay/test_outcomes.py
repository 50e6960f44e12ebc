"""How answers can fail: what the client is told, and what the books say."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.relay.conftest import MakeRelay, World
from tests.relay.test_refusals import UUID7
from tests.support.relay import CHAT, STREAM, Answer, Client, CutError, Relay
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


def assert_failed(
    answer: Answer,
    record: dict[str, Any],
    *,
    status: int,
    code: str,
    kind: str = "upstream_error",
) -> None:
    """An answer of our own to an upstream's failure, and its record."""
    assert answer.status == status
    assert (answer.error["type"], answer.error["code"], answer.error["param"]) == (kind, code, None)
    assert answer.header(b"content-type") == b"application/json"
    assert UUID7.fullmatch(answer.header(b"x-request-id") or b"")
    assert answer.header(b"x-request-id") == str(record["request_id"]).encode()
    assert answer.header(b"x-tollkeeper-upstream") == record["upstream"].encode()
    assert (record["http_status"], record["error_type"], record["error_code"]) == (status, kind, code)
    assert (record["attempt"], record["final"]) == (1, True)
    assert record["bytes_out"] in (0, len(answer.body))


def assert_free(record: dict[str, Any]) -> None:
    assert (record["cost_nanos"], record["cost_status"], record["usage_source"]) == (0, "free", "none")
    assert record["input_tokens"] is record["output_tokens"] is None


def last_event(body: bytes) -> dict[str, Any]:
    """The error event that ends a broken stream."""
    *_, last, nothing = re.split(rb"\n\n", body)
    assert nothing == b""
    document = json.loads(last.removeprefix(b"data: "))
    assert set(document) == {"error"}
    error: dict[str, Any] = document["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


# The upstream's own errors


@pytest.mark.parametrize(
    "status",
    [
        "400 Bad Request",
        "401 Unauthorized",
        "404 Not Found",
        "418 I'm a Teapot",
        "429 Too Many Requests",
        "500 Oops",
        "503 Service Unavailable",
        "529 Overloaded",
    ],
)
@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
def test_an_upstream_s_error_is_the_answer(
    relay: Relay, client: Client, upstream: Upstream, status: str, body: dict[str, Any]
) -> None:
    said = b' {"error" : {"message":"no","type":"their_type","param":"p","code":"their_code"} }\n'
    client.post(body)
    upstream.answer(response(said, b"retry-after: 7", b"x-should-retry: true", status=status.encode()))
    answer = client.answer()
    assert (answer.status, answer.body) == (int(status[:3]), said)
    assert (answer.header(b"retry-after"), answer.header(b"x-should-retry")) == (b"7", b"true")
    assert answer.header(b"x-tollkeeper-cost-usd") is answer.header(b"x-tollkeeper-cost-status") is None
    record = relay.record(client)
    assert (record["outcome"], record["http_status"]) == ("upstream_error", int(status[:3]))
    assert (record["error_type"], record["error_code"]) == ("their_type", "their_code")
    assert_free(record)


ODD_ERRORS = {
    "HTML": (b"<html><body>502 Bad Gateway</body></html>", b"text/html"),
    "empty": (b"", b""),
    "text": (b"upstream connect error", b"text/plain"),
    "an array": (b'[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]', b"application/json"),
    "error as text": (b'{"error":"model not loaded"}', b"application/json"),
    "events": (event({"error": {"message": "m"}}), b"text/event-stream"),
    "not UTF-8": (b"\xff\xfe\x00", b"application/octet-stream"),
}


@pytest.mark.parametrize(("said", "content_type"), ODD_ERRORS.values(), ids=ODD_ERRORS.keys())
def test_an_error_of_any_shape_crosses(
    relay: Relay, client: Client, upstream: Upstream, said: bytes, content_type: bytes
) -> None:
    client.post(CHAT)
    upstream.answer(response(said, status=b"502 Bad Gateway", content_type=content_type))
    answer = client.answer()
    assert (answer.status, answer.body, answer.header(b"content-type")) == (502, said, content_type or None)
    record = relay.record(client)
    assert (record["outcome"], record["http_status"]) == ("upstream_error", 502)
    assert record["error_type"] is not None
    assert_free(record)


@pytest.mark.parametrize("status", [b"302 Found", b"307 Temporary Redirect", b"308 Permanent Redirect"])
def test_a_redirect_is_an_answer_and_is_not_followed(
    relay: Relay, client: Client, upstream: Upstream, upstreams: dict[str, Upstream], status: bytes
) -> None:
    elsewhere = upstreams["cancel"]
    client.post(CHAT)
    upstream.answer(response(b"moved", b"location: " + elsewhere.url.encode(), status=status))
    answer = client.answer()
    assert (answer.status, answer.body) == (int(status[:3]), b"moved")
    assert answer.header(b"location") is None
    assert elsewhere.nobody_came()
    assert upstream.nobody_came()
    assert relay.record(client)["outcome"] == "upstream_error"


@pytest.mark.parametrize("status", [b"999 What", b"600 More"])
def test_a_status_that_is_none(relay: Relay, client: Client, upstream: Upstream, status: bytes) -> None:
    client.post(CHAT)
    upstream.answer(response(b"{}", status=status))
    assert_failed(client.answer(), relay.record(client), status=502, code="upstream_unreachable")


# No answer at all


@pytest.fixture
def hasty(make_relay: MakeRelay, make_upstream: Callable[[], Upstream]) -> Iterator[World]:
    """A relay whose upstreams each have one short limit: `first_byte`, `idle`, `total`, `long`, `connect`; `away` has none."""
    limits = {"first_byte": 0.2, "idle": 0.2, "total": 0.2}
    ours = {name: make_upstream() for name in (*limits, "long")}
    settings = [
        configured(name, ours[name].url, models=(name,), **{f"{name}_timeout_s": limit})
        for name, limit in limits.items()
    ]
    settings.append(configured("long", ours["long"].url, models=("long",), total_timeout_s=3.0))
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/v1"  # TCP connects, TLS never does
        settings.append(configured("connect", url, models=("connect",), connect_timeout_s=0.2))
        away = f"http://127.0.0.1:{gone.getsockname()[1]}/v1"
        gone.close()
        settings.append(configured("away", away, models=("away",)))
        yield World(make_relay(*settings), ours)


@pytest.mark.parametrize(
    ("model", "status", "code", "outcome"),
    [
        ("away", 502, "upstream_unreachable", "upstream_error"),
        ("connect", 504, "upstream_timeout", "timeout"),
        ("first_byte", 504, "upstream_timeout", "timeout"),
        ("total", 504, "upstream_timeout", "timeout"),
    ],
)
@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
def test_no_answer(
    hasty: World, model: str, status: int, code: str, outcome: str, body: dict[str, Any]
) -> None:
    relay = hasty.relay
    with relay.client() as client:
        client.post({**body, "model": model})
        if model in hasty.upstreams:
            hasty.upstreams[model].accept().request()
        answer = client.answer()
        record = relay.record(client)
        assert_failed(answer, record, status=status, code=code)
        assert record["outcome"] == outcome
        assert_free(record)
        assert b"sk-of" not in answer.body


@pytest.mark.parametrize("cut", ["close", "reset"])
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\ncontent-"])
def test_an_upstream_that_hangs_up_before_its_head(
    relay: Relay, client: Client, upstream: Upstream, cut: str, sent: bytes
) -> None:
    client.post(CHAT)
    peer = upstream.accept()
    peer.request()
    peer.send(sent)
    peer.close() if cut == "close" else peer.reset()
    answer, record = client.answer(), relay.record(client)
    assert_failed(answer, record, status=502, code="upstream_unreachable")
    assert record["outcome"] == "upstream_error"
    assert_free(record)
    assert upstream.nobody_came()


@pytest.mark.parametrize(
    "said",
    [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"],
)
def test_an_upstream_that_speaks_no_http(
    relay: Relay, client: Client, upstream: Upstream, said: bytes
) -> None:
    client.post(CHAT)
    upstream.answer(said)
    assert_failed(client.answer(), relay.record(client), status=502, code="upstream_unreachable")


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
