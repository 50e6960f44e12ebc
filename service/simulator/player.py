"""Plays a reply over ASGI at the model's pace, and notices when the client leaves.

A `receive()` is pending all the time, because that alone tells of a disconnect. Deadlines are absolute, so a
late wake-up does not slow the stream down.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal

import msgspec

from service.simulator.pace import Pace
from service.simulator.replies import Cut, Drop, Headers, Reply, Send, Stall, Step

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
AsgiSend = Callable[[Message], Awaitable[None]]
Ending = Literal["complete", "client_gone", "cut"]


class Connection(msgspec.Struct, frozen=True):
    """The client's end of one request whose body was read."""

    receive: Receive
    send: AsgiSend
    abort: Callable[[], None]  # closes the connection at once


async def play(reply: Reply, *, connection: Connection, pace: Pace, extra_headers: Headers) -> Ending:
    """Send *reply* to the client; tell how it ended."""
    async with asyncio.TaskGroup() as group:
        gone = group.create_task(_client_leaves(connection))
        try:
            return await _Player(connection, gone=gone).play(reply, pace=pace, extra_headers=extra_headers)
        finally:
            gone.cancel()


async def _client_leaves(connection: Connection) -> None:
    while (await connection.receive())["type"] != "http.disconnect":
        pass


class _Player:
    """One playing; *gone* is done when the client has left."""

    def __init__(self, connection: Connection, *, gone: asyncio.Task[None]) -> None:
        self._connection = connection
        self._gone = gone
        self._due = asyncio.get_running_loop().time()

    async def play(self, reply: Reply, *, pace: Pace, extra_headers: Headers) -> Ending:
        """Head, steps, end."""
        headers = [*reply.headers, *extra_headers]
        await self._wait(pace.before_head_s(reply.hidden_tokens) + reply.head_delay_ms / 1000)
        head_sent = False
        for step in reply.steps:
            if self._gone.done():
                return "client_gone"
            if not head_sent and not isinstance(step, Drop):
                head_sent = True
                start = {"type": "http.response.start", "status": reply.status, "headers": headers}
                await self._connection.send(start)
            ending = await self._step(step, pace=pace, gap_s=reply.gap_ms / 1000)
            if ending is not None:
                return ending
        await self._connection.send({"type": "http.response.body", "body": b"", "more_body": False})
        return "complete"

    async def _step(self, step: Step, *, pace: Pace, gap_s: float) -> Ending | None:
        """Play one step; an ending if it was the last."""
        match step:
            case Send(data, tokens):
                await self._wait(pace.seconds(tokens) + gap_s)
                if self._gone.done():
                    return "client_gone"
                await self._connection.send({"type": "http.response.body", "body": data, "more_body": True})
                return None
            case Stall():
                await asyncio.wait({self._gone})
                return "client_gone"
            case Cut():
                return "cut"
            case Drop():
                self._connection.abort()
                return "cut"

    async def _wait(self, seconds: float) -> None:
        """Wait until *seconds* after the last due time; give way to other requests in any case."""
        self._due += seconds
        left = self._due - asyncio.get_running_loop().time()
        if seconds > 0 and left > 0:
            await asyncio.wait({self._gone}, timeout=left)
        else:
            await asyncio.sleep(0)
