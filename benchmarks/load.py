"""A cheap closed-loop client: N connections, each sends, waits for the whole answer, sends again.

Answers are checked (status 200, complete, connection kept), not parsed. Its clock is the performance counter: the
event loop's has milliseconds.
"""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import cast

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
PROMPT = "Summarise the following paragraph for a busy reader in three short sentences, please. " * 12


@dataclass
class Outcome:
    """What the client saw in one run; times in seconds."""

    requests: int = 0
    errors: int = 0
    whole_s: list[float] = field(default_factory=list)
    first_byte_s: list[float] = field(default_factory=list)


def request_bytes(kind: str, *, port: int, key: str) -> bytes:
    """A chat completion of about 1.3 kB, as SDKs send it."""
    stream = kind in ("burst", "paced")
    body: dict[str, object] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": PROMPT}]}
    body |= {"max_tokens": 64, "user": f"bench-{kind}"}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    payload = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n"
        f"Content-Type: application/json\r\nUser-Agent: bench/1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, outcome: Outcome, *, until: float) -> None:
        self._request = request
        self._outcome = outcome
        self._until = until
        self._received = b""
        self._ends_at = -1
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        if not self._received:
            self._first_at = time.perf_counter()
        self._received += data
        if self._ends_at < 0:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            length = LENGTH.search(self._received, 0, end + 2)
            self._ends_at = end + 4 + int(length[1]) if length else 0
        if self._ends_at:
            complete = len(self._received) >= self._ends_at
        else:
            complete = self._received.endswith(b"\r\n0\r\n\r\n")
        if complete:
            self._note()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        if not self.done.done():
            self._outcome.errors += 1
            self.done.set_result(None)

    def _send(self) -> None:
        self._received = b""
        self._ends_at = -1
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def _note(self) -> None:
        now = time.perf_counter()
        if self._received.startswith(b"HTTP/1.1 200"):
            self._outcome.requests += 1
            self._outcome.whole_s.append(now - self._sent_at)
            self._outcome.first_byte_s.append(self._first_at - self._sent_at)
        else:
            self._outcome.errors += 1
        if now < self._until:
            self._send()
        else:
            self.done.set_result(None)
            self._transport.close()


async def load(request: bytes, *, port: int, connections: int, seconds: float) -> Outcome:
    """Send *request* over and over for *seconds*; connections finish what they have begun."""
    loop = asyncio.get_running_loop()
    outcome = Outcome()
    until = time.perf_counter() + seconds
    clients = [
        (await loop.create_connection(lambda: _Connection(request, outcome, until=until), "127.0.0.1", port))[
            1
        ]
        for _ in range(connections)
    ]
    await asyncio.gather(*(client.done for client in clients))
    return outcome
