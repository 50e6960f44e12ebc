"""How answers can fail: what the client is told, and what the books say."""

from typing import Any

import pytest

from tests.relay.conftest import World
from tests.relay.test_refusals import UUID7
from tests.support.client import Answer, Client
from tests.support.relay import CHAT, STREAM, Relay
from tests.support.upstream import (
    DONE,
    Upstream,
    delta,
    event,
    response,
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
