"""The relay's stack without the relay: same server, same upstream client, no key, no accounting.

What this costs is the price of forwarding in Python; what the relay costs beyond it is the price of the books.
Run: python -m benchmarks.forwarder --port 9002 --upstream http://127.0.0.1:9001 [--transport httpx]
"""

import argparse
import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

from service.relay.server_protocol import StrictHttpProtocol
from service.upstream.client import Timeouts, UpstreamClient, UpstreamRequest, make_client

Message = MutableMapping[str, Any]
TIMEOUTS = Timeouts(connect_s=5, first_byte_s=120, idle_s=60, total_s=3600)
TO_UPSTREAM = frozenset({b"content-type", b"accept", b"user-agent"})
NOT_TO_CLIENT = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"set-cookie"})


class Forwarder:
    """Forwards every request to one upstream."""

    def __init__(self, client: UpstreamClient, *, upstream: str) -> None:
        self._client = client
        self._upstream = upstream

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """ASGI."""
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        headers = [header for header in scope["headers"] if header[0] in TO_UPSTREAM]
        headers.append((b"authorization", b"Bearer upstream"))
        request = UpstreamRequest(scope["method"], self._upstream + scope["path"], headers, body)
        call = self._client.call(request, timeouts=TIMEOUTS)
        watch = asyncio.ensure_future(receive())
        watch.add_done_callback(lambda _: call.abort())
        try:
            head = await call.head()
            answer = [header for header in head.headers if header[0].lower() not in NOT_TO_CLIENT]
            await send({"type": "http.response.start", "status": head.status, "headers": answer})
            async for chunk in call.chunks():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await call.release()
            await send({"type": "http.response.body", "body": b""})
        finally:
            await call.release()
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--transport", default="default")
    arguments = parser.parse_args()
    config = uvicorn.Config(
        Forwarder(make_client(arguments.transport), upstream=arguments.upstream),
        port=arguments.port,
        http=StrictHttpProtocol,
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
