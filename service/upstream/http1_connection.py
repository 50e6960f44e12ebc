"""One HTTP/1.1 connection to a provider: bytes out, response facts in. Knows no pool and no clock of its own.

Framing is llhttp's (httptools), strictly: both Content-Length and Transfer-Encoding, bare LF and the like are
refused. What the parser does not tell is added here: a body framed by the end of the connection is complete at
a clean end; a body cut short by it is broken. An interim (1xx) response is skipped.

Memory is bounded: reading pauses while `HIGH_WATER` bytes wait for the consumer, and a provider that sends more
than `MAX_BARREN` bytes without one byte of body (headers, trailers, chunk extensions) is broken.
"""

import asyncio
import select
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import httptools

from service.errors import UpstreamBrokenError, UpstreamError

HIGH_WATER = 64 * 1024
MAX_BARREN = 128 * 1024
WRITE_JOIN = 64 * 1024  # below this, one copy is cheaper than a second system call


class Http1Connection(asyncio.Protocol):
    """Carries one exchange at a time. `lost` is called once, when the connection is gone."""

    def __init__(self, peer: str, *, lost: Callable[["Http1Connection"], None]) -> None:
        self.peer = peer
        self.status = 0  # 0 until the head of the final response is whole
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.error: UpstreamError | None = None
        self.paused = False
        self.last_read = 0.0
        self.idle_since = 0.0
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._poll: Callable[[int], list[tuple[int, int]]] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # a parser callback without a frame of ours: once per chunk
        self._waiting_bytes = 0  # framing included
        self._barren_bytes = 0
        self._keep_alive = False

    # Called by the client

    def send(self, head: bytes, body: bytes) -> None:
        """Start an exchange. The parser is new each time: nothing of an earlier response can leak into this one."""
        assert self._transport is not None
        self.status, self.headers, self.complete = 0, [], False
        self._pieces.clear()
        self._waiting_bytes = self._barren_bytes = 0
        self._keep_alive = False
        self._parser = httptools.HttpResponseParser(self)
        if len(body) <= WRITE_JOIN:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    async def changed(self) -> None:
        """Wait for the head, body bytes or the end.

        Raises:
            UpstreamError: the exchange has failed.
        """
        if self.error is not None:
            raise self.error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def take(self) -> bytes:
        """Body bytes that arrived since the last call; may be empty."""
        pieces = self._pieces
        if not pieces:
            return b""
        taken = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._waiting_bytes = 0
        if self.paused:
            self.paused = False
            self.last_read = self._loop.time()
            if self._transport is not None:
                self._transport.resume_reading()
        return taken

    def fail(self, error: UpstreamError) -> None:
        """End the exchange with *error* and close the connection at once; the first error stays."""
        if self.error is None:
            self.error = error
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    def close(self) -> None:
        """Close at once; what was not read is lost."""
        self._pieces.clear()
        if self._transport is not None:
            self._transport.abort()

    def reusable(self) -> bool:
        """Tell whether the exchange ended so cleanly that another may follow."""
        return (
            self.complete
            and self._keep_alive
            and not self.paused
            and self._transport is not None
            and not self._transport.is_closing()
            and not self._transport.get_write_buffer_size()
        )

    def silent(self) -> bool:
        """Ask the kernel whether an idle connection is open and has nothing to say.

        The event loop learns of a close only at its next turn. Anything readable before a request is sent, the
        end of the stream included, makes the connection useless.
        """
        if self._transport is None or self._transport.is_closing():
            return False
        return self._poll is None or not self._poll(0)

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open, TLS included."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
            self._poll = poll.poll

    def data_received(self, data: bytes) -> None:
        """Bytes from the provider."""
        self.last_read = self._loop.time()
        if self._parser is None or self.complete:
            self._keep_alive = False  # bytes that answer nothing
            self.close()
            return
        before = len(self._pieces)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._keep_alive = False
            if not self.complete:
                self.fail(self._broken(f"sent what is not HTTP/1.1 ({error})"))
                return
        if len(self._pieces) > before:
            self._barren_bytes = 0
            self._waiting_bytes += len(data)
            if self._waiting_bytes > HIGH_WATER and not self.paused and not self.complete:
                self._pause()
        elif not self.complete:
            self._count_barren(len(data))
        self._wake()

    def eof_received(self) -> None:
        """Let the transport close itself: `connection_lost` follows."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; *exc* is None after a clean end or our own close."""
        self._transport = self._poll = None
        if self._parser is not None and not self.complete and self.error is None:
            if exc is None and self.status and self._framed_by_close():
                self.complete = True
            else:
                self.error = self._broken(
                    "closed the connection" if exc is None else f"broke the connection ({exc})"
                )
        self._parser = None
        self._wake()
        self._lost(self)

    # Called by the parser

    def on_message_begin(self) -> None:
        """A response begins; only interim responses may precede the one."""
        if self.complete:
            raise ValueError("a second response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is dropped: nobody can be told of it any more."""
        if not self.status:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole; a status below 200 announces another one."""
        assert self._parser is not None
        status: int = self._parser.get_status_code()
        if status >= HTTPStatus.OK:
            self.status = status
            self._keep_alive = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        """The response ended as its framing says."""
        if self.status:
            self.complete = True
        else:
            self.headers = []  # an interim response

    # Inside

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _pause(self) -> None:
        assert self._transport is not None
        self.paused = True
        self._transport.pause_reading()

    def _count_barren(self, received: int) -> None:
        self._barren_bytes += received
        if self._barren_bytes > MAX_BARREN:
            self.fail(self._broken(f"sent more than {MAX_BARREN} bytes without one of the body,"))

    def _framed_by_close(self) -> bool:
        """RFC 9112, section 6.3: no length, or a transfer coding that does not end with chunked."""
        codings = [value for name, value in self.headers if name.lower() == b"transfer-encoding"]
        if codings:
            return codings[-1].rpartition(b",")[2].strip().lower() != b"chunked"
        return not any(name.lower() == b"content-length" for name, _ in self.headers)

    def _broken(self, what: str) -> UpstreamBrokenError:
        when = "within the response body" if self.status else "after the request was sent"
        return UpstreamBrokenError(
            f"{self.peer} {what} {when}; the request may have been processed, do not send it again blindly"
        )
