"""Coalesced refusals: few rows, and the counts are exact, also after a crash in the middle."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from service.errors import JournalFullError
from service.ledger import refusals as refusals_module
from service.ledger.batches import BatchWriter
from service.ledger.journal import Journal
from service.ledger.record import RequestRecord
from service.ledger.recorder import Recorder
from service.ledger.recovery import recover
from service.ledger.refusals import MICROS, QUIET_S, WINDOWS_S, RefusalCoalescer
from service.ledger.writer import Writer
from service.store.engine import Store
from service.store.tables import request_record
from tests.ledger.making import T0, DiskJournal, rate, refusal
from tests.support.records import wipe


class Desk:
    """A coalescer on a clock that is turned by hand; what leaves it is kept in `put`."""

    def __init__(self, store: Store, directory: Path) -> None:
        self.now = T0
        self.put: list[RequestRecord] = []
        self.journal = DiskJournal(directory)
        self.batches = BatchWriter(Writer(store, clock=lambda: T0), alarm=self.journal.alarms.append)
        self.refusals = RefusalCoalescer(self.journal, Keeping(self), clock=lambda: self.now)

    def refuse(self, address: str | None = "192.0.2.1") -> None:
        self.refusals.refuse(refusal(address, at=self.now))

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * MICROS)
        self.refusals.tick()

    @property
    def counts(self) -> list[int]:
        return [record.repeat_count for record in self.put]


class Keeping(Recorder):
    """A recorder that only keeps what it is given."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.batches, desk.journal, alarm=desk.journal.alarms.append)
        self._desk = desk

    def put(self, record: RequestRecord, *, may_spill: bool = True) -> None:
        assert not may_spill, "a spilled count would be read back too small"
        self._desk.put.append(record)


@pytest.fixture
def desk(sqlite_store: Store, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(sqlite_store, tmp_path / "journal")
    yield made
    made.journal.close()


def test_the_first_refusal_is_a_record_at_once_and_the_next_ones_are_counted(desk: Desk) -> None:
    desk.refuse()
    assert desk.counts == [1]
    for _ in range(41):
        desk.refuse()
    assert desk.counts == [1]
    desk.advance(WINDOWS_S[0])
    assert desk.counts == [1, 41]
    assert desk.put[1].started_at == T0


def test_while_the_flood_goes_on_the_windows_grow(desk: Desk) -> None:
    desk.refuse()
    for expected_s in (*WINDOWS_S, WINDOWS_S[-1]):
        rows = len(desk.put)
        desk.refuse()
        desk.refuse()
        desk.advance(expected_s - 0.001)
        assert len(desk.put) == rows
        desk.advance(0.001)
        assert desk.counts[rows:] == [2]


def test_after_a_quiet_minute_it_starts_afresh(desk: Desk) -> None:
    desk.refuse()
    desk.advance(WINDOWS_S[0])
    desk.advance(QUIET_S - 1)
    desk.refuse()
    assert desk.counts == [1], "still the same flood: counted, not yet written"
    desk.advance(1)
    assert desk.counts == [1, 1]
    desk.advance(WINDOWS_S[1] + QUIET_S)
    desk.refuse()
    assert desk.counts == [1, 1, 1]


def test_addresses_and_reasons_are_counted_apart(desk: Desk) -> None:
    for address in ("192.0.2.1", "192.0.2.2", None):
        for _ in range(3):
            desk.refuse(address)
    other = refusal()
    other.error_code = "rate_limit_exceeded"
    desk.refusals.refuse(other)
    desk.refusals.close()
    found = sorted(
        (record.client_address or "", record.error_code, record.repeat_count) for record in desk.put
    )
    assert found == [
        ("", "invalid_api_key", 1),
        ("", "invalid_api_key", 2),
        ("192.0.2.1", "invalid_api_key", 1),
        ("192.0.2.1", "invalid_api_key", 2),
        ("192.0.2.1", "rate_limit_exceeded", 1),
        ("192.0.2.2", "invalid_api_key", 1),
        ("192.0.2.2", "invalid_api_key", 2),
    ]


def test_too_many_addresses_share_one_record(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals_module, "MAX_ADDRESSES", 3)
    for number in range(10):
        desk.refuse(f"192.0.2.{number}")
    desk.refuse("192.0.2.1")
    desk.refusals.close()
    counts = {(record.client_address, record.repeat_count) for record in desk.put}
    assert counts == {("192.0.2.0", 1), ("192.0.2.1", 1), ("192.0.2.2", 1), (None, 1), (None, 6)}
    assert sum(desk.counts) == 11


def test_a_full_journal_still_counts_in_memory(desk: Desk) -> None:
    desk.journal.disk.full = True
    fill(desk.journal)
    for _ in range(5):
        desk.refuse("192.0.2.9")
    desk.refusals.close()
    assert sum(desk.counts) == 5


def fill(journal: Journal) -> None:
    """Leave no room for anything."""
    long = refusal()
    long.usage_raw = "x" * 20_000
    try:
        while True:
            long.id = refusal().id
            journal.complete(long)
    except JournalFullError:
        return


steps = st.lists(
    st.one_of(
        st.tuples(st.just("refuse"), st.sampled_from(["192.0.2.1", "192.0.2.2", None]), st.integers(1, 9)),
        st.tuples(st.just("advance"), st.none(), st.integers(1, 40)),
        st.tuples(st.just("store"), st.none(), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_a_crash_keeps_every_count(
    sqlite_store: Store, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str | None, int]]
) -> None:
    """Whatever of it was stored before, records and journal together hold each refusal once."""
    wipe(sqlite_store)
    desk = Desk(sqlite_store, tmp_path_factory.mktemp("journal"))
    refused = 0
    for what, address, number in steps:
        match what:
            case "refuse":
                for _ in range(number):
                    desk.refuse(address)
                refused += number
            case "advance":
                desk.advance(number)
            case "store":
                desk.batches.store(desk.put)
                desk.journal.stored([record.id for record in desk.put])
                desk.put.clear()
    desk.journal.crash()
    for _ in range(2):
        recover(desk.journal.directory, store_all=desk.batches.store_all, rate=rate)
        with sqlite_store.read() as tx:
            assert sum(tx.scalars(select(request_record.c.repeat_count))) == refused
