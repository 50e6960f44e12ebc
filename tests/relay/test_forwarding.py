"""What goes upstream and what comes back, byte for byte, and what never crosses."""

import json
from collections.abc import Callable

import pytest

from tests.relay.conftest import MakeRelay
from tests.support.client import Client
from tests.support.relay import CHAT, STREAM, Relay
from tests.support.relay import upstream as configured
from tests.support.upstream import COMPLETION, DONE, Upstream, delta, response, stream_head, usage_event

MESSAGES = b'"messages":[{"role":"user","content":"\\u00e4\\ud83d\\ude42 \xc3\xa4\xf0\x9f\x99\x82\\/"}]'
BODIES = {
    "white space": b' \r\n{ "model" :\t"gpt-4o",%b , "x" : [ ] }\n\n' % MESSAGES,
    "order": b'{"zzz":1,%b,"model":"gpt-4o","aaa":2}' % MESSAGES,
    "escaped name": b'{"mod\\u0065l":"gpt-4o",%b}' % MESSAGES,
    "escaped model": b'{"model":"gpt\\u002d4o",%b}' % MESSAGES,
    "unknown members": b'{"model":"gpt-4o",%b,"x":{"y":[null,true,{"z":{}}]},"x":2}' % MESSAGES,
    "big numbers": b'{"model":"gpt-4o",%b,"seed":%b,"x":1.0000000000000000000000001e-300}' % (MESSAGES, b"9" * 40),
    "every member of the contract": b'{"model":"gpt-4o",%b,"temperature":2,"top_p":0.5,"n":1,"stop":["a"],"tools":[],'
    b'"tool_choice":"none","response_format":{"type":"text"},"logit_bias":{"1":-100},"user":"u","reasoning_effort":"minimal",'
    b'"modalities":["text"],"stream":false,"max_tokens":1,"max_completion_tokens":1,"metadata":{"a":"b"}}' % MESSAGES,
    "odd messages": b'{"model":"gpt-4o","messages":[{"role":"assistant","content":null,"tool_calls":[]},{"role":"x"}]}',
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_request_goes_upstream_as_it_came(
    relay: Relay, client: Client, upstream: Upstream, body: bytes
) -> None:
    client.post(body)
    seen = upstream.answer(response(COMPLETION))
    assert client.answer().status == 200
    assert seen.line == b"POST /v1/chat/completions HTTP/1.1"
    assert seen.body == body
    assert seen.values(b"content-length") == [b"%d" % len(body)]
    record = relay.record(client)
    assert (record["requested_model"], record["upstream_model"]) == ("gpt-4o", "gpt-4o")
    assert record["bytes_in"] == len(body)


ANSWERS = {
    "pretty": json.dumps(json.loads(COMPLETION), indent=4).encode() + b"\n\n",
    "blank lines before": b"\n\n \n" + COMPLETION,
    "escapes": COMPLETION.replace(b'"Hi"', b'"\\u0048i\\/ \xf0\x9f\x99\x82"'),
    "byte order mark": b"\xef\xbb\xbf" + COMPLETION,
    "two objects": COMPLETION + COMPLETION,
    "one byte": b"1",
}


@pytest.mark.parametrize("said", ANSWERS.values(), ids=ANSWERS.keys())
@pytest.mark.parametrize("size", [1, 100, 1_000_000])
def test_an_answer_comes_back_as_it_was(
    relay: Relay, client: Client, upstream: Upstream, said: bytes, size: int
) -> None:
    client.post(CHAT)
    whole = response(said)
    upstream.answer(*[whole[at : at + size] for at in range(0, len(whole), size)])
    answer = client.answer()
    assert answer.body == said
    assert answer.header(b"content-length") == b"%d" % len(said)
    assert relay.record(client)["bytes_out"] == len(said)


@pytest.mark.parametrize(
    "status", [b"200 OK", b"201 Created", b"202 Accepted", b"204 No Content", b"206 Part"]
)
def test_any_status_of_success_is_ok(relay: Relay, client: Client, upstream: Upstream, status: bytes) -> None:
    client.post(CHAT)
    upstream.answer(response(b"" if status[:3] == b"204" else COMPLETION, status=status))
    assert client.answer().status == int(status[:3])
    assert relay.record(client)["outcome"] == "ok"


def test_connections_are_used_again_on_both_sides(relay: Relay, client: Client, upstream: Upstream) -> None:
    client.post(CHAT)
    peer = upstream.accept()
    kept = response(COMPLETION).replace(b"connection: close\r\n", b"")
    for _ in range(3):
        peer.request()
        peer.send(kept)
        assert client.answer().body == COMPLETION
        client.post(CHAT)
    peer.answer(response(COMPLETION))
    client.answer()
    assert upstream.nobody_came()
    assert len(relay.records(client.agent, count=4)) == 4


# Who asks, from where, for whom


def test_attribution_in_the_record(relay: Relay, client: Client, upstream: Upstream) -> None:
    body = {**CHAT, "user": "body-user", "metadata": {"team": "blue", "n": 1}}
    client.post(
        body,
        b"x-session-id: s-1",
        b"x-litellm-tags: batch, nightly",
        b"helicone-property-env: prod",
        b"x-litellm-end-user-id: caf\xc3\xa9",
    )
    seen = upstream.answer(response(COMPLETION))
    client.answer()
    record = relay.record(client)
    assert (record["end_user"], record["session"]) == ("café", "s-1")
    assert record["tags"] == ["env:prod", "batch", "nightly", "team:blue", "n:1"]
    assert json.loads(seen.body) == body


def test_control_characters_in_what_a_client_says_are_stored_harmlessly(
    relay: Relay, client: Client, upstream: Upstream
) -> None:
    client.post(
        {**CHAT, "user": "a\x00b\ud83d\ude42\r\n", "metadata": {"session_id": "\x00", "k": "\udbff\udfff"}}
    )
    upstream.answer(response(COMPLETION))
    client.answer()
    record = relay.record(client)
    assert (record["end_user"], record["session"]) == ("a�b🙂\r\n", "�")


ADDRESSES = [
    ((), b"1.2.3.4", "127.0.0.1"),
    (("10.0.0.0/8",), b"1.2.3.4", "127.0.0.1"),
    (("127.0.0.0/8",), b"1.2.3.4", "1.2.3.4"),
    (("127.0.0.0/8",), b"9.9.9.9, 1.2.3.4", "1.2.3.4"),
    (("127.0.0.0/8", "10.0.0.0/8"), b"6.6.6.6, 1.2.3.4, 10.1.1.1", "1.2.3.4"),
    (("127.0.0.0/8", "10.0.0.0/8"), b"10.0.0.1,10.1.1.1", "10.0.0.1"),
    (("127.0.0.0/8",), b"evil, <script>", "127.0.0.1"),
    (("127.0.0.0/8",), b"", "127.0.0.1"),
    (("127.0.0.0/8",), b"2001:db8::1", "2001:db8::1"),
    (("127.0.0.0/8", "10.0.0.0/8"), b"1.2.3.4, ::ffff:10.0.0.1", "1.2.3.4"),
]


@pytest.mark.parametrize(("trusted", "forwarded", "address"), ADDRESSES, ids=range(len(ADDRESSES)))
def test_the_address_of_the_client(
    make_relay: MakeRelay,
    make_upstream: Callable[[], Upstream],
    trusted: tuple[str, ...],
    forwarded: bytes,
    address: str,
) -> None:
    relay = make_relay(configured("a", make_upstream().url), trusted_proxies=trusted)
    with relay.client() as client:
        assert client.post(b"{", b"x-forwarded-for: " + forwarded).answer().status == 400
        assert relay.record(client)["client_address"] == address


def test_the_figures_of_a_whole_answer(relay: Relay, client: Client, upstream: Upstream) -> None:
    client.post({**STREAM, "stream": False})
    upstream.answer(response(COMPLETION, b"x-request-id: req_1"))
    client.answer()
    record = relay.record(client)
    assert (record["stream"], record["chunks"], record["ttft_ms"]) == (False, None, None)
    assert (record["attempt"], record["final"], record["repeat_count"]) == (1, True, 1)
    assert (record["upstream"], record["provider"], record["upstream_request_id"]) == (
        "gpt",
        "openai",
        "req_1",
    )
    assert record["id"] == record["request_id"]
    assert record["finish_reasons"] == ["stop"]
    assert record["price_id"] is not None
    assert sum(line["cost_nanos"] for line in record["cost_lines"]) == record["cost_nanos"]
    assert record["duration_ms"] > 0


def test_a_stream_s_usage_event_is_not_counted_as_sent(
    relay: Relay, client: Client, upstream: Upstream
) -> None:
    client.post(STREAM)
    upstream.answer(stream_head(), delta(finish="stop"), usage_event(), DONE)
    shown = client.answer().body
    assert relay.record(client)["bytes_out"] == len(shown)


def test_a_mapped_model_goes_under_the_upstreams_own_name(
    make_relay: MakeRelay, make_upstream: Callable[[], Upstream]
) -> None:
    upstream = make_upstream()
    relay = make_relay(configured("azure", upstream.url, models=("gpt-*",), model_map={"gpt-4o": "eu-4o"}))
    with relay.client() as client:
        client.post(b'{"model":"gpt-4o", "messages" : [{"role":"user","content":"gpt-4o?"}]}')
        seen = upstream.answer(response(COMPLETION))
        assert client.answer().status == 200
        assert seen.body == b'{"model":"eu-4o", "messages" : [{"role":"user","content":"gpt-4o?"}]}'
        record = relay.record(client)
    assert (record["requested_model"], record["upstream_model"]) == ("gpt-4o", "eu-4o")
