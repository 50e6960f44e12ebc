"""A provider that the test plays itself, byte by byte, on plain blocking sockets.

`Upstream.accept` gives the next connection as a `Peer`; the test reads what came, exactly as it came, and sends what
it likes, split as it likes. So a conversation reads in the order in which it happens, and needs no sleeps.
"""

import contextlib
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

PATIENCE_S = 20.0
"""How long a test waits for what must happen; never a measure of speed."""

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n")


class Received(NamedTuple):
    """One request, as its bytes came."""

    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        """Every value of the header *name* (lower case)."""
        return [value for each, value in self.headers if each.lower() == name]


class Peer:
    """One connection of the relay to the provider."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._buffer = b""

    def request(self) -> Received:
        """The next whole request."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        size = int(length[1]) if length else 0
        while len(rest) < size:
            self._more()
            rest = self._buffer.partition(b"\r\n\r\n")[2]
        self._buffer = rest[size:]
        line, *lines = head.split(b"\r\n")
        pairs = (header.partition(b":") for header in lines)
        return Received(line, [(name, value.strip()) for name, _, value in pairs], rest[:size])

    def send(self, *parts: bytes) -> None:
        """Send *parts*, each by a system call of its own."""
        for part in parts:
            self._socket.sendall(part)

    def send_until_stuck(self, part: bytes, *, at_most: int, quiet_s: float = 0.5) -> int:
        """Send *part* again and again until the relay has not taken anything for *quiet_s*; returns the bytes."""
        sent = 0
        self._socket.settimeout(quiet_s)
        with contextlib.suppress(TimeoutError):
            while sent < at_most:
                sent += self._socket.send(part[sent % len(part) :])
        self._socket.settimeout(PATIENCE_S)
        return sent

    def answer(self, *parts: bytes) -> Received:
        """Take a request, send *parts*, close; returns the request."""
        request = self.request()
        self.send(*parts)
        self.close()
        return request

    @contextlib.contextmanager
    def sending(self, *parts: bytes, fails: bool = False) -> Iterator[None]:
        """Send *parts* beside what the test does meanwhile; more than socket buffers hold.

        *fails* says that the relay will close the connection before it has everything.
        """
        failures: list[OSError] = []

        def send() -> None:
            try:
                self.send(*parts)
            except OSError as error:
                failures.append(error)
            self.close()

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            thread.join(PATIENCE_S)
        assert bool(failures) is fails, failures

    def left(self) -> bool:
        """Wait until the relay has closed this connection, in whichever way."""
        try:
            while self._socket.recv(65536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """End with FIN, after everything sent has been given to the kernel."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._socket.close()

    def reset(self) -> None:
        """End with RST instead of FIN."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise EOFError(f"the relay closed the connection after {self._buffer!r}")
        self._buffer += data


class Upstream:
    """Listens; the relay's connections wait until the test accepts them."""

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self._listener.settimeout(PATIENCE_S)
        self.port: int = self._listener.getsockname()[1]
        self._peers: list[Peer] = []

    @property
    def url(self) -> str:
        """What an operator would configure as `base_url`."""
        return f"http://127.0.0.1:{self.port}/v1"

    def accept(self) -> Peer:
        """The next connection."""
        connection, _ = self._listener.accept()
        peer = Peer(connection)
        self._peers.append(peer)
        return peer

    def answer(self, *parts: bytes) -> Received:
        """Accept a connection, take its request, send *parts*, close."""
        return self.accept().answer(*parts)

    def nobody_came(self) -> bool:
        """Whether no connection is waiting; ask after the relay's answer has come."""
        self._listener.setblocking(False)
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return True
        finally:
            self._listener.settimeout(PATIENCE_S)
        return False

    def forget(self) -> None:
        """Close what an earlier test left behind."""
        for peer in self._peers:
            peer.close()
        self._peers.clear()
        while not self.nobody_came():
            pass

    def close(self) -> None:
        """Stop listening."""
        self.forget()
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# What providers say


def response(
    body: bytes,
    *headers: bytes,
    status: bytes = b"200 OK",
    content_type: bytes = b"application/json",
    length: int | None = None,
) -> bytes:
    """A whole HTTP answer; *length* lies about the length of the body."""
    lines = [b"HTTP/1.1 " + status, *headers, b"connection: close"]
    if content_type:
        lines.append(b"content-type: " + content_type)
    lines.append(b"content-length: %d" % (len(body) if length is None else length))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def stream_head(*headers: bytes, content_type: bytes = b"text/event-stream") -> bytes:
    """The head of an event stream that ends with the connection."""
    lines = [b"HTTP/1.1 200 OK", b"content-type: " + content_type, *headers, b"connection: close"]
    return b"\r\n".join(lines) + b"\r\n\r\n"


CHUNKED_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
)
"""The head of an event stream whose end can be told from a cut."""


def chunk(data: bytes) -> bytes:
    """*data* in the framing of `CHUNKED_HEAD`; of nothing, the end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
COMPLETION = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": USAGE,
    },
    indent=1,
).encode()


def delta(content: str | None = None, *, finish: str | None = None, **more: Any) -> bytes:
    """One event of a streamed completion."""
    choice = {"index": 0, "delta": {"content": content} if content else {}, "finish_reason": finish}
    return event({**_CHUNK, "choices": [choice], **more})


def usage_event(**usage: Any) -> bytes:
    """The extra event that carries the usage."""
    return event({**_CHUNK, "choices": [], "usage": usage or USAGE})


def event(value: Any) -> bytes:
    """An event of *value* as JSON."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o-2024-08-06"}
