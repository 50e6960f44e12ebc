"""The journal: room that is promised is there, files go when the store has them, and the disk may fail."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import JournalError, JournalFullError
from service.ledger.chain import RESERVE
from service.ledger.frames import HEADER, Kind, scan
from service.ledger.journal import LARGEST_COMPLETION, Journal
from service.ledger.record import Intent, Progress, RequestRecord
from service.ledger.recorder import completed
from service.ledger.segments import Segment
from tests.ledger.making import Disk, DiskJournal, ended, intent, refusal

SEGMENT = 8 * RESERVE


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.journal"))


def kinds(directory: Path) -> list[Kind]:
    return [frame.kind for path in files(directory) for frame in scan(path.read_bytes()).frames]


def fat(record: RequestRecord, size: int) -> RequestRecord:
    """*record* grown so that its completion takes about *size* bytes of the journal, at most its reserve."""
    bare = HEADER.size + len(msgspec.msgpack.encode(record)) + 4
    record.usage_raw = "x" * max(0, min(size, RESERVE) - bare)
    return record


def fill(journal: Journal, *, ended_with: int = 0) -> tuple[list[Intent], str]:
    """Open requests until the journal refuses; returns them and what it said. Each may end with so many bytes."""
    opened: list[Intent] = []
    while True:
        one = intent()
        try:
            journal.open(one)
        except JournalFullError as error:
            return opened, str(error)
        opened.append(one)
        if ended_with:
            journal.complete(fat(ended(one), ended_with))


def refuse_until_full(journal: Journal) -> None:
    """Record refusals, which reserve nothing, until the journal has no room for one more."""
    while True:
        journal.complete(fat(refusal(), RESERVE - 100))


def progress(of: Intent) -> Progress:
    return Progress(of.opening.id, 200, 10, 2, 1.5, None, 5, 3, 9)


def test_an_attempt_leaves_its_frames_in_order(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path / "journal")
    began = intent()
    journal.open(began)
    assert journal.open_count == 1
    journal.progress(progress(began))
    journal.complete(ended(began))
    assert journal.open_count == 0
    journal.repeat(began.opening.id, 3)
    assert kinds(journal.directory) == [Kind.INTENT, Kind.PROGRESS, Kind.COMPLETION, Kind.REPEAT]
    journal.close()
    assert kinds(journal.directory) == [Kind.INTENT, Kind.PROGRESS, Kind.COMPLETION, Kind.REPEAT]


def test_it_ends_without_a_trace_when_the_store_has_everything(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path)
    began = [intent() for _ in range(20)]
    for one in began:
        journal.open(one)
    for one in began:
        journal.complete(ended(one))
    journal.stored([one.opening.id for one in began])
    journal.close()
    assert files(tmp_path) == []
    assert journal.bytes_on_disk == 0


def test_what_the_store_does_not_have_stays_at_the_end(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path)
    running, over = intent(), intent()
    journal.open(running)
    journal.open(over)
    journal.complete(ended(over))
    journal.stored([over.opening.id])
    journal.close()
    assert kinds(tmp_path) == [Kind.INTENT, Kind.INTENT, Kind.COMPLETION]


def test_a_segment_goes_when_the_last_of_its_records_is_stored_and_not_before(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT)
    early = intent()
    journal.open(early)
    [first] = files(tmp_path)
    for _ in range(40):
        one = intent()
        journal.open(one)
        journal.complete(fat(ended(one), RESERVE // 2))
        journal.stored([one.opening.id])
    assert len(files(tmp_path)) == 2
    assert first.exists(), "it holds the intent of a running request"
    journal.complete(ended(early))
    assert first.exists()
    journal.stored([early.opening.id])
    assert not first.exists()
    assert len(files(tmp_path)) <= 2
    journal.close()


def test_an_empty_used_up_segment_is_left_for_a_new_one(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT)
    [first] = files(tmp_path)
    for _ in range(10):
        one = intent()
        journal.open(one)
        journal.complete(fat(ended(one), RESERVE))
        journal.stored([one.opening.id])
    assert not first.exists()
    assert len(files(tmp_path)) == 1
    journal.close()


def test_a_record_in_two_segments_holds_both(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT)
    long = intent()
    journal.open(long)
    others = []
    while scan(files(tmp_path)[-1].read_bytes()).frames == [] or len(files(tmp_path)) < 2:
        others.append(intent())
        journal.open(others[-1])
        journal.complete(fat(ended(others[-1]), RESERVE))
    journal.complete(ended(long))
    journal.stored([one.opening.id for one in others])
    assert len(files(tmp_path)) == 2
    journal.stored([long.opening.id])
    assert len(files(tmp_path)) == 1
    journal.close()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(SEGMENT, SEGMENT + RESERVE - 1))
def test_an_open_request_always_finds_room_for_its_end(
    tmp_path_factory: pytest.TempPathFactory, seed: int, opened: int, size: int
) -> None:
    """Whatever was opened before the disk filled up can end, in any order, with records of any length."""
    random = Random(seed)
    journal = DiskJournal(tmp_path_factory.mktemp("journal"), segment_bytes=size)
    running: list[Intent] = []
    for _ in range(opened):
        running.append(intent())
        journal.open(running[-1])
        if random.random() < 0.3:
            one = running.pop(random.randrange(len(running)))
            journal.complete(fat(ended(one), random.choice((700, RESERVE // 2, RESERVE))))
            journal.stored([one.opening.id])
        if random.random() < 0.2:
            journal.complete(refusal())
    journal.disk.full = True
    refused = 0
    random.shuffle(running)
    for one in running:
        for _ in range(random.randrange(4)):
            journal.progress(progress(one))
            journal.repeat(one.opening.id, 2)
        try:
            journal.complete(refusal())
        except JournalFullError:
            refused += 1
        journal.complete(fat(ended(one), random.choice((700, RESERVE // 2, RESERVE))))
        if random.random() < 0.5:
            journal.stored([one.opening.id])
    journal.crash()
    shutil.rmtree(journal.directory)


def test_a_full_disk_refuses_new_requests_and_says_so(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT)
    journal.disk.full = True
    running, reason = fill(journal)
    assert reason.startswith(f"the disk under {tmp_path} has no room for the journal: No space left")
    assert journal.open_count == len(running) == 6
    for one in running:
        journal.complete(fat(ended(one), RESERVE - 100))
    with pytest.raises(JournalFullError):
        refuse_until_full(journal)
    assert kinds(tmp_path).count(Kind.INTENT) == 6
    journal.disk.full = False
    journal.open(intent())
    journal.close()


def test_on_a_small_real_disk_nothing_open_is_lost(small_disk: tuple[Path, int]) -> None:
    directory, cap = small_disk
    alarms: list[str] = []
    journal = Journal(
        directory, max_bytes=cap, alarm=alarms.append, segment_bytes=SEGMENT, clock_ns=lambda: 1
    )
    running, reason = fill(journal)
    assert ("No space left on device" in reason) == (cap > 1 << 20)
    assert len(running) > 20
    for one in running:
        journal.complete(fat(ended(one), RESERVE - 100))
    stored = {record.id for path in files(directory) for record in completed(path.read_bytes())}
    assert stored == {one.opening.id for one in running}
    journal.stored(list(stored))
    journal.open(intent())
    journal.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A disk of 1 MiB and a cap beyond it; where none can be mounted, any disk and a cap of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        yield disk, 1 << 20
        return
    yield disk, 1 << 30
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_the_size_cap_warns_once_and_then_refuses(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT, max_bytes=8 * SEGMENT)
    held, reason = fill(journal, ended_with=RESERVE // 2)
    assert "bring the store back or raise relay.journal_max_bytes" in reason
    assert journal.bytes_on_disk == 8 * SEGMENT
    assert readiness(journal) == "nearly full"
    [alarm] = journal.alarms
    assert "80 % full" in alarm
    journal.stored([one.opening.id for one in held])
    assert readiness(journal) == "fine"
    journal.open(intent())
    journal.close()


def readiness(journal: Journal) -> str:
    return "nearly full" if journal.nearly_full else "fine"


def test_the_warning_comes_before_the_journal_is_full_and_again_after_it_was_better(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT, max_bytes=8 * SEGMENT)
    for warnings in (1, 2):
        held = []
        while len(journal.alarms) < warnings:
            one = intent()
            journal.open(one)  # no JournalFullError yet
            journal.complete(fat(ended(one), RESERVE // 2))
            held.append(one.opening.id)
        journal.stored(held)
    journal.close()


def test_a_cap_smaller_than_a_segment_is_a_cap_all_the_same(tmp_path: Path) -> None:
    journal = Journal(tmp_path, max_bytes=1 << 20, alarm=print, clock_ns=lambda: 1)
    running, _ = fill(journal)
    assert len(running) > 20
    assert journal.bytes_on_disk <= 1 << 20
    journal.close()


def test_a_record_longer_than_its_reserve_is_shortened(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path)
    one = intent()
    journal.open(one)
    record = ended(one)
    record.finish_reasons = ("🙂" * 256,) * 1024
    journal.complete(record)
    [written] = list(completed(files(tmp_path)[0].read_bytes()))
    assert written == record
    assert record.usage_flags == ("shortened",)
    assert (
        max(len(frame.body) for frame in scan(files(tmp_path)[0].read_bytes()).frames) <= LARGEST_COMPLETION
    )
    journal.close()


def test_progress_and_repeats_never_take_reserved_room(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT)
    journal.disk.full = True
    one = intent()
    journal.open(one)
    frame = HEADER.size + 40
    for _ in range(SEGMENT // frame):
        journal.progress(progress(one))
        journal.repeat(one.opening.id, 7)
    journal.complete(fat(ended(one), RESERVE - 100))
    assert journal.alarms == []
    journal.close()


def test_an_unusable_directory_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((JournalError, OSError), match="file"):
        DiskJournal(tmp_path / "file")
    disk = Disk()
    disk.full = True
    with pytest.raises(JournalError, match="cannot be written: No space left on device"):
        DiskJournal(tmp_path / "journal", disk=disk)


# Spilled records


def test_spilled_records_are_read_back_and_their_files_go(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT)
    began = [intent() for _ in range(30)]
    for one in began:
        journal.open(one)
        journal.complete(fat(ended(one), RESERVE // 2))
        assert journal.in_memory(one.opening.id)
        journal.spill(one.opening.id)
        assert not journal.in_memory(one.opening.id)
    found = []
    for segment, content in journal.take_spilled():
        found += [record.id for record in completed(content)]
        journal.respooled(segment)
    assert found == [one.opening.id for one in began]
    assert list(journal.take_spilled()) == []
    assert len(files(tmp_path)) == 1
    journal.close()
    assert files(tmp_path) == []


def test_spilled_segments_are_held_in_memory_one_at_a_time(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT)
    for _ in range(60):
        one = intent()
        journal.open(one)
        journal.complete(fat(ended(one), RESERVE // 2))
        journal.spill(one.opening.id)
    taken = journal.take_spilled()
    segment, _ = next(taken)
    assert segment.taken
    assert sum(bool(other.taken) for other in journal._chain.segments) == 1
    journal.close()


def test_a_long_journal_costs_disk_and_not_memory(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT)
    for _ in range(60):
        one = intent()
        journal.open(one)
        journal.complete(fat(ended(one), RESERVE // 2))
        journal.spill(one.opening.id)
    assert len(files(tmp_path)) > 3
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    used, current = files(tmp_path), journal._chain.current.path
    assert [path for path in used if str(path) in mapped] == used[used.index(current) :]
    journal.close()


def test_what_is_spilled_while_the_rest_is_stored_is_not_forgotten(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path)
    first, second = intent(), intent()
    for one in (first, second):
        journal.open(one)
        journal.complete(ended(one))
    journal.spill(first.opening.id)
    [(segment, content)] = journal.take_spilled()
    assert len(list(completed(content))) == 2
    journal.spill(second.opening.id)
    journal.respooled(segment)
    [(segment, content)] = journal.take_spilled()
    assert second.opening.id in {record.id for record in completed(content)}
    journal.respooled(segment)
    journal.close()
    assert files(tmp_path) == []


def test_on_a_full_disk_spilled_records_are_read_back_from_the_current_segment(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT)
    one = intent()
    journal.open(one)
    journal.complete(ended(one))
    journal.spill(one.opening.id)
    journal.disk.full = True
    [(segment, content)] = journal.take_spilled()
    assert [record.id for record in completed(content)] == [one.opening.id]
    journal.respooled(segment)
    journal.close()
    assert files(tmp_path) == []


def test_a_crash_keeps_what_was_spilled(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path)
    one = intent()
    journal.open(one)
    journal.complete(ended(one))
    journal.spill(one.opening.id)
    journal.close()
    assert kinds(tmp_path) == [Kind.INTENT, Kind.COMPLETION]


# A disk that fails


def wait(journal: Journal, position: int) -> None:
    async def synced() -> None:
        async with asyncio.timeout(30):
            await journal.synced(position)

    asyncio.run(synced())


def test_frames_that_could_not_be_synced_are_written_again_elsewhere(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT)
    before = intent()
    wait(journal, journal.open(before))
    [failing] = files(tmp_path)
    journal.disk.syncs_to_fail = 1
    after = intent()
    wait(journal, journal.open(after))
    failed, fresh = files(tmp_path)
    assert failed == failing
    assert fresh in journal.disk.synced
    assert "fdatasync of" in journal.alarms[0]
    assert [frame.kind for frame in scan(fresh.read_bytes()).frames] == [Kind.INTENT]
    journal.complete(ended(before))
    journal.complete(ended(after))
    assert len(scan(fresh.read_bytes()).frames) == 3, "the failed file is not written any more"
    journal.stored([after.opening.id])
    assert failed.exists(), "it holds a frame that was synced before the failure"
    journal.stored([before.opening.id])
    assert not failed.exists()
    journal.close()
    assert files(tmp_path) == []


def test_what_was_spilled_in_a_failed_segment_is_still_spilled(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT)
    one = intent()
    journal.disk.syncs_to_fail = 1
    journal.open(one)
    position = journal.complete(ended(one))
    journal.spill(one.opening.id)
    wait(journal, position)
    with files(tmp_path)[0].open("r+b") as failed:
        failed.write(bytes(SEGMENT))  # the kernel has dropped what it could not write
    found = set()
    for segment, content in journal.take_spilled():
        found |= {record.id for record in completed(content)}
        journal.respooled(segment)
    assert found == {one.opening.id}
    journal.close()
    assert files(tmp_path) == []


def test_a_failing_full_disk_alarms_and_keeps_trying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.ledger.group_sync.RETRY_S", 0.01)
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT)
    journal.disk.full = True
    journal.disk.syncs_to_fail = 1
    one = intent()
    journal.open(one)
    position = journal.complete(ended(one))

    async def synced() -> None:
        waiting = asyncio.ensure_future(journal.synced(position))
        async with asyncio.timeout(30):
            while not any("no new segment either" in alarm for alarm in journal.alarms):  # noqa: ASYNC110  (a thread's doing)
                await asyncio.sleep(0.005)
        assert not waiting.done(), "nobody is told that it is safe"
        journal.disk.full = False
        async with asyncio.timeout(30):
            await waiting

    asyncio.run(synced())
    assert journal.disk.synced == files(tmp_path)[-1:]
    journal.close()


def test_a_segment_that_fails_after_it_was_deleted_is_no_loss(tmp_path: Path) -> None:
    """The recorder deletes it while the other thread is in `fdatasync`: the store has all of it."""
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT)
    gone = journal._chain.current
    one = intent()
    journal.open(one)
    journal.complete(fat(ended(one), RESERVE))
    while not gone.path.exists() or journal._chain.current is gone:
        one = intent()
        journal.open(one)
        journal.complete(fat(ended(one), RESERVE))
        journal.stored([each.opening.id for each in (one,)])
    journal._chain.segments.remove(gone)
    journal._sync_failed(gone, [b"frame"], OSError(5, "Input/output error"))
    wait(journal, journal.open(intent()))
    assert b"frame" not in b"".join(path.read_bytes() for path in files(tmp_path) if path != gone.path)
    gone.delete()
    journal.close()


def test_the_reserve_outlives_failures_of_the_disk(tmp_path: Path) -> None:
    """Segments that were reserved for open requests are not skipped when one fails before them."""
    journal = DiskJournal(tmp_path, segment_bytes=SEGMENT)
    running = [intent() for _ in range(12)]
    for one in running:
        position = journal.open(one)
    wait(journal, position)
    journal.disk.syncs_to_fail = 1
    one = running.pop()
    wait(journal, journal.complete(ended(one)))
    journal.disk.full = True
    for one in running:
        journal.complete(fat(ended(one), RESERVE - 100))
    journal.close()


def test_an_adopter_that_sweeps_a_newborn_away_is_outrun(tmp_path: Path) -> None:
    class Swept(DiskJournal):
        sweeps = 1

        def _create(self) -> Segment:
            if self.sweeps:
                self.sweeps -= 1
                raise FileNotFoundError
            return super()._create()

    journal = Swept(tmp_path)
    assert len(files(tmp_path)) == 1
    journal.close()
