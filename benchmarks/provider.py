"""A provider that answers at once, in its own process, and costs a fraction of what is measured.

The request's ``user`` field says how: ``bench-plain`` (one JSON answer), ``bench-wait-20`` (the same, 20 ms late),
``bench-burst`` (53 events in one write), ``bench-paced`` (53 events, 10 ms apart). HTTP is read no further than the
benchmark's own requests need. Run: python -m benchmarks.provider --port 9001
"""

import argparse
import asyncio
import json
import re
from collections.abc import Iterator
from typing import cast

import uvloop

EVENTS = 53
PACE_S = 0.01
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
KIND = re.compile(rb'"user": ?"bench-([a-z]+)(?:-(\d+))?"')
USAGE = {
    "prompt_tokens": 1024,
    "completion_tokens": 50,
    "total_tokens": 1074,
    "prompt_tokens_details": {"cached_tokens": 512},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
COMMON = {"id": "chatcmpl-bench", "created": 1760000000, "model": "gpt-4o-mini-2024-07-18"}
HEADERS = (
    b"date: Fri, 10 Oct 2025 10:00:00 GMT\r\nx-request-id: req_bench\r\nopenai-organization: bench\r\n"
    b"openai-processing-ms: 1\r\nopenai-version: 2020-10-01\r\nserver: bench\r\n"
)


def _plain() -> bytes:
    message = {"role": "assistant", "content": "A short answer of about fifty tokens. " * 8}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    body = json.dumps({**COMMON, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()
    length = b"content-length: %d\r\n" % len(body)
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + length + HEADERS + b"\r\n" + body


def _events() -> Iterator[bytes]:
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": f" word{n}"} for n in range(EVENTS - 4)]
    for number, delta in enumerate([*deltas, {}]):
        reason = "stop" if number == len(deltas) else None
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        yield json.dumps({**COMMON, "object": "chat.completion.chunk", "choices": [choice]}).encode()
    yield json.dumps({**COMMON, "object": "chat.completion.chunk", "choices": [], "usage": USAGE}).encode()
    yield b"[DONE]"


PLAIN = _plain()
CHUNKS = [b"%x\r\ndata: %b\n\n\r\n" % (len(event) + 8, event) for event in _events()]
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    + HEADERS
    + b"\r\n"
)
BURST = STREAM_HEAD + b"".join(CHUNKS) + b"0\r\n\r\n"


class Provider(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(self._received, 0, end + 2)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            request, self._received = self._received[:whole], self._received[whole:]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        kind = KIND.search(request)
        match kind and kind[1]:
            case b"burst":
                self._transport.write(BURST)
            case b"paced":
                self._transport.write(STREAM_HEAD)
                self._pace(0)
            case b"wait" if kind:
                self._loop.call_later(int(kind[2]) / 1000, self._transport.write, PLAIN)
            case _:
                self._transport.write(PLAIN)

    def _pace(self, number: int) -> None:
        if self._transport.is_closing():
            return
        if number == EVENTS:
            self._transport.write(b"0\r\n\r\n")
            return
        self._transport.write(CHUNKS[number])
        self._loop.call_later(PACE_S, self._pace, number + 1)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))
