"""The upstream seam over httpx's transport (its client layer is not used: it would add headers and decode bodies).

httpx knows one read time-out, so the four limits are ours: `asyncio.timeout`, moved on when httpcore's trace
says that the request is being sent. The same trace tells "nothing was sent" from "may have been processed".
`abort` is synchronous: it interrupts whoever waits, or closes at the event loop's next turn.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import httpx

from service.errors import (
    Phase,
    UpstreamAbortedError,
    UpstreamBrokenError,
    UpstreamError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from service.upstream.call import Head, Timeouts, UpstreamRequest
from service.upstream.target import Origin, header_block, target
from service.upstream.tls import client_context

KEEP_IDLE_S = 4.0  # as in http1
FRAMINGS = frozenset({b"content-length", b"transfer-encoding"})


class HttpxClient:
    """Makes calls over one httpx transport."""

    def __init__(self, *, proxy: str | None = None) -> None:
        self._transport = httpx.AsyncHTTPTransport(
            verify=client_context(),
            trust_env=False,
            proxy=proxy,
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEP_IDLE_S
            ),
        )
        self._open: set[HttpxCall] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def call(self, request: UpstreamRequest, *, timeouts: Timeouts) -> "HttpxCall":
        """Prepare a call; no I/O happens before its `head`.

        Raises:
            ValueError: a URL, method or header that could not be sent as it stands.
        """
        origin = target(request.method, request.url).origin
        header_block(request.headers)
        return HttpxCall(self, request, origin=origin, timeouts=timeouts)

    async def aclose(self) -> None:
        """Close every connection; calls still open raise UpstreamAbortedError."""
        for call in tuple(self._open):
            call.abort()
        await asyncio.gather(*self._closing)
        await self._transport.aclose()

    async def send(self, request: httpx.Request, *, call: "HttpxCall") -> httpx.Response:
        """Hand *request* to httpx on behalf of *call*, which is open until `forget`."""
        self._open.add(call)
        return await self._transport.handle_async_request(request)

    def close_soon(self, call: "HttpxCall") -> None:
        """Release *call* at the event loop's next turn."""
        if call in self._open:
            task = asyncio.get_running_loop().create_task(call.release())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def forget(self, call: "HttpxCall") -> None:
        """Note that *call* was released."""
        self._open.discard(call)


class HttpxCall:
    """One request and its response."""

    def __init__(
        self, client: HttpxClient, request: UpstreamRequest, *, origin: Origin, timeouts: Timeouts
    ) -> None:
        self._client = client
        self._request = request
        self._origin = origin
        self._timeouts = timeouts
        self._waiting: asyncio.Timeout | None = None
        self._response: httpx.Response | None = None
        self._ends_at = 0.0
        self._phase: Phase = "connect"
        self._half_open: Any = None  # httpcore's network stream
        self._sent = False
        self._aborted = False

    async def head(self) -> Head:
        """Send the request and wait for the response head."""
        self._refuse_if_aborted()
        self._ends_at = asyncio.get_running_loop().time() + self._timeouts.total_s
        request = httpx.Request(
            self._request.method,
            self._request.url,
            headers=self._request.headers,
            content=self._request.body,
            extensions={"trace": self._on_trace},
        )
        try:
            async with asyncio.timeout_at(self._deadline("connect")) as self._waiting:
                self._response = await self._client.send(request, call=self)
        except (TimeoutError, httpx.TransportError) as error:
            await self._close_half_open()
            raise self._failure(error) from error
        except BaseException:
            await self._close_half_open()
            raise
        finally:
            self._waiting = None
        headers = list(self._response.headers.raw)
        if {name.lower() for name, _ in headers} >= FRAMINGS:
            raise UpstreamBrokenError(
                f"{self._origin} framed its answer twice; the request may have been processed"
            )
        return Head(self._response.status_code, headers)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Body bytes as they arrive."""
        assert self._response is not None, "head comes first"
        stream = aiter(cast(httpx.AsyncByteStream, self._response.stream))
        while not self._aborted:
            try:
                async with asyncio.timeout_at(self._deadline("idle")) as self._waiting:
                    piece = await anext(stream)
            except StopAsyncIteration:
                await self._discard_if_more_came()
                break
            except (TimeoutError, httpx.TransportError) as error:
                raise self._failure(error) from error
            finally:
                self._waiting = None
            yield piece
        self._refuse_if_aborted()

    def abort(self) -> None:
        """Close the connection now."""
        self._aborted = True
        if self._waiting is None:
            self._client.close_soon(self)
        elif not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def release(self) -> None:
        """Give the connection back if the response was complete, else close it."""
        response, self._response = self._response, None
        self._client.forget(self)
        if response is not None:
            await cast(httpx.AsyncByteStream, response.stream).aclose()

    async def _on_trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._half_open = info["return_value"]
        if event != "http11.send_request_headers.started" or info["request"].method == b"CONNECT":
            return  # CONNECT goes to a proxy, the provider has seen nothing yet
        self._sent = True
        self._half_open = None
        deadline = self._deadline("first_byte")
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(deadline)

    async def _close_half_open(self) -> None:
        """Close what httpcore forgets when it is cancelled within a TLS handshake."""
        if self._half_open is not None:
            await self._half_open.aclose()

    async def _discard_if_more_came(self) -> None:
        """Close a connection on which bytes followed the response: httpcore would read them as the next response.

        Only h11 knows, so this looks inside; `test_bytes_after_the_answer_never_become_the_next_answer` stands guard.
        """
        stream: Any = cast(httpx.Response, self._response).stream
        connection = stream._httpcore_stream._stream._connection  # noqa: SLF001  see above
        if connection._h11_state.trailing_data[0]:  # noqa: SLF001  see above
            await connection.aclose()

    def _deadline(self, phase: Phase) -> float:
        """When *phase* or the whole call is over, whichever comes first; remembers which."""
        limit_s = getattr(self._timeouts, f"{phase}_s")
        deadline: float = asyncio.get_running_loop().time() + limit_s
        self._phase = phase
        if self._ends_at < deadline and self._sent:
            self._phase = "total"
        return min(deadline, self._ends_at)

    def _refuse_if_aborted(self) -> None:
        if self._aborted:
            raise UpstreamAbortedError(f"the call to {self._origin} was aborted")

    def _failure(self, error: Exception) -> UpstreamError:
        """Say what *error* means in the words of the seam."""
        if self._aborted:
            return UpstreamAbortedError(f"the call to {self._origin} was aborted")
        sent = "the request was sent and may be billed" if self._sent else "nothing was sent"
        if isinstance(error, TimeoutError):
            return UpstreamTimeoutError(
                f"{self._origin} exceeded the {self._phase} time-out; {sent}", phase=self._phase
            )
        if not self._sent:
            return UpstreamUnreachableError(f"cannot connect to {self._origin}: {error}; {sent}")
        return UpstreamBrokenError(
            f"{self._origin} ended the connection or sent what is not HTTP/1.1 ({error!r}); {sent}"
        )
