"""Crashes anywhere between journal, recorder, store and recovery: nothing is lost and nothing is doubled.

Two relay processes share a data directory and a store. Each step either returns, and then its effect must last, or
is the one the process died in. A crash gives up the process's locks and leaves its files as they are.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from service.errors import JournalFullError, StoreUnavailableError
from service.ledger import recorder as recorder_module
from service.ledger.batches import BatchWriter
from service.ledger.record import Intent, Progress, RequestRecord
from service.ledger.recorder import Recorder
from service.ledger.recovery import recover
from service.ledger.refusals import MICROS, RefusalCoalescer
from service.ledger.writer import Writer
from service.reporting.check import check
from service.store.engine import Store
from service.store.tables import request_record
from tests.ledger.making import T0, Disk, DiskJournal, ended, intent, rate, refusal
from tests.support.records import wipe

SEGMENT = 8 * 24 * 1024
IN_MEMORY = 3
WHO = st.integers(0, 1)


class FailingWriter(Writer):
    """Fails the next write: before its commit, or after it, when nobody can tell."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, clock=lambda: T0)
        self.fail: str | None = None

    def write(self, records: Sequence[RequestRecord]) -> int:
        fail, self.fail = self.fail, None
        if fail == "before":
            raise StoreUnavailableError("the store is away")
        new = super().write(records)
        if fail == "after":
            raise StoreUnavailableError("the store went away; who knows whether it has committed")
        return new


class Relay:
    """One relay process, its recorder driven step by step."""

    def __init__(self, directory: Path, writer: Writer, *, now: int) -> None:
        self.now = now
        self.journal = DiskJournal(directory, disk=Disk(), segment_bytes=SEGMENT)
        self.batches = BatchWriter(writer, alarm=self.journal.alarms.append)
        self.recorder = Recorder(self.batches, self.journal, alarm=self.journal.alarms.append)
        self.refusals = RefusalCoalescer(self.journal, self.recorder, clock=lambda: self.now)
        self.running: list[Intent] = []


class Crashes(RuleBasedStateMachine):
    """Steps of two relays on one store."""

    store: Store
    """Set by the test, because a store of its own for every example would take longer than the example."""

    @initialize()
    def begin(self) -> None:
        wipe(self.store)
        self.directory = Path(tempfile.mkdtemp(prefix="tollkeeper-crashes-"))
        self.writer = FailingWriter(self.store)
        self.expected: dict[bytes, str] = {}
        self.refused = 0
        self.now = T0
        self.relays = [self.start() for _ in range(2)]

    def start(self) -> Relay:
        return Relay(self.directory, self.writer, now=self.now)

    @rule(who=WHO)
    def open(self, who: int) -> None:
        self._open(self.relays[who])

    @rule(who=WHO, data=st.data())
    def tell_progress(self, who: int, data: st.DataObject) -> None:
        relay = self.relays[who]
        if relay.running:
            one = data.draw(st.sampled_from(relay.running))
            relay.journal.progress(Progress(one.opening.id, 200, 5, 1, 1.0, None, 3, 2, 4))

    @rule(who=WHO, data=st.data(), length=st.integers(0, 20_000))
    def complete(self, who: int, data: st.DataObject, length: int) -> None:
        relay = self.relays[who]
        if relay.running:
            one = relay.running.pop(data.draw(st.integers(0, len(relay.running) - 1)))
            relay.recorder.put(self._complete(relay, one, length))

    @rule(who=WHO, data=st.data())
    def die_after_the_completion(self, who: int, data: st.DataObject) -> None:
        """The record is in the journal and nowhere else."""
        relay = self.relays[who]
        if relay.running:
            self._complete(relay, relay.running.pop(data.draw(st.integers(0, len(relay.running) - 1))), 0)
            self.crash(who)

    @rule(who=WHO, data=st.data(), completing=st.booleans())
    def die_in_the_middle_of_a_write(self, who: int, data: st.DataObject, *, completing: bool) -> None:
        """The last frame is torn; nobody was told that it was written."""
        relay = self.relays[who]
        chain = relay.journal._chain
        relay.journal._sync.stop()  # a frame that was never written whole is not written elsewhere either
        before, used = chain.current, chain.current.used
        if completing and relay.running:
            relay.journal.complete(ended(relay.running[-1]))
        elif (opened := self._open(relay)) is not None:
            del self.expected[opened.opening.id]
        else:
            self.crash(who)
            return
        torn = chain.current
        written = torn.used - used if torn is before else torn.used
        keep = torn.used - data.draw(st.integers(1, written))
        with torn.path.open("r+b") as file:
            file.truncate(keep)
        self.crash(who)

    @rule(who=WHO, times=st.integers(1, 4), address=st.sampled_from(["192.0.2.1", None]))
    def refuse(self, who: int, times: int, address: str | None) -> None:
        relay = self.relays[who]
        if relay.journal.disk.full:
            return  # then memory is all there is, and a crash may lose a count
        for _ in range(times):
            relay.refusals.refuse(refusal(address, at=self.now))
        self.refused += times

    @rule(seconds=st.integers(1, 40))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * MICROS
        for relay in self.relays:
            relay.now = self.now
            relay.refusals.tick()

    @rule(who=WHO)
    def write(self, who: int) -> None:
        self.relays[who].recorder._drain()

    @rule(who=WHO, when=st.sampled_from(["before", "after"]), dies=st.booleans())
    def write_and_fail(self, who: int, when: str, *, dies: bool) -> None:
        self.writer.fail = when
        try:
            self.relays[who].recorder._drain()
        except StoreUnavailableError:
            if dies:
                self.crash(who)
        self.writer.fail = None

    @rule(who=WHO, full=st.booleans())
    def disk(self, who: int, *, full: bool) -> None:
        self.relays[who].journal.disk.full = full

    @rule(who=WHO)
    def sync_fails(self, who: int) -> None:
        self.relays[who].journal.disk.syncs_to_fail = 1

    @rule(who=WHO)
    def crash(self, who: int) -> None:
        self.relays[who].journal.crash()
        self.relays[who] = self.start()

    @rule(who=WHO)
    def restart(self, who: int) -> None:
        """An orderly end; what still runs is interrupted at the next start."""
        relay = self.relays[who]
        relay.refusals.close()
        relay.recorder._drain()
        relay.journal.close()
        self.relays[who] = self.start()

    @rule()
    def adopt(self) -> None:
        self._recover()

    @rule(when=st.sampled_from(["before", "after"]))
    def adopt_and_fail(self, when: str) -> None:
        self.writer.fail = when
        with contextlib.suppress(StoreUnavailableError):
            self._recover()
        self.writer.fail = None

    @precondition(lambda self: hasattr(self, "relays"))
    @invariant()
    def nothing_is_doubled_or_made_up(self) -> None:
        for identifier, outcome in self._stored().items():
            assert self.expected[identifier] == outcome

    def teardown(self) -> None:
        if not hasattr(self, "relays"):
            return
        for relay in self.relays:
            relay.journal.crash()
        self._recover()
        assert self._stored() == self.expected
        with self.store.read() as tx:
            refusals = select(request_record.c.repeat_count).where(
                request_record.c.outcome == "rejected_auth"
            )
            assert sum(tx.scalars(refusals)) == self.refused
        assert check(self.store) == []
        assert list(self.directory.iterdir()) == []
        shutil.rmtree(self.directory)

    def _open(self, relay: Relay) -> Intent | None:
        one = intent()
        try:
            relay.journal.open(one)
        except JournalFullError:
            assert relay.journal.disk.full
            return None
        relay.running.append(one)
        self.expected[one.opening.id] = "interrupted"
        return one

    def _complete(self, relay: Relay, one: Intent, length: int) -> RequestRecord:
        record = ended(one)
        record.usage_raw = "x" * length
        relay.journal.complete(record)
        self.expected[record.id] = "ok"
        return record

    def _recover(self) -> None:
        batches = BatchWriter(self.writer, alarm=pytest.fail)
        recover(self.directory, store_all=batches.store_all, rate=rate)

    def _stored(self) -> dict[bytes, str]:
        with self.store.read() as tx:
            columns = request_record.c.id, request_record.c.outcome
            rows: Any = tx.execute(select(*columns).where(request_record.c.outcome != "rejected_auth"))
            return {row.id.bytes: row.outcome for row in rows}


def test_whatever_happens_every_request_has_exactly_one_record(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "IN_MEMORY", IN_MEMORY)
    monkeypatch.setattr("service.ledger.group_sync.RETRY_S", 0.01)
    Crashes.store = sqlite_store
    run_state_machine_as_test(
        Crashes, settings=settings(max_examples=12, stateful_step_count=30, deadline=None)
    )
