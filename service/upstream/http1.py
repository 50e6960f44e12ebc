"""Our HTTP/1.1 client: a keep-alive pool per origin, one exchange per connection, four time-outs.

Sends every request exactly once. A connection that was idle is used again only if the kernel says that it is
open and silent, and never after `KEEP_IDLE_S`: the common servers of chat completions close after 5 s (uvicorn,
Node) or much later (load balancers 60 s, nginx 75 s), so we are the first to let go. If a used connection still
dies without an answer, the provider may have done the work: that is UpstreamBrokenError, not a silent retry.

No proxies; TLS as `service.upstream.tls` says.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

from service.errors import (
    Phase,
    UpstreamAbortedError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from service.upstream.call import Head, Timeouts, UpstreamRequest
from service.upstream.dial import addresses, dial
from service.upstream.http1_connection import Http1Connection
from service.upstream.target import Origin, header_block, target
from service.upstream.tls import client_context

KEEP_IDLE_S = 4.0

Resolve = Callable[[Origin], Awaitable[list[str]]]


class Http1Client:
    """Makes calls; keeps their connections."""

    def __init__(self, *, keep_idle_s: float = KEEP_IDLE_S, resolve: Resolve = addresses) -> None:
        self._keep_idle_s = keep_idle_s
        self._resolve = resolve
        self._idle: dict[Origin, dict[Http1Connection, None]] = {}
        self._open: set[Http1Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._tls: ssl.SSLContext | None = None
        self._closed = False
        self._all_gone = asyncio.Event()

    def call(self, request: UpstreamRequest, *, timeouts: Timeouts) -> "Http1Call":
        """Prepare a call; no I/O happens before its `head`.

        Raises:
            ValueError: a URL, method or header that could not be sent as it stands.
        """
        origin, first_lines = target(request.method, request.url)
        has_body = request.body or request.method != "GET"
        length = b"content-length: %d\r\n" % len(request.body) if has_body else b""
        head = b"%b%b%b\r\n" % (first_lines, header_block(request.headers), length)
        return Http1Call(self, origin, message=(head, request.body), timeouts=timeouts)

    async def aclose(self) -> None:
        """Close every connection; calls still open raise UpstreamAbortedError."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in tuple(self._open):
            connection.fail(UpstreamAbortedError("the upstream client is closing"))
        if self._open:
            await self._all_gone.wait()

    def pick(self, origin: Origin) -> Http1Connection | None:
        """The connection used last, if an idle one is still good."""
        idle = self._idle.get(origin)
        while idle:
            connection, _ = idle.popitem()
            if connection.silent() and not self._stale(connection):
                return connection
            connection.close()
        return None

    async def connect(self, origin: Origin) -> Http1Connection:
        """Open a connection.

        Raises:
            OSError: as the event loop says it, TLS failures included.
        """
        self._refuse_if_closed()
        if origin.scheme == "https" and self._tls is None:
            self._tls = client_context()
        connection = await dial(
            origin,
            await self._resolve(origin),
            tls=self._tls if origin.scheme == "https" else None,
            protocol=lambda: Http1Connection(str(origin), lost=self._forget),
        )
        self._open.add(connection)
        if self._closed:
            connection.close()
        self._refuse_if_closed()
        return connection

    def keep(self, origin: Origin, connection: Http1Connection) -> None:
        """Take back a connection whose exchange is over."""
        if self._closed or not connection.reusable():
            connection.close()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.setdefault(origin, {})[connection] = None
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._keep_idle_s, self._sweep)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise OSError("the upstream client is closed")

    def _forget(self, connection: Http1Connection) -> None:
        self._open.discard(connection)
        for idle in self._idle.values():
            idle.pop(connection, None)
        if self._closed and not self._open:
            self._all_gone.set()

    def _stale(self, connection: Http1Connection) -> bool:
        return connection.idle_since + self._keep_idle_s <= asyncio.get_running_loop().time()

    def _sweep(self) -> None:
        """Close what was idle too long; come back while anything is idle."""
        loop = asyncio.get_running_loop()
        for origin, idle in tuple(self._idle.items()):
            for connection in tuple(idle):
                if not self._stale(connection):
                    break
                del idle[connection]
                connection.close()
            if not idle:
                del self._idle[origin]
        oldest = min((next(iter(idle)).idle_since for idle in self._idle.values()), default=None)
        self._sweeper = None if oldest is None else loop.call_at(oldest + self._keep_idle_s, self._sweep)


class Http1Call:
    """One request and its response."""

    def __init__(
        self, client: Http1Client, origin: Origin, *, message: tuple[bytes, bytes], timeouts: Timeouts
    ) -> None:
        self._client = client
        self._origin = origin
        self._message = message
        self._timeouts = timeouts
        self._connecting: asyncio.Timeout | None = None
        self._connection: Http1Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._started_at = 0.0
        self._sent_at = 0.0
        self._aborted = False

    async def head(self) -> Head:
        """Send the request and wait for the response head."""
        self._refuse_if_aborted()
        loop = asyncio.get_running_loop()
        self._started_at = loop.time()
        connection = self._connection = self._client.pick(self._origin) or await self._connect()
        connection.send(*self._message)
        self._sent_at = loop.time()
        self._arm()
        try:
            while not connection.status:
                await connection.changed()
        except BaseException:
            self._drop()
            raise
        if not connection.complete:
            self._arm()
        return Head(connection.status, connection.headers)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Body bytes as they arrive."""
        connection = self._connection
        assert connection is not None, "head comes first"
        try:
            while not self._aborted:
                if piece := connection.take():
                    yield piece
                elif connection.complete:
                    return
                else:
                    await connection.changed()
        except BaseException:
            self._drop()
            raise
        self._refuse_if_aborted()

    def abort(self) -> None:
        """Close the connection now."""
        self._aborted = True
        if self._connecting is not None and not self._connecting.expired():
            self._connecting.reschedule(asyncio.get_running_loop().time())
        if self._connection is not None:
            self._connection.fail(UpstreamAbortedError(f"the call to {self._origin} was aborted"))

    async def release(self) -> None:
        """Give the connection back if the response was complete, else close it."""
        connection, self._connection = self._connection, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if connection is not None:
            self._client.keep(self._origin, connection)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _refuse_if_aborted(self) -> None:
        if self._aborted:
            raise UpstreamAbortedError(f"the call to {self._origin} was aborted")

    async def _connect(self) -> Http1Connection:
        limit_s = min(self._timeouts.connect_s, self._timeouts.total_s)
        try:
            async with asyncio.timeout(limit_s) as self._connecting:
                connection = await self._client.connect(self._origin)
        except TimeoutError:
            self._refuse_if_aborted()
            raise UpstreamTimeoutError(
                f"no connection to {self._origin} within {limit_s:g} s; nothing was sent", phase="connect"
            ) from None
        except (OSError, UnicodeError) as error:
            self._refuse_if_aborted()
            raise UpstreamUnreachableError(
                f"cannot connect to {self._origin}: {error}; nothing was sent"
            ) from error
        finally:
            self._connecting = None
        if self._aborted:
            connection.close()
            self._refuse_if_aborted()
        return connection

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(self._deadline()[0], self._check)

    def _check(self) -> None:
        """The timer went off: fail the exchange if its deadline has really passed, else wait for the new one."""
        self._timer = None
        connection = self._connection
        if connection is None or connection.complete or connection.error is not None:
            return
        deadline, phase = self._deadline()
        if asyncio.get_running_loop().time() < deadline:
            self._arm()
            return
        limit_s = {"first_byte": self._timeouts.first_byte_s, "idle": self._timeouts.idle_s}
        connection.fail(
            UpstreamTimeoutError(
                f"{self._origin} exceeded the {phase} time-out of {limit_s.get(phase, self._timeouts.total_s):g} s;"
                " the request was sent and may be billed",
                phase=phase,
            )
        )

    def _deadline(self) -> tuple[float, Phase]:
        connection = self._connection
        assert connection is not None
        total: tuple[float, Phase] = (self._started_at + self._timeouts.total_s, "total")
        if not connection.status:
            return min(total, (self._sent_at + self._timeouts.first_byte_s, "first_byte"))
        quiet_since = asyncio.get_running_loop().time() if connection.paused else connection.last_read
        return min(total, (quiet_since + self._timeouts.idle_s, "idle"))
