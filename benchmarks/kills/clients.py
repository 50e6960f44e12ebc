"""Clients of the kill tests: a bounded mix of whole answers, streams, hang-ups, failures and wrong keys.

They run on a thread of their own, note what they saw, and go on while the relay is away.
"""

import asyncio
import json
import random
import re
import threading
from dataclasses import dataclass, field
from typing import Literal, Self

from benchmarks.kills.rig import Rig

Ended = Literal["complete", "cut", "left", "not connected"]
PATIENCE_S = 60.0
AWAY_PAUSE_S = 0.05
PAUSE_S = 0.01

_ID = re.compile(rb"\r\nx-request-id: ([0-9a-f-]{36})\r\n", re.IGNORECASE)
_STREAM_END = b"data: [DONE]\n\n\r\n0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True)
class Kind:
    """One kind of request. *leaves_after*: hang up after so many bytes of the answer's body; -1: before its head."""

    name: str
    weight: int
    model: str = "gpt-4o-mini"
    stream: bool = False
    max_tokens: int = 20
    leaves_after: int | None = None
    key: str | None = None
    padding: int = 0


MIX = (
    Kind("whole", 30),
    Kind("stream", 30, stream=True),
    Kind("slow stream", 12, model="sim-slow-stream-20:gpt-4o-mini", stream=True, max_tokens=30),
    Kind(
        "stream, left",
        10,
        model="sim-slow-stream-20:gpt-4o-mini",
        stream=True,
        max_tokens=30,
        leaves_after=300,
    ),
    Kind("left before the head", 4, model="sim-slow-first-byte-150:gpt-4o-mini", leaves_after=-1),
    Kind("long texts", 6, padding=4_000),
    Kind("cut by the upstream", 3, model="sim-cut-4:gpt-4o-mini", stream=True),
    Kind("upstream error", 3, model="sim-error-500"),
    Kind("wrong key", 2, key="tk_wrong"),
)


@dataclass
class Seen:
    """What one client saw of one request."""

    kind: str
    ended: Ended
    status: int | None = None
    request_id: str | None = None


@dataclass
class Crowd:
    """Clients on a thread. *pause_s* bounds the load; *mix* is what they ask."""

    rig: Rig
    clients: int = 8
    seed: int = 1
    mix: tuple[Kind, ...] = MIX
    pause_s: float = PAUSE_S
    seen: list[Seen] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="clients")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let every client finish the request it is in."""
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    @property
    def answered(self) -> int:
        """Requests that came back whole, whatever their status."""
        return sum(1 for seen in self.seen if seen.ended == "complete")

    def count(self, status: int) -> int:
        """Whole answers of this status."""
        return sum(1 for seen in self.seen if seen.ended == "complete" and seen.status == status)

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as error:  # noqa: BLE001  (raised again where the crowd ends)
            self._failure = error

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self.clients):
                group.create_task(self._client(random.Random(f"{self.seed}/{number}")))

    async def _client(self, chance: random.Random) -> None:
        weights = [kind.weight for kind in self.mix]
        while not self._stop.is_set():
            [kind] = chance.choices(self.mix, weights)
            seen = await ask(kind, port=self.rig.port, key=kind.key or self.rig.key)
            self.seen.append(seen)
            await asyncio.sleep(AWAY_PAUSE_S if seen.ended == "not connected" else self.pause_s)


async def ask(kind: Kind, *, port: int, key: str) -> Seen:
    """One request on a connection of its own."""
    seen = Seen(kind.name, "not connected")
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return seen
    seen.ended = "cut"
    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(_request(kind, key=key))
            await _read_answer(reader, kind, seen)
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.transport.abort()
    return seen


async def _read_answer(reader: asyncio.StreamReader, kind: Kind, seen: Seen) -> None:
    if kind.leaves_after == -1:
        await asyncio.sleep(AWAY_PAUSE_S)
        seen.ended = "left"
        return
    head = await reader.readuntil(b"\r\n\r\n")
    seen.status = int(head.split(b" ", 2)[1])
    found = _ID.search(head)
    seen.request_id = found[1].decode() if found else None
    if kind.leaves_after is not None and seen.status == 200:
        await reader.readexactly(kind.leaves_after)
        seen.ended = "left"
        return
    body = await reader.read()
    while more := await reader.read():
        body += more
    length = _LENGTH.search(head)
    whole = len(body) == int(length[1]) if length else body.endswith(_STREAM_END)
    seen.ended = "complete" if whole else "cut"


def _request(kind: Kind, *, key: str) -> bytes:
    body: dict[str, object] = {
        "model": kind.model,
        "max_tokens": kind.max_tokens,
        "messages": [{"role": "user", "content": "Count the ways."}],
    }
    if kind.stream:
        body["stream"] = True
    if kind.padding:
        body["metadata"] = {f"part-{number}": "x" * 100 for number in range(kind.padding // 110 % 16 or 16)}
        body["user"] = "u" * 400
    payload = json.dumps(body).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b"
    ) % (key.encode(), len(payload), payload)
