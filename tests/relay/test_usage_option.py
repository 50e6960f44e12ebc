"""The one option the relay adds: when, how, and what happens where an upstream refuses it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.relay.conftest import MakeRelay, MakeWorld, World
from tests.support.client import Client
from tests.support.relay import CHAT, STREAM, Relay
from tests.support.relay import upstream as configured
from tests.support.upstream import (
    COMPLETION,
    DONE,
    Received,
    Upstream,
    delta,
    response,
    stream_head,
    usage_event,
)

STREAMED = delta("Hi", finish="stop") + DONE
REFUSAL = b'{"error":{"message":"Unknown parameter: \'stream_options\'.","type":"invalid_request_error","code":null}}'
MISTRAL_REFUSAL = (
    b'{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"]}]}}'
)
BAD, UNPROCESSABLE = b"400 Bad Request", b"422 Unprocessable Entity"


@pytest.fixture(scope="module")
def world(make_world: MakeWorld) -> World:
    return make_world({"a": {}})


@pytest.fixture
def upstream(world: World) -> Iterator[Upstream]:
    yield world.upstreams["a"]
    world.upstreams["a"].forget()


@pytest.fixture
def relay(world: World) -> Relay:
    """Forgets what earlier tests taught it."""
    world.relay.on_loop(world.relay.context.refuses_stream_options.clear)
    return world.relay


def asked(request: Received) -> bool:
    """Whether a request asks for usage; everything else in it is what the client sent."""
    options = json.loads(request.body).get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


NOT_ASKED: dict[str, dict[str, Any]] = {
    "no stream": CHAT,
    "stream false": {**CHAT, "stream": False},
    "stream null": {**CHAT, "stream": None},
    "options without a stream": {**CHAT, "stream_options": {"include_usage": False}},
    "asked already": {**STREAM, "stream_options": {"include_usage": True, "include_obfuscation": False}},
}


@pytest.mark.parametrize("body", NOT_ASKED.values(), ids=NOT_ASKED.keys())
def test_the_body_goes_as_it_came(client: Client, upstream: Upstream, body: dict[str, Any]) -> None:
    text = json.dumps(body, indent=3).encode()
    client.post(text)
    assert upstream.answer(response(COMPLETION)).body == text
    assert client.answer().status == 200


@pytest.mark.parametrize(
    "options", [None, {}, {"include_usage": False}, {"include_usage": None}, {"x": [1, 2]}]
)
def test_a_stream_is_asked_for_its_usage_in_the_client_s_own_words(
    relay: Relay, client: Client, upstream: Upstream, options: Any
) -> None:
    body = {**STREAM, "temperature": 0.1, "stream_options": options, "x-unknown": ["\u00e4", 10**30]}
    client.post(body)
    seen = upstream.answer(stream_head(), STREAMED.replace(DONE, usage_event() + DONE))
    assert client.answer().body == STREAMED
    assert asked(seen)
    sent = json.loads(seen.body)
    assert {**sent, "stream_options": None} == {**body, "stream_options": None}
    assert {**(options or {}), "include_usage": True} == sent["stream_options"]
    record = relay.record(client)
    assert (record["usage_source"], record["bytes_in"]) == ("provider", len(json.dumps(body)))


@pytest.mark.parametrize(
    ("status", "refusal"), [(BAD, REFUSAL), (UNPROCESSABLE, MISTRAL_REFUSAL), (BAD, b"stream_options?")]
)
def test_a_refused_option_is_left_out_once_and_for_all(
    relay: Relay, client: Client, upstream: Upstream, status: bytes, refusal: bytes
) -> None:
    client.post(STREAM)
    assert asked(upstream.answer(response(refusal, b"x-request-id: one", status=status)))
    again = upstream.answer(stream_head(b"x-request-id: two"), STREAMED)
    assert json.loads(again.body) == STREAM
    answer = client.answer()
    assert (answer.status, answer.body) == (200, STREAMED)
    first, second = relay.records(client.agent, count=2)
    assert first["request_id"] == second["request_id"]
    assert str(first["request_id"]).encode() == answer.header(b"x-request-id")
    told = (first["attempt"], first["final"], first["outcome"], first["http_status"])
    assert told == (1, False, "upstream_error", int(status[:3]))
    assert (first["cost_nanos"], first["cost_status"], first["usage_source"]) == (0, "free", "none")
    assert (second["attempt"], second["final"], second["outcome"], second["http_status"]) == (
        2,
        True,
        "ok",
        200,
    )
    assert (first["upstream_request_id"], second["upstream_request_id"]) == ("one", "two")
    assert (second["usage_source"], second["input_tokens"] > 0) == ("estimated", True)
    assert first["bytes_in"] == second["bytes_in"] == len(json.dumps(STREAM))

    client.post(STREAM)
    assert json.loads(upstream.answer(stream_head(), STREAMED).body) == STREAM
    assert client.answer().body == STREAMED
    assert len(relay.records(client.agent, count=3)) == 3


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (BAD, b'{"error":{"message":"`temperature` is too high"}}'),
        (b"401 Unauthorized", REFUSAL),
        (b"404 Not Found", REFUSAL),
        (b"500 Internal Server Error", REFUSAL),
    ],
)
def test_any_other_error_is_the_answer(
    relay: Relay, client: Client, upstream: Upstream, status: bytes, body: bytes
) -> None:
    client.post(STREAM)
    upstream.answer(response(body, status=status))
    answer = client.answer()
    assert (answer.status, answer.body) == (int(status[:3]), body)
    assert upstream.nobody_came()
    assert relay.record(client)["outcome"] == "upstream_error"
    assert not relay.context.refuses_stream_options


def test_a_second_refusal_is_the_answer_and_teaches_nothing(
    relay: Relay, client: Client, upstream: Upstream
) -> None:
    """A client that provokes such an answer must not make the relay stop asking for everybody's usage."""
    body = {**STREAM, "stream_options": {"include_usage": False, "evil": 1}}
    client.post(body)
    for expected in (True, False):
        assert asked(upstream.answer(response(REFUSAL, status=BAD))) is expected
    answer = client.answer()
    assert (answer.status, answer.body) == (400, REFUSAL)
    first, second = relay.records(client.agent, count=2)
    assert [(each["attempt"], each["final"]) for each in (first, second)] == [(1, False), (2, True)]
    client.post(STREAM)
    assert asked(upstream.answer(stream_head(), STREAMED))
    client.answer()


def test_an_error_about_the_client_s_own_options_is_the_answer(client: Client, upstream: Upstream) -> None:
    client.post({**STREAM, "stream_options": {"include_usage": True}})
    upstream.answer(response(REFUSAL, status=BAD))
    assert client.answer().body == REFUSAL
    assert upstream.nobody_came()


def test_a_stream_of_json_instead_of_events_is_the_answer(
    relay: Relay, client: Client, upstream: Upstream
) -> None:
    client.post(STREAM)
    upstream.answer(response(COMPLETION))
    answer = client.answer()
    assert answer.body == COMPLETION
    assert answer.header(b"x-tollkeeper-cost-status") == b"priced"
    assert relay.record(client)["usage_source"] == "provider"


@pytest.mark.parametrize("provider", ["mistral", "mistralai", "openrouter", "perplexity"])
def test_some_providers_are_never_asked(
    make_relay: MakeRelay, make_upstream: Callable[[], Upstream], provider: str
) -> None:
    upstream = make_upstream()
    relay = make_relay(configured("m", upstream.url, provider=provider))
    with relay.client() as client:
        client.post(STREAM)
        assert json.loads(upstream.answer(stream_head(), STREAMED).body) == STREAM
        client.answer()
