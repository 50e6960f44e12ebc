"""Streams cross event by event, byte for byte, at once; only the usage event that the relay asked for stays here."""

import json
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.relay import CHAT, STREAM, Relay
from tests.support.upstream import CHUNKED_HEAD, DONE, Upstream, chunk, delta, event, stream_head, usage_event

ASKING = {**STREAM, "stream_options": {"include_usage": True}}
EVENTS = [delta("Hel"), delta("lo"), delta(finish="stop")]
PLAIN = b"".join(EVENTS)
WHOLE = PLAIN + usage_event() + DONE

ODD_STREAMS = {
    "LF": WHOLE,
    "CRLF": WHOLE.replace(b"\n", b"\r\n"),
    "CR": WHOLE.replace(b"\n", b"\r"),
    "no space after the colon": WHOLE.replace(b"data: ", b"data:"),
    "comments": b": PROCESSING\n\n" + WHOLE.replace(b"\n\ndata", b"\n\n: keep-alive\n\ndata"),
    "blank lines": b"\n\n\n" + WHOLE,
    "named events": WHOLE.replace(b"data: {", b"event: message\nid: 1\nretry: 5\ndata: {"),
    "byte order mark": b"\xef\xbb\xbf" + WHOLE,
    "data on two lines": delta("x").replace(b',"model"', b'\ndata: ,"model"') + WHOLE,
    "garbage between": WHOLE.replace(b"\n\ndata", b"\n\nnonsense\xff\n\ndata: {broken\n\ndata"),
    "no end of line": WHOLE.rstrip(b"\n"),
    "after DONE": WHOLE + b": bye\n\n",
    "line separators in text": delta("a\u2028b\u2029c\x85d") + WHOLE,
}


@pytest.mark.parametrize("stream", ODD_STREAMS.values(), ids=ODD_STREAMS.keys())
@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_a_stream_crosses_unchanged_in_any_pieces(
    relay: Relay, client: Client, upstream: Upstream, stream: bytes, size: int
) -> None:
    client.post(ASKING)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    upstream.answer(stream_head(), *pieces)
    answer = client.answer()
    assert answer.body == stream
    record = relay.record(client)
    assert (record["outcome"], record["usage_source"], record["http_status"]) == ("ok", "provider", 200)
    assert (record["input_tokens"], record["output_tokens"], record["cost_status"]) == (9, 3, "priced")
    assert (
        len(stream) - len(b": bye\n\n") <= record["bytes_out"] <= len(stream)
    )  # settled at `[DONE]` at the earliest


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("asked", [False, True], ids=["usage hidden", "usage shown"])
def test_every_two_way_split_gives_the_same_answer(
    relay: Relay,
    upstream: Upstream,
    end: bytes,
    asked: bool,  # noqa: FBT001  (a parameter)
) -> None:
    stream = (delta("Hi", finish="stop") + usage_event() + DONE).replace(b"\n", end)
    expected = stream if asked else stream.replace(usage_event().replace(b"\n", end), b"")
    with relay.client() as client:
        for at in range(len(stream) + 1):
            client.post(ASKING if asked else STREAM)
            upstream.answer(
                CHUNKED_HEAD,
                chunk(stream[:at]) * bool(at),
                chunk(stream[at:]) + chunk(b"") * (at < len(stream)),
            )
            assert client.answer().body == expected, at
        records = relay.records(client.agent, count=len(stream) + 1)
    assert {(each["outcome"], each["usage_source"], each["output_tokens"]) for each in records} == {
        ("ok", "provider", 3)
    }
    # Settled when `[DONE]` has come; the LF of its last CRLF may come after that.
    assert {each["bytes_out"] for each in records} <= {len(expected), len(expected) + 1 - len(end)}


@pytest.mark.parametrize("body", [ASKING, STREAM], ids=["usage shown", "usage hidden"])
def test_every_event_leaves_when_it_arrives(
    relay: Relay, client: Client, upstream: Upstream, body: dict[str, Any]
) -> None:
    client.post(body)
    peer = upstream.accept()
    peer.request()
    peer.send(stream_head())
    assert client.started()[0] == 200
    for text in ("a", "b", "c"):
        peer.send(delta(text))
        assert client.read(len(delta(text))) == delta(text)
    peer.send(delta(finish="stop"))
    assert client.read(len(delta(finish="stop"))) == delta(finish="stop")
    peer.send(usage_event())
    if body is ASKING:
        assert client.read(len(usage_event())) == usage_event()
    peer.send(DONE)
    assert client.read(len(DONE)) == DONE
    record = relay.record(client)
    assert (record["outcome"], record["output_tokens"]) == ("ok", 3)
    peer.close()
    assert client.rest() == b""


def test_half_an_event_that_shows_a_choice_does_not_wait(client: Client, upstream: Upstream) -> None:
    client.post(STREAM)
    peer = upstream.accept()
    peer.request()
    first, second = delta("Hello")[:-10], delta("Hello")[-10:]
    peer.send(stream_head(), first)
    assert client.read(len(first)) == first
    peer.send(second + DONE)
    peer.close()
    assert client.rest() == second + DONE


def test_the_record_is_stored_while_the_upstream_still_holds_the_connection(
    relay: Relay, client: Client, upstream: Upstream
) -> None:
    client.post(STREAM)
    peer = upstream.accept()
    peer.request()
    peer.send(stream_head(), WHOLE)
    assert client.read(len(PLAIN + DONE)) == PLAIN + DONE
    assert relay.record(client)["outcome"] == "ok"
    peer.close()
    client.rest()


NOT_HIDDEN = {
    "usage beside a choice": delta(finish="stop", usage={"prompt_tokens": 9, "completion_tokens": 3}),
    "annotations without choices": event({"choices": [], "prompt_filter_results": [{}]}),
    "usage null without choices": event({"choices": [], "usage": None}),
    "an error without choices": event(
        {"choices": [], "usage": {"prompt_tokens": 1}, "error": {"message": "m"}}
    ),
    "choices null": event({"choices": None, "usage": {"prompt_tokens": 9, "completion_tokens": 3}}),
    "usage in a text": delta('"choices":[],"usage":{"prompt_tokens":9}'),
}


@pytest.mark.parametrize("odd", NOT_HIDDEN.values(), ids=NOT_HIDDEN.keys())
def test_only_the_extra_usage_event_is_hidden(
    relay: Relay, client: Client, upstream: Upstream, odd: bytes
) -> None:
    client.post(STREAM)
    upstream.answer(stream_head(), EVENTS[0], odd, EVENTS[2], usage_event(), DONE)
    assert client.answer().body == EVENTS[0] + odd + EVENTS[2] + DONE
    relay.record(client)


def test_usage_that_comes_though_nobody_asked_is_shown(
    relay: Relay, client: Client, upstreams: dict[str, Upstream]
) -> None:
    client.post({**STREAM, "model": "mistral-large"})
    seen = upstreams["mistral"].answer(stream_head(), WHOLE)
    assert client.answer().body == WHOLE
    assert b"stream_options" not in seen.body
    assert relay.record(client)["output_tokens"] == 3


# What the upstream calls a stream decides


def test_a_stream_nobody_asked_for_crosses_too(relay: Relay, client: Client, upstream: Upstream) -> None:
    client.post(CHAT)
    seen = upstream.answer(stream_head(content_type=b"Text/Event-Stream; charset=utf-8"), WHOLE)
    assert client.answer().body == WHOLE
    assert json.loads(seen.body) == CHAT
    record = relay.record(client)
    assert (record["outcome"], record["stream"], record["chunks"]) == ("ok", False, 4)


def test_a_stream_has_no_cost_headers_but_all_others(
    relay: Relay, client: Client, upstream: Upstream
) -> None:
    client.post(STREAM)
    upstream.answer(
        stream_head(b"x-request-id: req_7", b"openai-version: 1", b"cache-control: no-cache"), WHOLE
    )
    answer = client.answer()
    record = relay.record(client)
    assert answer.header(b"x-request-id") == str(record["request_id"]).encode()
    assert answer.header(b"x-tollkeeper-upstream") == b"gpt"
    assert (
        answer.header(b"x-tollkeeper-upstream-request-id")
        == b"req_7"
        == record["upstream_request_id"].encode()
    )
    assert answer.header(b"openai-version") == b"1"
    assert answer.header(b"cache-control") == b"no-cache"
    assert answer.header(b"content-type") == b"text/event-stream"
    assert float(answer.header(b"x-tollkeeper-overhead-ms") or -1) >= 0
    assert answer.header(b"x-tollkeeper-cost-usd") is answer.header(b"x-tollkeeper-cost-status") is None
    assert answer.header(b"content-length") is None


def test_the_figures_of_a_stream(relay: Relay, client: Client, upstream: Upstream) -> None:
    client.post({**STREAM, "n": 2})
    upstream.answer(
        stream_head(),
        *EVENTS,
        delta(finish="length").replace(b'"index":0', b'"index":1'),
        usage_event(),
        DONE,
    )
    client.answer()
    record = relay.record(client)
    assert (record["stream"], record["chunks"], record["final"], record["attempt"]) == (True, 5, True, 1)
    assert record["finish_reasons"] == ["stop", "length"]
    assert 0 <= record["ttft_ms"] <= record["duration_ms"]
    assert 0 <= record["overhead_ms"] <= record["duration_ms"]
    assert (record["response_id"], record["response_model"]) == ("chatcmpl-1", "gpt-4o-2024-08-06")
    assert record["cost_nanos"] == 9 * 2500 + 3 * 10_000
    assert json.loads(record["usage_raw"])["total_tokens"] == 12
