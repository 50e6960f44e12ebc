"""Security headers: once on every HTTP answer, whatever the application says; WebSockets are left alone."""

import asyncio
from typing import Any

from dashboard.headers import CONTENT_POLICY, HEADERS, SecurityHeaders


def answered(scope_type: str, *headers: tuple[bytes, bytes]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        kind = "http.response.start" if scope_type == "http" else "websocket.accept"
        await send({"type": kind, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b"x"})

    async def receive() -> dict[str, Any]:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(SecurityHeaders(app)({"type": scope_type}, receive, send))
    return sent


def test_an_answer_has_each_header_once() -> None:
    start, body = answered("http", (b"content-type", b"text/html"), (b"X-Frame-Options", b"ALLOWALL"))
    assert start["headers"] == [(b"content-type", b"text/html"), *HEADERS]
    assert body == {"type": "http.response.body", "body": b"x"}


def test_a_websocket_is_left_alone() -> None:
    assert answered("websocket")[0] == {"type": "websocket.accept", "headers": []}


def test_the_policy_names_no_other_origin() -> None:
    sources = {source for rule in CONTENT_POLICY.split("; ") for source in rule.split()[1:]}
    assert sources == {"'self'", "'none'", "'unsafe-inline'", "'wasm-unsafe-eval'", "data:", "blob:"}
