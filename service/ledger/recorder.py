"""The recorder: one thread that carries completed records from memory into the store.

A batch goes every 200 ms or 1,000 records. Nothing it does can lose a record: each one is in the journal until the
store has committed it. While the store is away the batch is tried again, and what memory cannot hold is spilled: it
stays in the journal only and is read back from there later.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Iterable

import msgspec

from service.errors import StoreUnavailableError
from service.ledger.batches import BATCH, BatchWriter
from service.ledger.frames import Kind, scan
from service.ledger.journal import Alarm, Journal
from service.ledger.record import RequestRecord

INTERVAL_S = 0.2
IN_MEMORY = 10_000
RETRY_FIRST_S = 0.2
RETRY_LAST_S = 5.0

Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Recorder:
    """`put` on the event loop; a thread of its own writes."""

    def __init__(self, batches: BatchWriter, journal: Journal, *, alarm: Alarm) -> None:
        self._batches = batches
        self._journal = journal
        self._alarm = alarm
        self._queue: deque[RequestRecord] = deque()
        self._waiters: dict[bytes, Waiter] = {}
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self.store_available = True
        self.written = 0

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    @property
    def backlog(self) -> int:
        """Completed records in memory that the store does not have yet."""
        return len(self._queue)

    @property
    def oldest(self) -> RequestRecord | None:
        """The record in memory that has waited longest for the store."""
        try:
            return self._queue[0]
        except IndexError:
            return None

    def ended(self, request_id: bytes) -> RequestRecord | None:
        """The final record of a request, if it is one of those in memory."""
        waiting = (record for record in list(self._queue) if record.request_id == request_id)
        return next((record for record in waiting if record.final), None)

    def put(self, record: RequestRecord, *, may_spill: bool = True) -> None:
        """Take a completed record that is in the journal already."""
        if may_spill and len(self._queue) >= IN_MEMORY:
            self._journal.spill(record.id)
            return
        self._queue.append(record)
        if len(self._queue) >= BATCH and not self._wake.is_set():
            self._wake.set()

    async def put_and_wait(self, record: RequestRecord) -> None:
        """As `put`, and wait until the store has committed the record (`durability = "store"`)."""
        self.put(record, may_spill=False)
        await self.committed(record)

    async def committed(self, record: RequestRecord) -> None:
        """Wait until the store has a record that was `put` without `may_spill`; at once if it has it already."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiters[record.id] = (loop, future)
        if not self._journal.in_memory(
            record.id
        ):  # the thread forgets a record first and wakes its waiter then
            self._waiters.pop(record.id, None)
            return
        self._wake.set()
        await future

    def stop(self, *, timeout_s: float) -> bool:
        """Write what is left and end the thread; False where the store did not take everything in time.

        What is left then stays in the journal and is adopted at the next start.
        """
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive() and not self._queue

    def _run(self) -> None:
        pause = RETRY_FIRST_S
        while True:
            if not self._stopping.is_set():
                self._wake.wait(INTERVAL_S)
            self._wake.clear()
            try:
                self._drain()
            except Exception as error:  # noqa: BLE001  (a recorder that dies would record nothing ever after)
                if self.store_available:
                    self.store_available = False
                    self._alarm(f"{_what(error)}; records stay in the journal and are written later")
                self._stopping.wait(pause)
                pause = min(RETRY_LAST_S, pause * 2)
                if self._stopping.is_set():
                    return
                continue
            if not self.store_available:
                self.store_available = True
                self._alarm("the store takes records again")
            pause = RETRY_FIRST_S
            if self._stopping.is_set() and not self._queue:
                return

    def _drain(self) -> None:
        while self._queue:
            batch = [self._queue[position] for position in range(min(BATCH, len(self._queue)))]
            self._batches.store(batch)
            self.written += len(batch)
            for _ in batch:
                self._queue.popleft()
            self._journal.stored([record.id for record in batch])
            self._wake_waiters(batch)
        for segment, content in self._journal.take_spilled():
            self._batches.store_all(
                record for record in completed(content) if not self._journal.in_memory(record.id)
            )
            self._journal.respooled(segment)

    def _wake_waiters(self, batch: list[RequestRecord]) -> None:
        if not self._waiters:
            return
        for record in batch:
            waiter = self._waiters.pop(record.id, None)
            if waiter is not None:
                waiter[0].call_soon_threadsafe(_resolve, waiter[1])


def _what(error: Exception) -> str:
    return str(error) if isinstance(error, StoreUnavailableError) else f"{type(error).__name__}: {error}"


def completed(content: bytes) -> Iterable[RequestRecord]:
    """The completed records of a segment that this process still owns."""
    for frame in scan(content).frames:
        if frame.kind is Kind.COMPLETION:
            yield _decode(frame.body)


_decode = msgspec.msgpack.Decoder(RequestRecord).decode


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
