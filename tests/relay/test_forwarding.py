"""What goes upstream and what comes back, byte for byte, and what never crosses."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.relay.conftest import MakeRelay
from tests.support.relay import CHAT, STREAM, Client, Relay
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


# Headers


def test_exactly_these_headers_go_upstream(relay: Relay, client: Client, upstream: Upstream) -> None:
    client.post(
        CHAT,
        b"Cookie: session=secret",
        b"X-Forwarded-For: 1.2.3.4",
        b"X-Forwarded-Host: evil.example",
        b"X-Real-IP: 1.2.3.4",
        b"Forwarded: for=1.2.3.4",
        b"Proxy-Authorization: Basic eA==",
        b"Api-Key: evil",
        b"X-Api-Key: evil",
        b"OpenAI-Organization: org-evil",
        b"Accept: application/json",
        b"Accept-Encoding: gzip, br",
        b"Accept-Language: de",
        b"OpenAI-Beta: assistants=v2",
        b"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"X-Request-Id: theirs",
        b"Connection: keep-alive, Accept-Language",
        b"Keep-Alive: timeout=5",
        b"TE: trailers",
        b"X-Stainless-Lang: python",
        b"X-Session-Id: s",
        b"X-Anything: else",
        b"Via: 1.1 a",
    )
    seen = upstream.answer(response(COMPLETION))
    client.answer()
    record = relay.record(client)
    assert dict(seen.headers) == {
        b"host": b"127.0.0.1:%d" % upstream.port,
        b"user-agent": client.agent.encode(),
        b"accept": b"application/json",
        b"openai-beta": b"assistants=v2",
        b"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"content-type": b"application/json",
        b"accept-encoding": b"identity",
        b"x-request-id": str(record["id"]).encode(),
        b"authorization": b"Bearer sk-of-gpt",
        b"content-length": b"%d" % len(seen.body),
    }
    assert len(seen.headers) == 10


@pytest.mark.parametrize("kind", ["whole", "stream", "error"])
def test_exactly_these_headers_come_back(relay: Relay, client: Client, upstream: Upstream, kind: str) -> None:
    sent = (
        b"Set-Cookie: __cf_bm=1; HttpOnly",
        b"Set-Cookie: b=2",
        b"Server: cloudflare",
        b"CF-Ray: 1",
        b"Strict-Transport-Security: max-age=1",
        b"X-RateLimit-Remaining-Tokens: 1",
        b"X-Tollkeeper-Cost-Usd: 0",
        b"Access-Control-Allow-Origin: *",
        b"X-Request-Id: req_1",
        b"OpenAI-Version: 2020-10-01",
        b"openai-processing-ms: 5",
        b"openai-note: caf\xc3\xa9",
        b"Cache-Control: no-store",
        b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
        b"Content-Language: de",
    )
    client.post(STREAM if kind == "stream" else CHAT)
    match kind:
        case "whole":
            upstream.answer(response(COMPLETION, *sent))
        case "stream":
            upstream.answer(stream_head(*sent), delta(finish="stop"), DONE)
        case "error":
            upstream.answer(response(b"{}", *sent, status=b"500 No"))
    answer = client.answer()
    relay.record(client)
    ours = {
        b"date",
        b"x-request-id",
        b"x-tollkeeper-upstream",
        b"x-tollkeeper-upstream-request-id",
        b"x-tollkeeper-overhead-ms",
        b"transfer-encoding" if kind == "stream" else b"content-length",
    }
    if kind == "whole":
        ours |= {b"x-tollkeeper-cost-usd", b"x-tollkeeper-cost-status"}
    theirs = {b"content-type", b"openai-version", b"openai-processing-ms", b"openai-note", b"cache-control"}
    assert {name for name, _ in answer.headers} == ours | theirs
    assert len(answer.headers) == len(ours | theirs)
    assert answer.header(b"openai-note") == b"caf\xc3\xa9"
    assert b"1970" not in (answer.header(b"date") or b"")


def test_hop_by_hop_headers_stay_on_their_hop(client: Client, upstream: Upstream) -> None:
    client.post(CHAT)
    kept = response(COMPLETION, b"openai-hop: 1", b"keep-alive: timeout=5").replace(
        b"connection: close", b"connection: openai-hop"
    )
    upstream.answer(kept)
    answer = client.answer()
    assert (
        answer.header(b"openai-hop") is answer.header(b"connection") is answer.header(b"keep-alive") is None
    )


@pytest.mark.parametrize("kind", [CHAT, STREAM], ids=["whole", "stream"])
def test_the_cost_headers_equal_the_record(
    relay: Relay, client: Client, upstream: Upstream, kind: dict[str, Any]
) -> None:
    client.post(kind)
    upstream.answer(response(COMPLETION))
    answer = client.answer()
    record = relay.record(client)
    assert answer.header(b"x-tollkeeper-cost-usd") == b"0.0000525"
    assert record["cost_nanos"] == 52_500
    assert answer.header(b"x-tollkeeper-cost-status") == record["cost_status"].encode() == b"priced"
    assert float(answer.header(b"x-tollkeeper-overhead-ms") or -1) >= 0
    assert 0 <= record["overhead_ms"] <= record["duration_ms"]


def test_an_unpriced_answer_says_so(relay: Relay, client: Client, upstream: Upstream) -> None:
    client.post({**CHAT, "model": "gpt-nobody-knows"})
    upstream.answer(response(COMPLETION.replace(b"gpt-4o-2024-08-06", b"gpt-nobody-knows")))
    answer = client.answer()
    assert answer.header(b"x-tollkeeper-cost-status") == b"unpriced"
    assert answer.header(b"x-tollkeeper-cost-usd") is None
    record = relay.record(client)
    assert (record["cost_nanos"], record["cost_status"], record["output_tokens"]) == (None, "unpriced", 3)


# No request changes where it goes


HIJACKS: dict[str, Any] = {
    "api_base": "http://169.254.169.254/latest",
    "base_url": "http://evil.example/v1",
    "api_key": "sk-evil",
    "api_version": "2020",
    "organization": "org-evil",
    "extra_headers": {"authorization": "Bearer sk-evil", "host": "evil.example"},
    "headers": {"x": "y"},
    "extra_body": {"model": "gpt-5"},
    "custom_llm_provider": "bedrock",
    "upstream": "cancel",
    "timeout": 1e9,
    "mock_response": "free",
    "fallbacks": [{"model": "cancel-1", "api_base": "http://evil.example"}],
    "user_config": {"api_base": "http://evil.example"},
}
HIJACK_HEADERS = [
    b"x-base-url: http://evil.example",
    b"x-portkey-config: {}",
    b"x-portkey-provider: openai",
    b"x-portkey-custom-host: http://evil.example",
    b"helicone-target-url: http://evil.example",
    b"x-forwarded-host: evil.example",
    b"x-original-url: /admin/v1/keys",
    b"x-http-method-override: DELETE",
    b"x-tollkeeper-upstream: cancel",
    b"openai-base-url: http://evil.example",
]


def test_no_field_and_no_header_changes_host_path_or_credentials(
    relay: Relay, client: Client, upstream: Upstream
) -> None:
    body = {**CHAT, **HIJACKS}
    client.post(body, *HIJACK_HEADERS)
    seen = upstream.answer(response(COMPLETION))
    assert client.answer().status == 200
    assert json.loads(seen.body) == body
    assert seen.line == b"POST /v1/chat/completions HTTP/1.1"
    assert seen.values(b"host") == [b"127.0.0.1:%d" % upstream.port]
    assert seen.values(b"authorization") == [b"Bearer sk-of-gpt"]
    assert relay.record(client)["upstream"] == "gpt"


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/chat/completions?base_url=http://evil.example&api_key=x",
        b"/v1/chat/completions/",
        b"/v1/chat/completions?",
        b"http://relay/v1/chat/completions",
    ],
)
def test_no_form_of_the_path_changes_the_target(client: Client, upstream: Upstream, path: bytes) -> None:
    body = json.dumps(CHAT).encode()
    client.send(client.head(b"content-length: %d" % len(body), path=path) + body)
    seen = upstream.answer(response(COMPLETION))
    assert client.answer().status == 200
    assert seen.line == b"POST /v1/chat/completions HTTP/1.1"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        (b"POST", b"/v1/chat/completions/x", 404),
        (b"POST", b"/v1/../admin/v1/keys", 404),
        (b"POST", b"/v1/embeddings", 404),
        (b"POST", b"/", 404),
        (b"GET", b"/v1", 404),
        (b"POST", b"/V1/chat/completions", 404),
        (b"GET", b"/v1/chat/completions", 405),
        (b"PUT", b"/v1/chat/completions", 405),
        (b"DELETE", b"/v1/chat/completions", 405),
        (b"OPTIONS", b"/v1/chat/completions", 405),
        (b"POST", b"/v1/models", 405),
        (b"DELETE", b"/v1/models/gpt-4o", 405),
    ],
)
def test_other_paths_and_methods(
    client: Client, upstream: Upstream, method: bytes, path: bytes, status: int
) -> None:
    answer = client.get(path, method=method)
    assert answer.status == status
    assert answer.error["type"] == "invalid_request_error"
    assert upstream.nobody_came()
    if status == 405:
        assert answer.error["code"] == "method_not_allowed"
        assert answer.header(b"allow") in (b"POST", b"GET")


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
