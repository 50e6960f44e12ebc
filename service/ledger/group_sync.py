"""One thread that brings appended frames to the disk, many at a time (group commit).

Frames are remembered until their `fdatasync` has succeeded, because after a failure they must be written again.
"""

import asyncio
import threading
import time
from collections.abc import Callable

from service.ledger.segments import Segment

GROUP_WAIT_S = 0.005

OnFailure = Callable[[Segment, list[bytes], OSError], None]


class GroupSync:
    """`note` what was appended; it is on the disk at most one group wait and one `fdatasync` later."""

    def __init__(self, on_failure: OnFailure) -> None:
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._dirty: dict[Segment, list[bytes]] = {}
        self._position = 0
        self._done = 0
        self._waiters: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
        self._thread.start()

    def note(self, segment: Segment, frame: bytes) -> int:
        """*frame* was appended to *segment*; returns the position to wait for."""
        with self._lock:
            self._dirty.setdefault(segment, []).append(frame)
            self._position += len(frame)
            position = self._position
        if not self._wake.is_set():
            self._wake.set()
        return position

    def again(self, segment: Segment, frames: list[bytes]) -> None:
        """*frames* were written to *segment* after a failure and still need the disk."""
        with self._lock:
            self._dirty.setdefault(segment, []).extend(frames)
        self._wake.set()

    def forget(self, segment: Segment) -> None:
        """*segment* is about to be deleted."""
        with self._lock:
            self._dirty.pop(segment, None)

    async def wait_for(self, position: int) -> None:
        """Wait until everything up to *position* is on the disk."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._done >= position:
                return
            future: asyncio.Future[None] = loop.create_future()
            self._waiters.append((position, loop, future))
        await future

    def stop(self) -> None:
        """Sync what is left and end the thread."""
        self._stopping = True
        self._wake.set()
        self._thread.join()
        self._flush()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait()
            if not self._waiters and not self._stopping:
                time.sleep(GROUP_WAIT_S)
            self._wake.clear()
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            batch, self._dirty = self._dirty, {}
            position = self._position
        failed = False
        for segment, frames in batch.items():
            try:
                segment.sync()
            except OSError as error:
                if segment.path.exists():
                    failed = True
                    self._on_failure(segment, frames, error)
        if failed:
            return
        with self._lock:
            self._done = position
            ready = [waiter for waiter in self._waiters if waiter[0] <= position]
            self._waiters = [waiter for waiter in self._waiters if waiter[0] > position]
        for _, loop, future in ready:
            loop.call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
