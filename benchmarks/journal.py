"""What durability costs a request, beside a queue in memory: `python -m benchmarks.journal [--seconds 2] [--folder .]`.

A request is what the relay does for its books: INTENT before the upstream is called, COMPLETION before the last byte.
`queue` keeps the finished record in memory, as gateways without a journal do; `local`, `fsync` and `store` are the
levels of `relay.durability`, `store` on a SQLite file. Latency is what the books add to one request, with so many
requests at once and nothing else to do. Files lie in *folder*: put it on the disk that is meant.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import uvloop

from benchmarks.books import records
from service.ledger.batches import BatchWriter
from service.ledger.journal import Journal
from service.ledger.record import Intent, Opening, RequestRecord, uuid7
from service.ledger.recorder import Recorder
from service.ledger.writer import Writer
from service.store import schema
from service.store.engine import Store

AT_ONCE = (1, 32, 256)
SAMPLES = 1_000
TAKEN_AFTER = 1_000
Request = Callable[[Intent, RequestRecord], Awaitable[None]]


def template() -> tuple[list[Intent], list[RequestRecord]]:
    """Records of ordinary traffic, and the intents they began with."""
    made = list(records(SAMPLES))
    fields = Opening.__struct_fields__
    return [
        Intent(Opening(*(getattr(record, name) for name in fields)), 100, 30, 400) for record in made
    ], made


class Books:
    """The journal and recorder of one relay process, with or without a store behind them."""

    def __init__(self, folder: Path, *, store: Store | None) -> None:
        self.journal = Journal(folder / "journal", alarm=print, clock_ns=time.time_ns)
        self.recorder: Recorder | None = None
        if store is not None:
            batches = BatchWriter(Writer(store, clock=lambda: 0), alarm=print)
            self.recorder = Recorder(batches, self.journal, alarm=print)
            self.recorder.start()
        self._unstored: list[bytes] = []
        self.queue: deque[RequestRecord] = deque(maxlen=TAKEN_AFTER)

    async def in_memory(self, intent: Intent, record: RequestRecord) -> None:  # noqa: ARG002  (the shape of a request)
        self.queue.append(record)

    async def local(self, intent: Intent, record: RequestRecord) -> None:
        self.journal.open(intent)
        self.journal.complete(record)
        self._taken(record)

    async def fsync(self, intent: Intent, record: RequestRecord) -> None:
        await self.journal.synced(self.journal.open(intent))
        await self.journal.synced(self.journal.complete(record))
        self._taken(record)

    async def store(self, intent: Intent, record: RequestRecord) -> None:
        assert self.recorder is not None
        self.journal.open(intent)
        self.journal.complete(record)
        await self.recorder.put_and_wait(record)

    def close(self) -> None:
        self.journal.stored(self._unstored)
        if self.recorder is not None:
            self.recorder.stop(timeout_s=60)
        self.journal.close()

    def _taken(self, record: RequestRecord) -> None:
        """What the recorder does once a batch is stored."""
        self._unstored.append(record.id)
        if len(self._unstored) == TAKEN_AFTER:
            self.journal.stored(self._unstored)
            self._unstored = []


async def measure(request: Request, *, at_once: int, seconds: float) -> list[float]:
    """Microseconds of each request of *at_once* clients that do nothing else."""
    intents, completions = template()
    until = time.perf_counter() + seconds
    taken: list[float] = []

    async def client(number: int) -> None:
        while True:
            number = (number + at_once) % SAMPLES
            intent, record = intents[number], completions[number]
            identifier = uuid7(record.started_at, os.urandom(8))
            intent.opening.id = record.id = identifier
            record = RequestRecord(*(getattr(record, name) for name in record.__struct_fields__))
            began = time.perf_counter()
            await request(intent, record)
            ended = time.perf_counter()
            taken.append((ended - began) * 1e6)
            if ended > until:
                return
            await asyncio.sleep(0)

    await asyncio.gather(*(client(number) for number in range(at_once)))
    return taken


def disk_us(folder: Path, count: int = 200) -> float:
    """The median `fdatasync` of this disk after 4 KiB were written."""
    times = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, count * 4096)
        for number in range(count):
            os.pwrite(file.fileno(), os.urandom(4096), number * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1e6)
    return statistics.median(times)


def rows(folder: Path, *, seconds: float) -> list[str]:
    """The table in Markdown."""
    lines = [
        "| durability, µs per request, p50 / p99 | "
        + " | ".join(f"{count} at once" for count in AT_ONCE)
        + " |"
    ]
    lines.append("|---" * (len(AT_ONCE) + 1) + "|")
    path = folder / "books.db"
    with closing(Store(f"sqlite:///{path}")) as store:
        schema.migrate(store)
        for name in ("queue", "local", "fsync", "store"):
            books = Books(folder, store=store if name == "store" else None)
            request = {
                "queue": books.in_memory,
                "local": books.local,
                "fsync": books.fsync,
                "store": books.store,
            }[name]
            cells = []
            for at_once in AT_ONCE:
                taken = uvloop.run(measure(request, at_once=at_once, seconds=seconds))
                quantiles = statistics.quantiles(taken, n=100)
                cells.append(f"{quantiles[49]:,.1f} / {quantiles[98]:,.1f}")
            books.close()
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement")
    parser.add_argument("--folder", type=Path, default=Path(), help="a directory on the disk that is meant")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        print("\n".join(rows(folder, seconds=given.seconds)))
        print(f"\nOne fdatasync of 4 KiB on this disk: {disk_us(folder):,.0f} µs (median)")


if __name__ == "__main__":
    main()
