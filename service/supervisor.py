"""Processes under one parent: started in order, watched, restarted when they crash, stopped in order.

A child that exits with status 2 says that its settings cannot be used; nothing is gained by starting it again. The
children hold the read end of a pipe whose other end only the parent has: when the parent dies, however it dies, they
see the end of the pipe and stop. They are in sessions of their own: Ctrl-C reaches them through
the parent only.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from service.errors import ConfigurationError, TollkeeperError
from service.logs import get_logger

POLL_S = 0.1
RESTART_FIRST_S = 0.5
RESTART_LAST_S = 30.0
HEALTHY_AFTER_S = 30.0
KILL_AFTER_S = 60.0
USAGE_ERROR = 2


class ChildFailedError(TollkeeperError):
    """A child could not be started."""


class Child:
    """One process; *name* is for people."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        pass_fds: Sequence[int] = (),
        vital: bool = True,
    ) -> None:
        self.name = name
        self.vital = vital
        self._command = [sys.executable, "-m", "service.cli", *arguments]
        self._pass_fds = tuple(pass_fds)
        self._restart_at = 0.0
        self._pause_s = RESTART_FIRST_S
        self._started_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; its output is ours."""
        self.process = subprocess.Popen(  # noqa: S603  (our own program)
            self._command, pass_fds=self._pass_fds, start_new_session=True
        )
        self._started_at = time.monotonic()

    def watch(self) -> None:
        """Start the process again, a little later each time, if it has crashed."""
        now = time.monotonic()
        if self.process is None:
            if now >= self._restart_at:
                self.start()
            return
        status = self.process.poll()
        if status is None:
            return
        if status == USAGE_ERROR and self.vital:
            raise ChildFailedError(f"{self.name} refused its settings; see the line above")
        if now - self._started_at > HEALTHY_AFTER_S:
            self._pause_s = RESTART_FIRST_S
        get_logger().warning("child_ended", name=self.name, status=status, restart_in_s=self._pause_s)
        self.process = None
        self._restart_at = now + self._pause_s
        self._pause_s = min(RESTART_LAST_S, self._pause_s * 2)

    def signal(self, number: int) -> None:
        """Send a signal, if the process lives."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def wait(self, deadline: float) -> None:
        """Wait for the end; beyond the *deadline* (monotonic) the process is killed."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            get_logger().error("child_killed", name=self.name)
            self.process.kill()
            self.process.wait()


class Supervisor:
    """Starts groups of children in order; `run` watches until a signal, then stops the groups in reverse order."""

    def __init__(self) -> None:
        self._groups: list[list[Child]] = []
        self._signals: list[int] = []
        self.lifeline, self._lifeline_end = os.pipe()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _frame: self._signals.append(number))

    @property
    def stopping(self) -> bool:
        """Whether a signal has come."""
        return bool(self._signals)

    def start(self, *children: Child) -> None:
        """Start one group of children."""
        self._groups.append(list(children))
        for child in children:
            child.start()

    def await_ready(self, fd: int, *, children: Sequence[Child], timeout_s: float) -> None:
        """Wait until every one of *children* has written a byte to the pipe *fd*."""
        os.set_blocking(fd, False)
        missing = len(children)
        deadline = time.monotonic() + timeout_s
        while missing and not self.stopping:
            try:
                missing -= len(os.read(fd, missing))
            except BlockingIOError:
                time.sleep(POLL_S / 4)
            for child in children:
                if child.process is not None and child.process.poll() is not None:
                    raise ChildFailedError(f"{child.name} ended while it was starting; see the lines above")
            if time.monotonic() > deadline:
                raise ChildFailedError(f"{children[0].name} was not ready within {timeout_s:g} s")

    def run(self) -> None:
        """Watch until SIGINT or SIGTERM."""
        while not self.stopping:
            for group in self._groups:
                for child in group:
                    child.watch()
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop the groups, the last started first; a second signal makes the children hurry."""
        if self.stopping:
            print("Stopping; open requests may end first. Once more to stop at once.", file=sys.stderr)  # noqa: T201
        for group in reversed(self._groups):
            seen = len(self._signals)
            for child in group:
                child.signal(signal.SIGTERM)
            deadline = time.monotonic() + KILL_AFTER_S
            while any(child.process is not None and child.process.poll() is None for child in group):
                if len(self._signals) > seen:
                    seen = len(self._signals)
                    for child in group:
                        child.signal(signal.SIGTERM)
                if time.monotonic() > deadline:
                    break
                time.sleep(POLL_S / 4)
            for child in group:
                child.wait(deadline)
        self._groups.clear()
        os.close(self._lifeline_end)


def follow_parent(lifeline: int, *, ended: Callable[[], None] | None = None) -> None:
    """In a child: end with SIGTERM when the parent's end of the pipe *lifeline* closes."""

    def watch() -> None:
        os.read(lifeline, 1)
        if ended is not None:
            ended()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def listen(host: str, port: int, *, purpose: str, flag: str) -> socket.socket:
    """A listening socket that children inherit; raises ConfigurationError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(
            f"{purpose} cannot listen on {host}:{port}: {reason}; choose another port with {flag}"
        ) from error
    listener.set_inheritable(True)
    return listener
