"""A client of the relay that sends what a test says and sees every byte of the answer, as it arrives."""

import contextlib
import json
import socket
import uuid
from typing import Any, NamedTuple, Self

import httptools

from tests.support.upstream import PATIENCE_S


class Answer(NamedTuple):
    """A whole answer of the relay."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The value of a header that must not come twice."""
        values = [value for each, value in self.headers if each.lower() == name]
        assert len(values) <= 1, self.headers
        return values[0] if values else None

    @property
    def error(self) -> dict[str, Any]:
        """The error object, which has exactly the contract's members."""
        document = json.loads(self.body)
        assert set(document) == {"error"}, document
        error: dict[str, Any] = document["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        assert isinstance(error["message"], str)
        assert error["message"]
        return error


class Client:
    """One connection to the relay; its User-Agent names it in the records."""

    def __init__(self, port: int, *, key: str | None) -> None:
        self.agent = f"client-{uuid.uuid4()}"
        self._key = key
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._body = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def send(self, *parts: bytes) -> None:
        """Send bytes as they are."""
        for part in parts:
            self._socket.sendall(part)

    def head(self, *headers: bytes, method: bytes = b"POST", path: bytes = b"/v1/chat/completions") -> bytes:
        """The bytes of a request head."""
        lines = [b"%b %b HTTP/1.1" % (method, path), b"host: relay", b"user-agent: " + self.agent.encode()]
        if self._key is not None:
            lines.append(b"authorization: Bearer " + self._key.encode())
        return b"\r\n".join([*lines, *headers]) + b"\r\n\r\n"

    def post(self, body: Any, *headers: bytes) -> Self:
        """Ask for a completion, without waiting; *body* is bytes or a JSON value."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._reset()
        length = b"content-length: %d" % len(data)
        self.send(self.head(b"content-type: application/json", length, *headers) + data)
        return self

    def get(self, path: bytes, *headers: bytes, method: bytes = b"GET") -> Answer:
        """The answer to a request without a body."""
        self._reset(no_body=method == b"HEAD")
        self.send(self.head(*headers, method=method, path=path))
        return self.answer()

    def answer(self) -> Answer:
        """The whole answer."""
        status, headers = self.started()
        return Answer(status, headers, self.rest())

    def started(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Status and headers, as soon as they are there."""
        while not self._status:
            self._more()
        return self._status, self._headers

    def read(self, size: int) -> bytes:
        """Exactly *size* bytes of the body, as soon as they are there."""
        while len(self._body) < size:
            assert not self.ended, f"the answer ended after {self._body!r}"
            self._more()
        data, self._body = self._body[:size], self._body[size:]
        return data

    def rest(self) -> bytes:
        """The body to its end; raises CutError where the connection ended before it."""
        parts = []
        while not self.ended:
            self._more()
            parts.append(self._body)
            self._body = b""
        data, self._body = b"".join(parts) + self._body, b""
        return data

    def leave(self) -> None:
        """Close the connection."""
        self._socket.close()

    # Called by the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = []
            return
        self._status = status
        self.ended = self._no_body

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.ended = bool(self._status)

    def _reset(self, *, no_body: bool = False) -> None:
        assert not self._body
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._headers = []
        self._no_body = no_body
        self.ended = False

    def _more(self) -> None:
        with contextlib.suppress(ConnectionResetError):
            if data := self._socket.recv(65536):
                self._parser.feed_data(data)
                return
        raise CutError(self._body)


class CutError(Exception):
    """The relay closed the connection before the answer had ended; the argument is what was not read yet."""
