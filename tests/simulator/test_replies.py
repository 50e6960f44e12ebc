"""Every fault bends the answer exactly as its name says, and in no other way."""

import gzip
import json
import zlib
from typing import Any

import msgspec
import pytest
from openai._streaming import SSEDecoder

from service.simulator import wire
from service.simulator.answers import Answer
from service.simulator.faults import PLAIN, Fault, parse
from service.simulator.replies import (
    Cut,
    Drop,
    Reply,
    Send,
    Stall,
    Step,
    body_reply,
    fault_refusal,
    refusal_reply,
    stream_reply,
)
from tests.simulator.making import answer_to, request_for

ANSWER = answer_to(request_for(seed=1))
FRAMES = [frame.payload.decode() for frame in wire.frames(ANSWER, usage="final")]


def fault(name: str) -> Fault:
    magic = parse(name)
    assert magic is not None
    return magic.fault


def sent(reply: Reply) -> tuple[bytes, list[Step]]:
    """All bytes of a reply, and the steps that were no bytes."""
    steps = list(reply.steps)
    data = b"".join(step.data for step in steps if isinstance(step, Send))
    return data, [step for step in steps if not isinstance(step, Send)]


def streamed(name: str, *, answer: Answer = ANSWER, include_usage: bool = True) -> tuple[bytes, list[Step]]:
    return sent(stream_reply(answer, include_usage=include_usage, fault=fault(name)))


def payloads(data: bytes) -> list[str]:
    """What the SDK's decoder makes of an event stream."""
    return [event.data for event in SSEDecoder().iter_bytes(iter([data])) if event.data]


@pytest.mark.parametrize(
    "name",
    ["sim-plain", "sim-crlf", "sim-cr", "sim-no-space", "sim-comments", "sim-blank-lines", "sim-bytewise"],
)
def test_framing_faults_change_no_payload(name: str) -> None:
    data, others = streamed(name)
    assert payloads(data) == FRAMES
    assert others == []


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("sim-crlf", b'"usage":null}\r\n\r\ndata: {'),
        ("sim-cr", b'"usage":null}\r\rdata: {'),
        ("sim-no-space", b'"usage":null}\n\ndata:{'),
        ("sim-comments", b": PROCESSING\n\ndata: {"),
        ("sim-blank-lines", b"\n\ndata: {"),
    ],
)
def test_framing_faults_are_on_the_wire(name: str, part: bytes) -> None:
    plain, _ = streamed("sim-plain")
    data, _ = streamed(name)
    assert part in data
    assert data != plain


@pytest.mark.parametrize(("name", "size"), [("sim-bytewise", 1), ("sim-bytewise-7", 7)])
def test_bytewise_sends_so_many_bytes_at_most(name: str, size: int) -> None:
    for reply in (
        stream_reply(ANSWER, include_usage=False, fault=fault(name)),
        body_reply(ANSWER, fault=fault(name)),
    ):
        sizes = {len(step.data) for step in reply.steps if isinstance(step, Send)}
        assert max(sizes) == size


@pytest.mark.parametrize(
    ("name", "last"), [("sim-cut-3", Cut()), ("sim-stall-3", Stall()), ("sim-cut-0", Cut())]
)
def test_a_break_comes_after_so_many_events(name: str, last: Step) -> None:
    data, others = streamed(name)
    assert payloads(data) == FRAMES[: int(name[-1])]
    assert others == [last]


@pytest.mark.parametrize("name", ["sim-cut", "sim-stall", "sim-error-event"])
def test_a_break_comes_before_the_finish_even_in_a_short_answer(name: str) -> None:
    short = answer_to(request_for(max_tokens=1))
    data, _ = streamed(name, answer=short)
    assert b'"finish_reason":"' not in data
    assert b"[DONE]" not in data


def test_an_error_event_ends_the_stream_under_200() -> None:
    data, others = streamed("sim-error-event-2")
    *before, last = payloads(data)
    assert before == FRAMES[:2]
    assert json.loads(last)["error"]["type"] == "server_error"
    assert others == []


def test_malformed_json_is_one_event_more() -> None:
    data, _ = streamed("sim-malformed-json-4")
    events = payloads(data)
    broken = events.pop(4)
    assert events == FRAMES
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken)


def test_without_done_the_rest_is_whole() -> None:
    data, _ = streamed("sim-no-done")
    assert payloads(data) == FRAMES[:-1]


@pytest.mark.parametrize(("name", "kib"), [("sim-big-event", 1024), ("sim-big-event-64", 64)])
def test_a_big_event_is_big_once(name: str, kib: int) -> None:
    data, _ = streamed(name)
    sizes = sorted(map(len, payloads(data)))
    assert sizes[-1] > kib * 1024 > sizes[-2]
    body, _ = sent(body_reply(ANSWER, fault=fault(name)))
    assert len(body) > kib * 1024
    json.loads(body)


@pytest.mark.parametrize(
    ("name", "include_usage", "usages"),
    [
        ("sim-plain", True, [ANSWER.usage]),
        ("sim-plain", False, []),
        ("sim-no-usage", True, []),
        ("sim-usage-null", True, []),
        ("sim-usage-null", False, []),
        ("sim-usage-last-chunk", False, [ANSWER.usage]),
        ("sim-refuse-stream-options", False, []),
    ],
)
def test_usage_in_a_stream(name: str, include_usage: bool, usages: list[Any]) -> None:  # noqa: FBT001  a table column
    data, _ = streamed(name, include_usage=include_usage)
    chunks = [json.loads(payload) for payload in payloads(data)[:-1]]
    assert [chunk["usage"] for chunk in chunks if chunk.get("usage")] == usages


@pytest.mark.parametrize(
    ("name", "expected"), [("sim-plain", ANSWER.usage), ("sim-usage-null", None), ("sim-no-usage", "absent")]
)
def test_usage_in_a_body(name: str, expected: Any) -> None:
    data, _ = sent(body_reply(ANSWER, fault=fault(name)))
    assert json.loads(data).get("usage", "absent") == expected


def test_gzip_is_readable_event_by_event() -> None:
    reply = stream_reply(ANSWER, include_usage=True, fault=fault("sim-gzip"))
    assert (b"content-encoding", b"gzip") in reply.headers
    unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    events = [unpack.decompress(step.data) for step in reply.steps if isinstance(step, Send)]
    assert [payloads(event)[0] for event in events if event] == FRAMES
    assert unpack.eof


def test_a_gzip_stream_can_break_too() -> None:
    bent = msgspec.structs.replace(fault("sim-gzip"), break_with="cut")
    assert sent(stream_reply(ANSWER, include_usage=True, fault=bent))[1] == [Cut()]


def test_a_gzip_body_is_the_body() -> None:
    data, _ = sent(body_reply(ANSWER, fault=fault("sim-gzip")))
    assert json.loads(gzip.decompress(data))["id"] == ANSWER.id


@pytest.mark.parametrize(
    ("name", "last"), [("sim-cut", Cut()), ("sim-truncated-body", Cut()), ("sim-stall", Stall())]
)
def test_a_body_breaks_in_the_middle(name: str, last: Step) -> None:
    whole, _ = sent(body_reply(ANSWER, fault=PLAIN))
    reply = body_reply(ANSWER, fault=fault(name))
    data, others = sent(reply)
    assert data == whole[: len(whole) // 2]
    assert others == [last]
    promised = dict(reply.headers).get(b"content-length")
    assert promised == (None if name == "sim-cut" else b"%d" % len(whole))


def test_a_dropped_connection_has_no_head() -> None:
    assert next(body_reply(ANSWER, fault=fault("sim-drop")).steps) == Drop()
    assert next(stream_reply(ANSWER, include_usage=False, fault=fault("sim-drop")).steps) == Drop()


def test_a_malformed_body_is_no_json() -> None:
    data, _ = sent(body_reply(ANSWER, fault=fault("sim-malformed-json")))
    with pytest.raises(json.JSONDecodeError):
        json.loads(data)


def test_an_error_can_be_a_body_under_200() -> None:
    reply = body_reply(ANSWER, fault=fault("sim-error-event"))
    assert reply.status == 200
    assert set(json.loads(sent(reply)[0])) == {"error"}


def test_blank_lines_stand_before_a_body_too() -> None:
    data, _ = sent(body_reply(ANSWER, fault=fault("sim-blank-lines")))
    assert data.startswith(b"\n\n{")
    assert sent(body_reply(ANSWER, fault=fault("sim-comments")))[0].startswith(b"{")


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("sim-error", 500, None),
        ("sim-error-400", 400, None),
        ("sim-error-401", 401, "invalid_api_key"),
        ("sim-error-418", 418, None),
        ("sim-error-429", 429, "rate_limit_exceeded"),
        ("sim-error-503", 503, "overloaded"),
        ("sim-error-599", 599, None),
        ("sim-quota", 429, "insufficient_quota"),
        ("sim-redirect", 307, None),
    ],
)
def test_a_status_fault_is_an_error_answer(name: str, status: int, code: str | None) -> None:
    refusal = fault_refusal(request_for(), fault=fault(name))
    assert refusal is not None
    reply = refusal_reply(refusal, fault=fault(name))
    error = json.loads(sent(reply)[0])["error"]
    assert (reply.status, error["code"]) == (status, code)
    assert set(error) == {"message", "type", "param", "code"}
    assert (b"retry-after" in dict(reply.headers)) == (code == "rate_limit_exceeded")


def test_an_html_error_is_html() -> None:
    bent = fault("sim-html-error-504")
    refusal = fault_refusal(request_for(), fault=bent)
    assert refusal is not None
    reply = refusal_reply(refusal, fault=bent)
    assert (reply.status, dict(reply.headers)[b"content-type"]) == (504, b"text/html")
    assert b"<title>504</title>" in sent(reply)[0]


def test_stream_options_are_refused_by_name() -> None:
    bent = fault("sim-refuse-stream-options")
    with_options = request_for(stream=True, stream_options={"include_usage": True})
    refusal = fault_refusal(with_options, fault=bent)
    assert refusal is not None
    assert (refusal.status, refusal.param) == (400, "stream_options")
    assert fault_refusal(request_for(stream=True), fault=bent) is None


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("sim-set-cookie", [b"set-cookie", b"set-cookie"]),
        ("sim-odd-headers", [b"openai-warning", b"openai-warning", b"openai-note", b"connection", b"x-hop"]),
    ],
)
def test_header_faults_add_headers(name: str, headers: list[bytes]) -> None:
    for reply in (
        stream_reply(ANSWER, include_usage=False, fault=fault(name)),
        body_reply(ANSWER, fault=fault(name)),
    ):
        assert [key for key, _ in reply.headers if key in set(headers)] == headers


@pytest.mark.parametrize(
    ("name", "head_ms", "gap_ms"),
    [("sim-slow-first-byte-40", 40, 0), ("sim-hang", 3_600_000, 0), ("sim-slow-stream-9", 0, 9)],
)
def test_delays_are_part_of_the_reply(name: str, head_ms: int, gap_ms: int) -> None:
    reply = stream_reply(ANSWER, include_usage=False, fault=fault(name))
    assert (reply.head_delay_ms, reply.gap_ms) == (head_ms, gap_ms)


def test_reasoning_takes_time_before_the_head_of_a_stream_only() -> None:
    thoughtful = answer_to(request_for(model="gpt-5"))
    reasoning = thoughtful.choices[0].reasoning_tokens
    assert stream_reply(thoughtful, include_usage=False, fault=PLAIN).hidden_tokens == reasoning
    reply = body_reply(thoughtful, fault=PLAIN)
    assert reply.hidden_tokens == 0
    assert next(reply.steps) == Send(
        msgspec.json.encode(wire.body(thoughtful)), thoughtful.usage["completion_tokens"]
    )
