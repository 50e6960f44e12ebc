"""Which headers cross, and that nothing a client sends changes where its request goes."""

import json
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.relay import CHAT, STREAM, Relay
from tests.support.upstream import COMPLETION, DONE, Upstream, delta, response, stream_head

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
