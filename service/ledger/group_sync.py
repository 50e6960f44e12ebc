"""One thread that brings appended frames to the disk, many at a time (group commit).

Frames are remembered until their `fdatasync` has succeeded, because after a failure they must be written again.
`on_failure` does that and tells `again` where they are now; a segment that has failed is not synced again, and is
offered to `on_failure` once a second for as long as there is no better place.
"""

import asyncio
import threading
import time
from collections.abc import Callable

from service.ledger.segments import Segment

GROUP_WAIT_S = 0.005
RETRY_S = 1.0
LAST_TRIES = 3

OnFailure = Callable[[Segment, list[bytes], OSError], None]


class GroupSync:
    """`note` what was appended; it is on the disk at most one group wait and one `fdatasync` later."""

    def __init__(self, on_failure: OnFailure) -> None:
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
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
            self._dirty[segment] = [*frames, *self._dirty.get(segment, ())]
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
        """Sync what is left and end the thread. What cannot be synced was reported to `on_failure`."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()
        for _ in range(LAST_TRIES):
            if self._flush():
                return

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            if not self._waiters and not self._stopping.is_set():
                time.sleep(GROUP_WAIT_S)
            if self._hopeless():
                self._stopping.wait(RETRY_S)
            self._wake.clear()
            self._flush()

    def _hopeless(self) -> bool:
        """Whether frames still wait for a segment to replace one that failed."""
        with self._lock:
            return any(segment.failed for segment in self._dirty)

    def _flush(self) -> bool:
        """Sync every segment that has unsynced frames; False where any of them failed."""
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
            return False
        with self._lock:
            self._done = position
            ready = [waiter for waiter in self._waiters if waiter[0] <= position]
            self._waiters = [waiter for waiter in self._waiters if waiter[0] > position]
        for _, loop, future in ready:
            loop.call_soon_threadsafe(_resolve, future)
        return True


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
