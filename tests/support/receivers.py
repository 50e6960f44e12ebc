"""Receivers of alerts: an HTTP server that keeps what it gets and answers as told, and a mail server."""

import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


class Got(msgspec.Struct, frozen=True):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


class Answer(msgspec.Struct, frozen=True):
    """What to answer. *hang* waits until the receiver is closed."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = {}
    hang: bool = False


OK = Answer()
Choose = Callable[[Got], Answer]


class Receiver:
    """Where messages arrive."""

    def __init__(self, server: ThreadingHTTPServer, *, scheme: str) -> None:
        self._server = server
        self._scheme = scheme
        self._lock = threading.Lock()
        self._got: list[Got] = []
        self._closing = threading.Event()
        self.choose: Choose = lambda _got: OK

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def got(self) -> Sequence[Got]:
        """What has arrived, in order."""
        with self._lock:
            return list(self._got)

    def take(self, got: Got) -> Answer:
        """A request arrives."""
        with self._lock:
            self._got.append(got)
        answer = self.choose(got)
        if answer.hang:
            self._closing.wait(60)
        return answer

    def close(self) -> None:
        """Let go of whoever waits."""
        self._closing.set()


@contextmanager
def receiver(*, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """An HTTP server on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    found = Receiver(server, scheme="http" if tls is None else "https")
    server.receiver = found  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.close()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.receiver.take(Got(self.path, headers, body))  # type: ignore[attr-defined]
        self.send_response(answer.status)
        for name, value in {"content-length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def do_GET(self) -> None:
        self.do_POST()

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # whoever asked has left
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the library's name)
        """Say nothing."""
