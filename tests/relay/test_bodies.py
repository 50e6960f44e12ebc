"""Request bodies that are too long, too slow, not whole, encoded, or framed in unusual ways."""

import json
from collections.abc import Iterator

import pytest

from tests.relay.conftest import MakeRelay, MakeWorld, World
from tests.relay.test_refusals import assert_refused
from tests.support.client import CutError
from tests.support.relay import CHAT, Relay
from tests.support.relay import upstream as configured
from tests.support.upstream import COMPLETION, Upstream, chunk, response

LIMIT = 4096
BODY = json.dumps(CHAT).encode()
CHUNKED = b"transfer-encoding: chunked"


@pytest.fixture(scope="module")
def world(make_world: MakeWorld) -> World:
    """A relay that takes short bodies only."""
    return make_world({"a": {}}, max_body_bytes=LIMIT)


@pytest.fixture
def narrow(world: World) -> Relay:
    return world.relay


@pytest.fixture
def upstream(world: World) -> Iterator[Upstream]:
    yield world.upstreams["a"]
    world.upstreams["a"].forget()


def padded(size: int) -> bytes:
    return BODY + b" " * (size - len(BODY))


@pytest.mark.parametrize("framing", ["declared", "chunked", "chunked, slowly"])
def test_a_body_over_the_limit(narrow: Relay, upstream: Upstream, framing: str) -> None:
    body = padded(LIMIT + 1)
    with narrow.client() as client:
        if framing == "declared":
            client.send(client.head(b"content-length: %d" % len(body)))
        else:
            pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
            client.send(client.head(CHUNKED), *map(chunk, pieces if "slowly" in framing else [body]))
        answer = client.answer()
        record = narrow.record(client)
    assert_refused(answer, record, status=413, kind="invalid_request_error", code="request_too_large")
    assert str(LIMIT) in answer.error["message"]
    assert record["outcome"] == "rejected_request"
    assert upstream.nobody_came()


@pytest.mark.parametrize("framing", ["declared", "chunked"])
def test_a_body_of_just_the_limit(narrow: Relay, upstream: Upstream, framing: str) -> None:
    body = padded(LIMIT)
    with narrow.client() as client:
        if framing == "declared":
            client.post(body)
        else:
            client.send(client.head(CHUNKED), chunk(body[:100]), chunk(body[100:]), chunk(b""))
        seen = upstream.answer(response(COMPLETION))
        assert client.answer().status == 200
        assert narrow.record(client)["bytes_in"] == LIMIT
    assert seen.body == body
    assert seen.values(b"content-length") == [b"%d" % LIMIT]
    assert seen.values(b"transfer-encoding") == []


def test_the_rest_of_a_refused_body_is_no_request(narrow: Relay) -> None:
    hidden = b"GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n"
    body = hidden * (1 + LIMIT // len(hidden))
    with narrow.client() as client:
        assert client.post(body).answer().status == 413
        assert client.post(b"{").answer().status == 400
        assert [each["http_status"] for each in narrow.records(client.agent, count=2)] == [413, 400]


@pytest.mark.parametrize("sent", [b"", b'{"model"'])
def test_a_slow_body(make_relay: MakeRelay, upstream: Upstream, sent: bytes) -> None:
    relay = make_relay(configured("a", upstream.url), body_timeout_s=0.2)
    with relay.client() as client:
        client.send(client.head(b"content-length: 100"), sent)
        answer = client.answer()
        record = relay.record(client)
        assert_refused(answer, record, status=408, kind="invalid_request_error", code="request_timeout")
        assert answer.header(b"connection") == b"close"
        assert record["outcome"] == "rejected_request"
        with pytest.raises(CutError):
            client.get(b"/v1/models")


@pytest.mark.parametrize("framing", [b"content-length: 100", CHUNKED])
@pytest.mark.parametrize("sent", [b"", b"5\r\n{    \r\n"])
def test_a_client_that_leaves_within_its_body(
    narrow: Relay, upstream: Upstream, framing: bytes, sent: bytes
) -> None:
    with narrow.client() as client:
        client.send(client.head(framing), sent)
    record = narrow.record(client)
    assert (record["outcome"], record["http_status"]) == ("client_disconnect", None)
    assert (record["cost_nanos"], record["cost_status"]) == (0, "free")
    assert record["key_name"] == "test"
    assert upstream.nobody_came()


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd", b"identity, gzip", b"nonsense"])
def test_an_encoded_body_is_refused(narrow: Relay, upstream: Upstream, coding: bytes) -> None:
    with narrow.client() as client:
        answer = client.post(BODY, b"content-encoding: " + coding).answer()
        record = narrow.record(client)
    assert_refused(answer, record, status=400, kind="invalid_request_error", code=None)
    assert "Content-Encoding" in answer.error["message"]
    assert upstream.nobody_came()


def test_identity_is_no_encoding(narrow: Relay, upstream: Upstream) -> None:
    with narrow.client() as client:
        client.post(BODY, b"content-encoding: Identity")
        seen = upstream.answer(response(COMPLETION))
        assert client.answer().status == 200
    assert seen.values(b"content-encoding") == []


@pytest.mark.parametrize(
    "content_type", [b"text/plain", b"application/json; charset=latin-1", b"multipart/form-data"]
)
def test_the_content_type_of_a_request_is_ours_upstream(
    narrow: Relay, upstream: Upstream, content_type: bytes
) -> None:
    with narrow.client() as client:
        client.send(client.head(b"content-type: " + content_type, b"content-length: %d" % len(BODY)) + BODY)
        seen = upstream.answer(response(COMPLETION))
        assert client.answer().status == 200
    assert seen.values(b"content-type") == [b"application/json"]


def test_a_client_that_waits_to_be_asked_for_its_body(narrow: Relay, upstream: Upstream) -> None:
    with narrow.client() as client:
        client.send(client.head(b"expect: 100-continue", b"content-length: %d" % len(BODY)))
        assert client._socket.recv(len(b"HTTP/1.1 100 Continue\r\n\r\n")) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(BODY)
        seen = upstream.answer(response(COMPLETION))
        assert client.answer().status == 200
    assert seen.values(b"expect") == []


def test_two_requests_in_one_segment(narrow: Relay, upstream: Upstream) -> None:
    with narrow.client() as client:
        whole = client.head(b"content-length: %d" % len(BODY)) + BODY
        client.send(whole + whole)
        upstream.answer(response(b'{"first":1}'))
        upstream.answer(response(b'{"second":2}'))
        answers = client._socket.recv(65536)
        while answers.count(b"HTTP/1.1 200") < 2 or not answers.endswith(b"}"):
            answers += client._socket.recv(65536)
        assert answers.index(b'{"first":1}') < answers.index(b'{"second":2}')
        assert len(narrow.records(client.agent, count=2)) == 2
