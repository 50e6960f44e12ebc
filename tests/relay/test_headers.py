"""Nothing crosses the relay that is not on a list, in either direction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.relay.headers import (
    TO_CLIENT,
    TO_UPSTREAM,
    Headers,
    connection_options,
    header,
    to_client,
    to_upstream,
    upstream_request_id,
)

OURS = [
    (b"content-type", b"application/json"),
    (b"accept-encoding", b"identity"),
    (b"x-request-id", b"the-id"),
    (b"authorization", b"Bearer sk-ours"),
]
FORBIDDEN_UPSTREAM = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "host",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "forwarded",
    "via",
    "api-key",
    "x-api-key",
    "openai-organization",
    "openai-project",
    "x-request-id",
    "content-length",
    "content-encoding",
    "content-type",
    "accept-encoding",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "keep-alive",
    "connection",
    "baggage",
    "x-litellm-tags",
    "helicone-auth",
    "x-base-url",
]
FORBIDDEN_BACK = [
    "set-cookie",
    "location",
    "server",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "trailer",
    "upgrade",
    "www-authenticate",
    "proxy-authenticate",
    "strict-transport-security",
    "alt-svc",
    "access-control-allow-origin",
    "x-request-id",
    "x-ratelimit-remaining-requests",
    "x-tollkeeper-cost-usd",
    "date",
]


def upstream_headers(headers: Headers, *, provider: str = "openai", key: str | None = "sk-ours") -> Headers:
    return to_upstream(headers, api_key=key, provider=provider, request_id="the-id")


@pytest.mark.parametrize("name", FORBIDDEN_UPSTREAM)
def test_a_client_cannot_send_it_upstream(name: str) -> None:
    assert upstream_headers([(name.encode(), b"evil")]) == OURS


@pytest.mark.parametrize("name", sorted(TO_UPSTREAM))
def test_what_a_client_may_send_upstream(name: bytes) -> None:
    assert upstream_headers([(name, b"caf\xe9"), (name, b"2")]) == [(name, b"caf\xe9"), (name, b"2"), *OURS]


@pytest.mark.parametrize(
    "connection", [[b"user-agent"], [b"close, User-Agent ,x"], [b"close", b"USER-AGENT"], [b",user-agent,"]]
)
def test_what_connection_names_stays_here(connection: list[bytes]) -> None:
    named = [(b"connection", value) for value in connection]
    assert upstream_headers([*named, (b"user-agent", b"me"), (b"accept", b"*/*")]) == [
        (b"accept", b"*/*"),
        *OURS,
    ]


def test_connection_cannot_remove_what_is_ours() -> None:
    assert upstream_headers([(b"connection", b"authorization, accept-encoding")]) == OURS


def test_azure_reads_its_key_elsewhere_too() -> None:
    assert upstream_headers([], provider="azure") == [*OURS, (b"api-key", b"sk-ours")]


def test_an_upstream_without_a_key() -> None:
    assert upstream_headers([(b"authorization", b"Bearer tk_x")], key=None) == OURS[:3]


@pytest.mark.parametrize("name", FORBIDDEN_BACK)
def test_an_upstream_cannot_send_it_back(name: str) -> None:
    assert to_client([(name.encode(), b"evil"), (name.title().encode(), b"evil")]) == []


@pytest.mark.parametrize("name", [*sorted(TO_CLIENT), b"openai-processing-ms", b"openai-version"])
def test_what_an_upstream_may_send_back(name: bytes) -> None:
    assert to_client([(name.title(), b"caf\xe9"), (name, b"")]) == [(name, b"caf\xe9"), (name, b"")]


def test_what_the_upstream_s_connection_names_stays_there() -> None:
    headers = [(b"Connection", b"OpenAI-Hop"), (b"openai-hop", b"1"), (b"Openai-Version", b"2020-10-01")]
    assert to_client(headers) == [(b"openai-version", b"2020-10-01")]


def test_names_are_found_whatever_their_case() -> None:
    assert header([(b"A", b"1"), (b"a", b"2")], b"a") == b"1"
    assert header([(b"b", b"1")], b"a") is None


@pytest.mark.parametrize(
    ("headers", "identifier"),
    [
        ([(b"X-Request-Id", b"req_1"), (b"apim-request-id", b"2")], "req_1"),
        ([(b"apim-request-id", b"2")], "2"),
        ([(b"X-Generation-Id", b"gen-1")], "gen-1"),
        ([(b"x-request-id", b""), (b"request-id", b"caf\xe9")], "café"),
        ([(b"x-request-id", b"")], None),
        ([], None),
    ],
)
def test_what_the_upstream_calls_the_request(headers: Headers, identifier: str | None) -> None:
    assert upstream_request_id(headers) == identifier


NAMES = st.sampled_from(
    [*(name.encode() for name in FORBIDDEN_UPSTREAM + FORBIDDEN_BACK), *sorted(TO_UPSTREAM | TO_CLIENT)]
) | st.binary(min_size=1, max_size=8)
HEADERS = st.lists(st.tuples(NAMES, st.binary(max_size=12)), max_size=8)


@given(HEADERS)
def test_any_headers(headers: Headers) -> None:
    lowered = [(name.lower(), value) for name, value in headers]
    sent = upstream_headers(lowered)
    assert sent[-len(OURS) :] == OURS
    assert {name for name, _ in sent[: -len(OURS)]} <= TO_UPSTREAM - connection_options(headers)
    for name, _ in to_client(headers):
        assert name in TO_CLIENT or name.startswith(b"openai-")
