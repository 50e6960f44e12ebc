"""A provider that says exactly the bytes a test wrote, and tells what it saw. Plain sockets, no HTTP library."""

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

PATIENCE_S = 10.0  # how long we wait for what must happen; never a measure of speed


class Peer:
    """One accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.sent_bytes = 0
        self.gone = asyncio.Event()

    async def request(self) -> bytes:
        """The next whole request, head and body as they came; IncompleteReadError when the client has left."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)\r\n", head)
        return head + (await self._reader.readexactly(int(length[1])) if length else b"")

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self._writer.write(part)
            await self._writer.drain()
            self.sent_bytes += len(part)

    async def left(self) -> None:
        """For scripts: return when the client has closed or reset the connection. Tests wait for `gone`."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(65536):
                pass
        self.gone.set()

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        """End with RST instead of FIN."""
        fileno = self._writer.get_extra_info("socket").fileno()
        with socket.socket(fileno=socket.dup(fileno)) as copy:
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class WireServer:
    """Plays *script* on every connection; a script that ends closes its connection."""

    def __init__(
        self,
        script: Script,
        *,
        tls: ssl.SSLContext | None = None,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self._script = script
        self._address = address
        self._tls = tls
        self._plays: list[asyncio.Task[None]] = []
        self.peers: list[Peer] = []
        self.accepted = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        scheme = "http" if self._tls is None else "https"
        host = "127.0.0.1" if self._tls is None else "localhost"
        return f"{scheme}://{host}:{self.port}/v1/chat/completions"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, *self._address, ssl=self._tls, backlog=2048)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for play in self._plays:
            play.cancel()
        ends = await asyncio.gather(*self._plays, return_exceptions=True)
        for end in ends:
            if (
                isinstance(end, BaseException)
                and not isinstance(end, asyncio.CancelledError)
                and error is None
            ):
                raise end

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.peers.append(peer)
        self.accepted.set()
        play = asyncio.get_running_loop().create_task(self._play(peer))
        self._plays.append(play)
        await asyncio.wait([play])
        writer.transport.abort()

    async def _play(self, peer: Peer) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._script(peer)  # a script may be in the middle of something when the client leaves
        peer.close()
        await peer.left()
