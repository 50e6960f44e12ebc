"""Which headers cross the relay, and in which direction: allow-lists, nothing else passes. Pure.

Values are never logged. Hop-by-hop headers (RFC 9110, section 7.6.1) are on neither list. The client's credentials,
cookies and forwarding headers never reach an upstream; an upstream's cookies never reach a client.
"""

Headers = list[tuple[bytes, bytes]]

TO_UPSTREAM = frozenset(
    {b"accept", b"accept-language", b"openai-beta", b"traceparent", b"tracestate", b"user-agent"}
)
TO_CLIENT = frozenset(
    {
        b"cache-control",
        b"content-encoding",
        b"content-type",
        b"retry-after",
        b"retry-after-ms",
        b"x-should-retry",
    }
)
TO_CLIENT_PREFIX = b"openai-"
UPSTREAM_REQUEST_ID = (b"x-request-id", b"request-id", b"x-generation-id", b"apim-request-id")


def to_upstream(headers: Headers, *, api_key: str | None, provider: str | None, request_id: str) -> Headers:
    """The headers of the forwarded request. *headers* have lower-case names, as ASGI gives them."""
    named = connection_options(headers)
    crossing = [
        (name, value) for name, value in headers if name in TO_UPSTREAM and not (named and name in named)
    ]
    crossing.append((b"content-type", b"application/json"))
    crossing.append((b"accept-encoding", b"identity"))
    crossing.append((b"x-request-id", request_id.encode()))
    if api_key is not None:
        crossing.append((b"authorization", b"Bearer " + api_key.encode()))
        if provider == "azure":
            crossing.append((b"api-key", api_key.encode()))
    return crossing


def to_client(headers: Headers) -> Headers:
    """The upstream's headers that a client sees; names are compared without case."""
    named = connection_options(headers)
    lowered = [(name.lower(), value) for name, value in headers]
    return [
        (name, value)
        for name, value in lowered
        if (name in TO_CLIENT or name.startswith(TO_CLIENT_PREFIX)) and name not in named
    ]


def header(headers: Headers, name: bytes) -> bytes | None:
    """The first value of *name* (lower case), whatever the case on the wire."""
    for candidate, value in headers:
        if candidate.lower() == name:
            return value
    return None


def upstream_request_id(headers: Headers) -> str | None:
    """What the upstream calls this request."""
    for name in UPSTREAM_REQUEST_ID:
        value = header(headers, name)
        if value:
            return value.decode("latin-1")
    return None


def connection_options(headers: Headers) -> frozenset[bytes]:
    """The header names that `Connection` declares to be for this hop only."""
    options: set[bytes] = set()
    for name, value in headers:
        if name.lower() == b"connection":
            options.update(option.strip().lower() for option in value.split(b","))
    return frozenset(options)
