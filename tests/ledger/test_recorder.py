"""The recorder: what it was given reaches the store once, however often and long the store is away."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from service.errors import StoreUnavailableError
from service.ledger import recorder as recorder_module
from service.ledger.batches import BATCH, BatchWriter
from service.ledger.record import RequestRecord
from service.ledger.recorder import Recorder
from service.ledger.recovery import recover
from service.ledger.writer import Writer
from service.reporting.check import check
from service.store.engine import Store
from service.store.tables import request_record
from tests.ledger.making import T0, DiskJournal, ended, intent, rate, refusal

TIMEOUT_S = 60


class SwitchedWriter(Writer):
    """A store that a test takes away and gives back, or that fails in its own way."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, clock=lambda: T0)
        self.failure: Exception | None = None
        self.tries = threading.Semaphore(0)
        self.largest = 0

    def write(self, records: Sequence[RequestRecord]) -> int:
        self.tries.release()
        if self.failure is not None:
            raise self.failure
        self.largest = max(self.largest, len(records))
        return super().write(records)


class Bench:
    """A recorder with its journal and store."""

    def __init__(self, store: Store, directory: Path) -> None:
        self.store = store
        self.alarms: list[str] = []
        self.journal = DiskJournal(directory, segment_bytes=1 << 18)
        self.writer = SwitchedWriter(store)
        batches = BatchWriter(self.writer, alarm=self.alarms.append)
        self.recorder = Recorder(batches, self.journal, alarm=self.alarms.append)

    def record(self, count: int = 1) -> list[RequestRecord]:
        """Attempts that begin, end, and go to the recorder."""
        records = []
        for _ in range(count):
            began = intent()
            self.journal.open(began)
            records.append(ended(began))
            self.journal.complete(records[-1])
            self.recorder.put(records[-1])
        return records

    def stored(self) -> list[bytes]:
        with self.store.read() as tx:
            return sorted(row.id.bytes for row in tx.execute(select(request_record.c.id)))

    def wait(self, happened: Callable[[], bool]) -> None:
        pause = threading.Event()
        for _ in range(TIMEOUT_S * 100):
            if happened():
                return
            pause.wait(0.01)
        raise AssertionError(f"not within {TIMEOUT_S} s; alarms: {self.alarms}")

    def journals(self) -> int:
        return len(list(self.journal.directory.glob("*.journal")))


@pytest.fixture
def bench(sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(recorder_module, "RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(recorder_module, "RETRY_LAST_S", 0.02)
    monkeypatch.setattr(recorder_module, "INTERVAL_S", 0.01)
    with running(Bench(sqlite_store, tmp_path / "journal")) as made:
        yield made


@contextmanager
def running(bench: Bench) -> Iterator[Bench]:
    try:
        yield bench
    finally:
        bench.writer.failure = None
        if bench.recorder._thread.is_alive():
            bench.recorder.stop(timeout_s=TIMEOUT_S)
        bench.journal.close()


def ids(records: Sequence[RequestRecord]) -> list[bytes]:
    return sorted(record.id for record in records)


def test_records_reach_the_store_and_leave_the_journal(bench: Bench) -> None:
    bench.recorder.start()
    records = bench.record(30)
    bench.wait(lambda: bench.recorder.written == 30)
    assert bench.recorder.stop(timeout_s=TIMEOUT_S)
    assert bench.stored() == ids(records)
    assert bench.recorder.backlog == 0
    bench.journal.close()
    assert bench.journals() == 0
    assert check(bench.store) == []


def test_a_full_batch_does_not_wait_for_the_clock(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "INTERVAL_S", 3_600)
    bench.recorder.start()
    records = bench.record(BATCH)
    bench.wait(lambda: len(bench.stored()) == BATCH)
    assert bench.stored() == ids(records)
    assert bench.writer.largest == BATCH


def test_a_store_that_was_away_gets_everything_once_and_one_alarm_each_way(bench: Bench) -> None:
    bench.writer.failure = StoreUnavailableError("the store is away")
    bench.recorder.start()
    records = bench.record(5)
    for _ in range(5):
        assert bench.writer.tries.acquire(timeout=TIMEOUT_S)
    bench.wait(lambda: not bench.recorder.store_available)
    records += bench.record(5)
    assert bench.recorder.backlog == 10
    bench.writer.failure = None
    bench.wait(lambda: bench.recorder.backlog == 0)
    bench.wait(lambda: bench.recorder.store_available)
    assert bench.stored() == ids(records)
    assert bench.alarms == [
        "the store is away; records stay in the journal and are written later",
        "the store takes records again",
    ]


def test_an_error_nobody_thought_of_is_alarmed_and_tried_again(bench: Bench) -> None:
    bench.writer.failure = RuntimeError("boom")
    bench.recorder.start()
    records = bench.record(3)
    bench.wait(lambda: not bench.recorder.store_available)
    bench.writer.failure = None
    bench.wait(lambda: bench.recorder.backlog == 0)
    assert bench.stored() == ids(records)
    assert bench.alarms[0] == "RuntimeError: boom; records stay in the journal and are written later"


def test_what_memory_does_not_hold_is_read_back_from_the_journal(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "IN_MEMORY", 10)
    bench.writer.failure = StoreUnavailableError("the store is away")
    bench.recorder.start()
    records = bench.record(1_500)
    assert bench.recorder.backlog == 10
    assert bench.journals() > 1
    bench.writer.failure = None
    bench.wait(lambda: len(bench.stored()) == len(records))
    assert bench.stored() == ids(records)
    records += bench.record(5)
    assert bench.recorder.stop(timeout_s=TIMEOUT_S)
    assert bench.stored() == ids(records)
    bench.journal.close()
    assert bench.journals() == 0
    assert check(bench.store) == []


def test_reading_back_does_not_store_a_refusal_that_is_still_being_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "IN_MEMORY", 0)
    counted = refusal()
    bench.journal.complete(counted)
    records = bench.record(3)
    bench.recorder.start()
    bench.wait(lambda: len(bench.stored()) == 3)
    assert bench.stored() == ids(records)
    counted.repeat_count = 7
    bench.journal.repeat(counted.id, 7)
    bench.recorder.put(counted, may_spill=False)
    assert bench.recorder.stop(timeout_s=TIMEOUT_S)
    with bench.store.read() as tx:
        statement = select(request_record.c.repeat_count).where(request_record.c.outcome == "rejected_auth")
        assert tx.scalars(statement).all() == [7]
    assert check(bench.store) == []


def test_who_waits_for_the_store_is_told_when_it_has_the_record(bench: Bench) -> None:
    bench.recorder.start()

    async def wait_for_both() -> None:
        records = []
        for _ in range(2):
            began = intent()
            bench.journal.open(began)
            records.append(ended(began))
            bench.journal.complete(records[-1])
        async with asyncio.timeout(TIMEOUT_S):
            first = asyncio.ensure_future(bench.recorder.put_and_wait(records[0]))
            left = asyncio.ensure_future(bench.recorder.put_and_wait(records[1]))
            await asyncio.sleep(0)
            left.cancel()
            await first
        assert records[0].id in bench.stored()

    asyncio.run(wait_for_both())
    bench.record(1)
    bench.wait(lambda: bench.recorder.written == 3)


def test_who_asks_later_is_told_at_once(bench: Bench) -> None:
    bench.recorder.start()
    [record] = bench.record(1)
    bench.wait(lambda: bench.recorder.backlog == 0)

    async def ask() -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await bench.recorder.committed(record)
        assert bench.stored() == [record.id]

    asyncio.run(ask())
    assert bench.recorder._waiters == {}


def test_who_waits_for_a_store_that_is_away_waits(bench: Bench) -> None:
    bench.writer.failure = StoreUnavailableError("the store is away")
    bench.recorder.start()

    async def wait_out_the_failure() -> None:
        began = intent()
        bench.journal.open(began)
        record = ended(began)
        bench.journal.complete(record)
        waiting = asyncio.ensure_future(bench.recorder.put_and_wait(record))
        await asyncio.to_thread(bench.wait, lambda: not bench.recorder.store_available)
        assert not waiting.done()
        bench.writer.failure = None
        async with asyncio.timeout(TIMEOUT_S):
            await waiting
        assert bench.stored() == [record.id]

    asyncio.run(wait_out_the_failure())


def test_stopping_with_the_store_away_leaves_the_rest_to_recovery(bench: Bench) -> None:
    bench.recorder.start()
    before = bench.record(3)
    bench.wait(lambda: len(bench.stored()) == 3)
    bench.writer.failure = StoreUnavailableError("the store is away")
    records = bench.record(4)
    assert not bench.recorder.stop(timeout_s=TIMEOUT_S)
    bench.journal.close()
    assert bench.journals() == 1
    bench.writer.failure = None
    batches = BatchWriter(bench.writer, alarm=bench.alarms.append)
    found = recover(bench.journal.directory, store_all=batches.store_all, rate=rate)
    assert (found.segments, found.interrupted, found.damaged) == (1, 0, ())
    assert bench.stored() == ids(before + records)
    assert bench.journals() == 0
    assert check(bench.store) == []


def test_stopping_writes_what_is_left(bench: Bench) -> None:
    records = bench.record(2 * BATCH + 5)
    bench.recorder.start()
    assert bench.recorder.stop(timeout_s=TIMEOUT_S)
    assert bench.stored() == ids(records)
