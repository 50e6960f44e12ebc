"""Reading a request body from the server: bounded in size and in time."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from service.errors import BodyTimeoutError, BodyTooLargeError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class ClientGoneError(Exception):
    """The client left before its request was whole."""


async def read_body(receive: Receive, *, declared: int | None, max_bytes: int, timeout_s: float) -> bytes:
    """The whole request body.

    Args:
        receive: the ASGI channel.
        declared: the Content-Length, where the client sent one.
        max_bytes: the longest body that is taken.
        timeout_s: seconds that the body may take.

    Raises:
        BodyTooLargeError, BodyTimeoutError: the limits.
        ClientGoneError: the client closed the connection.
    """
    if declared is not None and declared > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            parts: list[bytes] = []
            size = 0
            more = True
            while more:
                body, more = _take(await receive())
                size += len(body)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                parts.append(body)
            return b"".join(parts)
    except TimeoutError:
        raise BodyTimeoutError(f"The request body did not arrive within {timeout_s:g} seconds.") from None


def _take(message: Message) -> tuple[bytes, bool]:
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return message.get("body", b""), message.get("more_body", False)


def _too_large(max_bytes: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The request body is larger than {max_bytes} bytes.")
