"""Recovery: what a dead process left becomes records, once, whoever does it and however often."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from service import logs
from service.errors import StoreUnavailableError
from service.ledger.adoption import AdoptionLoop
from service.ledger.batches import BatchWriter
from service.ledger.frames import Kind, encode_frame
from service.ledger.record import Intent, Progress, RequestRecord, begin_record
from service.ledger.recovery import Recovered, Remains, interrupted, recover
from service.ledger.segments import Segment, segment_name
from service.ledger.writer import Writer
from service.reporting.check import check
from service.store.engine import Store
from service.store.tables import request_record
from tests.ledger.making import T0, DiskJournal, ended, intent, opening, rate, refusal
from tests.support.stores import copied_sqlite


class Stored:
    """Takes records as a store does: the first of an id counts."""

    def __init__(self) -> None:
        self.records: dict[bytes, RequestRecord] = {}
        self.away_after: int | None = None

    def __call__(self, records: list[RequestRecord]) -> None:
        for record in records:
            if self.away_after is not None:
                if self.away_after == 0:
                    raise StoreUnavailableError("the store is away")
                self.away_after -= 1
            self.records.setdefault(record.id, record)

    def outcomes(self) -> list[str]:
        return [record.outcome for record in self.records.values()]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[DiskJournal]:
    made = DiskJournal(tmp_path / "journal")
    yield made
    if made._chain.segments:
        made.close()


def run(journal: DiskJournal, stored: Stored) -> Recovered:
    return recover(journal.directory, store_all=stored, rate=rate)


def left(journal: DiskJournal) -> list[str]:
    return sorted(path.suffix for path in journal.directory.iterdir())


def progress(of: Intent, *, input_tokens: int | None = None) -> Progress:
    return Progress(of.opening.id, 200, 900, 12, 31.5, input_tokens, 17, 11, 23)


def test_what_ended_is_stored_as_it_ended_and_the_rest_as_interrupted(journal: DiskJournal) -> None:
    over, running = intent(), intent(estimate_nanos=77, price_id="card")
    journal.open(over)
    journal.open(running)
    record = ended(over)
    journal.complete(record)
    journal.crash()
    stored = Stored()
    assert run(journal, stored) == Recovered(segments=1, records=1, interrupted=1, damaged=())
    assert stored.records[over.opening.id] == record
    assert stored.records[running.opening.id].outcome == "interrupted"
    assert left(journal) == []


def test_of_a_request_s_attempts_the_last_is_final(journal: DiskJournal) -> None:
    first, second = intent(), intent()
    second.opening.request_id, second.opening.attempt = first.opening.request_id, 2
    for one in (first, second):
        journal.open(one)
    journal.crash()
    stored = Stored()
    run(journal, stored)
    assert [stored.records[one.opening.id].final for one in (first, second)] == [False, True]


def test_recovering_twice_is_recovering_once(journal: DiskJournal) -> None:
    over, running = intent(), intent()
    for one in (over, running):
        journal.open(one)
    journal.complete(ended(over))
    journal.crash()
    [segment] = journal.directory.iterdir()
    content = segment.read_bytes()
    stored = Stored()
    run(journal, stored)
    once = dict(stored.records)
    segment.write_bytes(content)
    assert run(journal, stored).segments == 1
    assert stored.records == once


def test_an_intent_and_its_end_in_two_segments_belong_together(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path / "journal", segment_bytes=8 * 24 * 1024)
    long = intent()
    journal.open(long)
    while len(list(journal.directory.iterdir())) < 3:
        one = intent()
        journal.open(one)
        record = ended(one)
        record.usage_raw = "x" * 20_000
        journal.complete(record)
    journal.complete(ended(long))
    journal.crash()
    stored = Stored()
    found = run(journal, stored)
    assert (found.segments, found.interrupted) == (3, 0)
    assert set(stored.outcomes()) == {"ok"}


def test_a_refusal_is_counted_across_segments(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    directory.mkdir()
    record = refusal()
    frames = [
        encode_frame(Kind.COMPLETION, msgspec.msgpack.encode(record)),
        encode_frame(Kind.REPEAT, msgspec.msgpack.encode((record.id, 9))),
        encode_frame(Kind.REPEAT, msgspec.msgpack.encode((record.id, 4))),
        encode_frame(Kind.REPEAT, msgspec.msgpack.encode((refusal().id, 99))),
    ]
    for number, frame in enumerate(frames):
        segment = Segment(directory / segment_name("0000000000001-1", number), size=4096)
        segment.write(frame)
        segment.leave()
    stored = Stored()
    assert recover(directory, store_all=stored, rate=rate).records == 1
    assert [one.repeat_count for one in stored.records.values()] == [9]


# What an interrupted attempt is charged


def test_without_progress_the_prompt_is_charged_and_marked_as_an_estimate() -> None:
    what = intent(bytes_in=160, tags=("a",))
    record = interrupted(what, None, rate=rate)
    expected = begin_record(what.opening)
    expected.outcome = "interrupted"
    expected.error_type, expected.error_code = "interrupted", "process_ended"
    expected.input_tokens, expected.output_tokens = 40, 0
    expected.usage_source = "estimated"
    expected.usage_low, expected.usage_high = 20, 80
    expected.cost_nanos, expected.cost_status = 40, "priced"
    assert record == expected


def test_progress_says_how_far_it_came() -> None:
    what = intent()
    record = interrupted(what, progress(what), rate=rate)
    assert (record.http_status, record.bytes_out, record.chunks, record.ttft_ms) == (200, 900, 12, 31.5)
    assert (record.input_tokens, record.output_tokens, record.cost_nanos) == (40, 17, 57)
    assert (record.usage_low, record.usage_high) == (31, 103)


def test_a_prompt_that_the_upstream_counted_outranks_the_estimate() -> None:
    what = intent()
    record = interrupted(what, progress(what, input_tokens=55), rate=rate)
    assert (record.input_tokens, record.output_tokens, record.cost_nanos) == (55, 17, 72)


def test_where_nobody_can_tell_nothing_is_made_up() -> None:
    record = interrupted(Intent(opening()), None, rate=rate)
    assert (record.input_tokens, record.usage_source, record.cost_nanos) == (None, "none", None)
    assert record.cost_status == "unpriced"


def test_only_the_last_progress_counts_and_none_of_what_has_ended(journal: DiskJournal) -> None:
    over, running = intent(), intent()
    for one in (over, running):
        journal.open(one)
        journal.progress(progress(one, input_tokens=1))
        journal.progress(progress(one, input_tokens=60))
    journal.complete(ended(over))
    journal.progress(progress(over, input_tokens=70))
    journal.crash()
    stored = Stored()
    run(journal, stored)
    assert stored.records[running.opening.id].input_tokens == 60
    assert stored.records[over.opening.id].input_tokens == 100


# Damage


def test_a_torn_tail_is_cut_and_the_file_goes(journal: DiskJournal) -> None:
    one = intent()
    journal.open(one)
    used = journal._chain.current.used
    journal.complete(ended(one))
    journal.crash()
    [path] = journal.directory.iterdir()
    with path.open("r+b") as file:
        file.truncate(used + 20)
    stored = Stored()
    assert run(journal, stored) == Recovered(segments=1, records=0, interrupted=1, damaged=())
    assert left(journal) == []


def test_a_damaged_segment_is_read_as_far_as_possible_and_kept_aside(journal: DiskJournal) -> None:
    first, second, third = intent(), intent(), intent()
    journal.open(first)
    hole = journal._chain.current.used + 30
    journal.open(second)
    journal.open(third)
    journal.complete(ended(third))
    journal.crash()
    [path] = journal.directory.iterdir()
    with path.open("r+b") as file:
        file.seek(hole)
        file.write(b"\xff\xff")
    stored = Stored()
    found = run(journal, stored)
    assert stored.records.keys() == {first.opening.id, third.opening.id}
    assert found.damaged == (path.with_suffix(".damaged"),)
    assert left(journal) == [".damaged"]
    assert run(journal, stored).segments == 0


def test_a_frame_of_another_version_is_damage_and_holds_nobody_up(journal: DiskJournal) -> None:
    before, after = intent(), intent()
    journal.open(before)
    record = msgspec.structs.replace(ended(intent()), outcome="an outcome of the future")
    journal._append(encode_frame(Kind.COMPLETION, msgspec.msgpack.encode(record)), record.id)
    journal.open(after)
    journal.complete(ended(after))
    journal.crash()
    stored = Stored()
    found = run(journal, stored)
    assert sorted(stored.outcomes()) == ["interrupted", "ok"]
    assert len(found.damaged) == 1
    assert left(journal) == [".damaged"]


# Interruptions of the recovery itself


@pytest.mark.parametrize("taken", range(7))
def test_a_store_that_goes_away_in_the_middle_leaves_the_journal(tmp_path: Path, taken: int) -> None:
    journals = [DiskJournal(tmp_path / "journal") for _ in range(2)]
    expected = {}
    for journal in journals:
        for end in (True, True, False):
            one = intent()
            journal.open(one)
            if end:
                journal.complete(ended(one))
            expected[one.opening.id] = "ok" if end else "interrupted"
    for journal in journals:
        journal.crash()
    stored = Stored()
    if taken < len(expected):
        stored.away_after = taken
        with pytest.raises(StoreUnavailableError):
            run(journals[0], stored)
        stored.away_after = None
    run(journals[0], stored)
    assert {identifier: record.outcome for identifier, record in stored.records.items()} == expected
    assert left(journals[0]) == []


RECOVERER = """
import sys
from pathlib import Path
from service.ledger.batches import BatchWriter
from service.ledger.recovery import recover
from service.ledger.writer import Writer
from service.store.engine import Store
from tests.ledger.making import rate
store = Store(sys.argv[2])
batches = BatchWriter(Writer(store, clock=lambda: 0), alarm=print)
sys.stdin.read(1)
for _ in range(20):
    recover(Path(sys.argv[1]), store_all=batches.store_all, rate=rate)
store.close()
"""


def test_two_processes_that_recover_at_once_disturb_nothing(sqlite_store: Store, tmp_path: Path) -> None:
    expected = {}
    for _ in range(12):
        journal = DiskJournal(tmp_path / "journal", segment_bytes=8 * 24 * 1024)
        long = intent()
        journal.open(long)
        expected[long.opening.id] = "ok"
        for number in range(14):
            one = intent()
            journal.open(one)
            expected[one.opening.id] = "ok" if number % 5 else "interrupted"
            if number % 5:
                record = ended(one)
                record.usage_raw = "x" * 15_000
                journal.complete(record)
        journal.complete(ended(long))
        journal.crash()
    assert len(list(journal.directory.iterdir())) >= 24
    command = [sys.executable, "-c", RECOVERER, str(journal.directory), str(sqlite_store.url)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) for _ in range(2)]
    for process in both:
        process.communicate(b"\n")
        assert process.returncode == 0
    stored = BatchWriter(Writer(sqlite_store, clock=lambda: 0), alarm=print).store_all
    recover(journal.directory, store_all=stored, rate=rate)
    with sqlite_store.read() as tx:
        rows = tx.execute(select(request_record.c.id, request_record.c.outcome))
        assert {row.id.bytes: row.outcome for row in rows} == expected
    assert check(sqlite_store) == []


def test_remains_hold_only_what_is_open() -> None:
    remains = Remains()
    assert remains.repeated() == []
    assert remains.interrupted(rate) == []


# The thread that does it


def wait(happened: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(6_000):
        if happened():
            return
        pause.wait(0.01)
    raise AssertionError("not within a minute")


def wait_until_gone(directory: Path) -> None:
    wait(lambda: not list(directory.glob("*.journal")))


def test_the_adoption_loop_recovers_now_and_later_and_survives_failures(
    tmp_path: Path, sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure()
    directory = tmp_path / "journal"
    first = DiskJournal(directory)
    first.open(intent())
    first.crash()
    store = Store(copied_sqlite(Path(sqlite_url.removeprefix("sqlite:///")), to=tmp_path / "copy.db"))
    batches = BatchWriter(Writer(store, clock=lambda: T0), alarm=print)
    heard: list[str] = []
    loop = AdoptionLoop(directory, batches=batches, rate=rate, settled=heard.append, interval_s=0.01)
    loop.start()
    wait_until_gone(directory)
    stray = directory / "0-stray.journal"
    stray.mkdir()
    second = DiskJournal(directory)
    one, other = intent(), intent()
    second.open(one)
    hole = second._chain.current.used - 5
    second.open(other)
    path = second._chain.current.path
    with path.open("r+b") as file:
        file.seek(hole)
        file.write(b"\xff")
    second.crash()
    wait(lambda: "recovery_failed" in capsys.readouterr().err)
    stray.rmdir()
    wait_until_gone(directory)
    loop.stop()
    assert "journal_damaged" in capsys.readouterr().err
    with store.read() as tx:
        assert len(tx.execute(select(request_record.c.id)).all()) == 2
    assert heard == [first.owner]  # of a damaged journal nobody knows what it spent
    store.close()


def test_the_adoption_loop_waits_for_a_store_that_is_away(tmp_path: Path, sqlite_store: Store) -> None:
    class Away(Writer):
        tries = 0

        def write(self, records: Sequence[RequestRecord]) -> int:
            Away.tries += 1
            if Away.tries < 3:
                raise StoreUnavailableError("the store is away")
            return super().write(records)

    journal = DiskJournal(tmp_path / "journal")
    journal.open(intent())
    journal.crash()
    batches = BatchWriter(Away(sqlite_store, clock=lambda: T0), alarm=print)
    heard: list[str] = []
    loop = AdoptionLoop(journal.directory, batches=batches, rate=rate, settled=heard.append, interval_s=0.01)
    loop.start()
    wait_until_gone(journal.directory)
    loop.stop()
    assert Away.tries == 3
    assert heard == [journal.owner]


def test_an_adoption_loop_that_never_ran_can_be_stopped(tmp_path: Path, sqlite_store: Store) -> None:
    batches = BatchWriter(Writer(sqlite_store, clock=lambda: T0), alarm=print)
    AdoptionLoop(tmp_path, batches=batches, rate=rate, settled=print).stop()
