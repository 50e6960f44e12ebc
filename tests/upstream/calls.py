"""Short ways to say what a wire test does."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from service.upstream.client import Head, Timeouts, UpstreamCall, UpstreamClient, UpstreamRequest
from tests.upstream.wire_server import PATIENCE_S

T = TypeVar("T")
PATIENT = Timeouts(connect_s=60, first_byte_s=60, idle_s=60, total_s=120)
BODY = b'{"model":"gpt-4o-mini","messages":[]}'


def post(
    client: UpstreamClient, url: str, *, timeouts: Timeouts = PATIENT, body: bytes = BODY
) -> UpstreamCall:
    headers = [(b"authorization", b"Bearer sk-upstream"), (b"content-type", b"application/json")]
    return client.call(UpstreamRequest("POST", url, headers, body), timeouts=timeouts)


async def exchange(client: UpstreamClient, url: str, *, timeouts: Timeouts = PATIENT) -> tuple[Head, bytes]:
    """A whole call, released as the relay does it."""
    call = post(client, url, timeouts=timeouts)
    try:
        head = await call.head()
        return head, b"".join([chunk async for chunk in call.chunks()])
    finally:
        await call.release()


async def soon(awaitable: Awaitable[T]) -> T:
    """What must happen, within the time we are willing to wait."""
    async with asyncio.timeout(PATIENCE_S):
        return await awaitable


async def read_into(received: bytearray, call: UpstreamCall) -> None:
    """The body, piece by piece, so that what came before an error can be looked at."""
    async for chunk in call.chunks():
        received += chunk
