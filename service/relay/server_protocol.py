"""The door: what uvicorn must still refuse before a request may reach the application.

uvicorn's parser (httptools, llhttp in strict mode) refuses contradictory framing, folded headers and bare CR or
LF by itself; its h11 alternative lets several of them through, so it is not used. Added here:

- Host: exactly one, of the form host[:port] (HTTP/1.0 may have none). RFC 9112, section 3.2.
- Transfer-Encoding: nothing but one ``chunked``, in HTTP/1.1. RFC 9112, sections 6.1 and 6.3.
- Only HTTP/1.0 and HTTP/1.1.
- Trailers are dropped. uvicorn would append them to the headers of a request that is already being served.
- Upgrade is ignored, as RFC 9110, section 7.8 allows, and the body is read. uvicorn would lose the body and take
  what follows for a new request; Java's HTTP client offers h2c in its first request to every http:// address.
- The head of a request has a limit in bytes and in time; a connection that says nothing is closed.
- A client that stops reading its answer is cut off after `SEND_TIMEOUT_S`; until then it holds an upstream's answer.

A refusal is 400 in the error shape of the API, then the connection closes. Nothing of it reaches the application
or the books. If an answer is already under way, the connection just closes.
"""

import asyncio
import re
from typing import Any

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 256
HEAD_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 60.0
HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")


class _RefusedError(Exception):
    """Raised within a parser callback; the text is for the client."""


class StrictHttpProtocol(HttpToolsProtocol):
    """One client connection. Give this class to uvicorn as ``http=``."""

    head_timeout_s = HEAD_TIMEOUT_S
    send_timeout_s = SEND_TIMEOUT_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._barren_bytes = 0
        self._progress = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None

    # Called by the event loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client has connected; it has to say something in time."""
        super().connection_made(transport)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._unwatch_head()
        self._unwatch_send()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self._unset_keepalive_if_required()
        progress = self._progress
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._refuse(str(error.__context__ or error))
            return
        self._barren_bytes = self._barren_bytes + len(data) if progress == self._progress else 0
        if self._barren_bytes > MAX_HEAD_BYTES:
            self._refuse(f"headers or trailers of more than {MAX_HEAD_BYTES} bytes")
        elif self._in_head and self._head_timer is None:
            self._watch_head()

    def pause_writing(self) -> None:
        """The client does not read: it has to, in time."""
        super().pause_writing()
        if self._send_timer is None:
            self._send_timer = self.loop.call_later(self.send_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self._unwatch_send()

    # Called by the parser

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; a trailer is dropped."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: refuse it here, or let uvicorn start the application."""
        self._in_head = False
        if self.parser.get_method() == b"CONNECT":
            raise _RefusedError("this is not a proxy")
        if self.parser.should_upgrade():
            return  # the parser stops after this call, see `_feed`
        self._inspect_head()
        self._unwatch_head()
        self._progress += 1
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Body bytes."""
        self._progress += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self.parser.should_upgrade():
            return
        self._progress += 1
        super().on_message_complete()

    # Inside

    def _unwatch_send(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            kept = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
            line = b"%b %b HTTP/%b\r\n" % (
                self.parser.get_method(),
                self.url,
                self.parser.get_http_version().encode(),
            )
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            self._feed(b"%b%b\r\n%b" % (line, b"".join(kept), data[stop.args[0] :]))

    def _inspect_head(self) -> None:
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise _RefusedError(f"HTTP/{version} is not spoken here")
        hosts = codings = size = 0
        for name, value in self.headers:
            size += len(name) + len(value)
            if name == b"host":
                hosts += 1
                if HOST.fullmatch(value) is None:
                    raise _RefusedError("the Host header is not host[:port]")
            elif name == b"transfer-encoding":
                codings += 1
                if value.lower() != b"chunked":
                    raise _RefusedError("a transfer coding other than chunked")
        if hosts > 1 or (not hosts and version == "1.1"):
            raise _RefusedError("a request needs exactly one Host header")
        if codings > 1 or (codings and version == "1.0"):
            raise _RefusedError("Transfer-Encoding twice, or in HTTP/1.0")
        if size > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            raise _RefusedError(f"more than {MAX_HEAD_BYTES} bytes or {MAX_HEADERS} lines of headers")

    def _refuse(self, reason: str) -> None:
        cycle = self.cycle
        if (
            cycle is not None
            and not cycle.response_complete
            and (cycle.response_started or not cycle.more_body)
        ):
            self.transport.close()  # a refusal now would look like the answer to an earlier request
            return
        error = {"message": f"Not an HTTP request: {reason}", "type": "invalid_request_error"}
        body = msgspec.json.encode({"error": {**error, "param": None, "code": "bad_http"}})
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()

    def _watch_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self.timeout_keep_alive_handler)

    def _unwatch_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
