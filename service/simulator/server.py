"""Serves the simulated upstream: in the foreground of its own process, or on a thread of another one."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.simulator.app import ABORT_EXTENSION, Simulator

_START_TIMEOUT_S = 30


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, and the application may close the connection without an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ABORT_EXTENSION: {"abort": self.transport.abort}}


class _Server(uvicorn.Server):
    """Tells when it listens; a signal that stops it is the normal end, not a failure."""

    def __init__(self, config: uvicorn.Config, *, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
        yield

    def stop(self) -> None:
        """Stop listening, end what runs, return."""
        self.should_exit = True


def serve(app: Simulator, *, host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve until SIGTERM or SIGINT; *ready* gets the port once it listens."""
    with _listener(host, port) as listener:
        bound: int = listener.getsockname()[1]
        _Server(_config(app), ready=lambda: ready(bound)).run([listener])


@contextmanager
def running(app: Simulator, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """The base URL (without /v1) of *app*, served on a thread for the length of the block."""
    listening = threading.Event()
    with _listener(host, port) as listener:
        server = _Server(_config(app), ready=listening.set)
        thread = threading.Thread(target=server.run, args=([listener],), name="simulator", daemon=True)
        thread.start()
        try:
            if not listening.wait(_START_TIMEOUT_S):
                raise TimeoutError(f"the simulated upstream did not listen within {_START_TIMEOUT_S} s")
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            server.stop()
            thread.join()


def _config(app: Simulator) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # faults end answers on purpose
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=1024)
