"""Group commit: who waits is woken when the disk has it, whatever the disk does meanwhile."""

import asyncio
import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.ledger import group_sync
from service.ledger.group_sync import GroupSync
from service.ledger.segments import Segment, segment_name
from tests.ledger.making import Disk, DiskSegment

TIMEOUT_S = 30


class Failures:
    """What `on_failure` was told. *move_to*: where the frames are written again; *meanwhile*: a frame that comes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.seen: list[tuple[Path, list[bytes], int | None]] = []
        self.move_to: Segment | None = None
        self.meanwhile = b""
        self.happened = threading.Event()
        self.sync: GroupSync

    def __call__(self, failed: Segment, frames: list[bytes], error: OSError) -> None:
        self.seen.append((failed.path, list(frames), error.errno))
        if self.meanwhile:
            self.sync.note(failed, self.meanwhile)
            self.meanwhile = b""
        self.sync.again(self.move_to or failed, frames)
        self.happened.set()


@contextmanager
def syncing(directory: Path) -> Iterator[tuple[GroupSync, Failures]]:
    failures = Failures(directory)
    sync = failures.sync = GroupSync(failures)
    try:
        yield sync, failures
    finally:
        sync.stop()


def segment(directory: Path, disk: Disk, sequence: int = 1) -> DiskSegment:
    return DiskSegment(directory / segment_name("0000000000001-1", sequence), size=64 * 1024, disk=disk)


def wait(sync: GroupSync, *positions: int) -> None:
    async def everybody() -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(*(sync.wait_for(position) for position in positions))

    asyncio.run(everybody())


def test_waiters_of_one_group_share_one_sync(tmp_path: Path) -> None:
    disk = Disk()
    made = segment(tmp_path, disk)
    with syncing(tmp_path) as (sync, failures):
        positions = [sync.note(made, b"x" * length) for length in (5, 7, 9)]
        assert positions == [5, 12, 21]
        wait(sync, *positions)
        assert 1 <= len(disk.synced) <= len(positions)
        before = len(disk.synced)
        wait(sync, *positions)
        assert len(disk.synced) == before, "what is on the disk is not waited for"
    assert failures.seen == []


def test_without_anybody_waiting_the_disk_has_it_soon(tmp_path: Path) -> None:
    disk = Disk()
    made = segment(tmp_path, disk)
    with syncing(tmp_path) as (sync, _):
        sync.note(made, b"frame")
        deadline = threading.Event()
        for _ in range(TIMEOUT_S * 100):
            if disk.synced:
                break
            deadline.wait(0.01)
        assert disk.synced == [made.path]


def test_after_a_failure_waiters_wait_until_the_frames_are_elsewhere(tmp_path: Path) -> None:
    disk = Disk()
    disk.syncs_to_fail = 1
    failing, fresh = segment(tmp_path, disk, 1), segment(tmp_path, disk, 2)
    with syncing(tmp_path) as (sync, failures):
        failures.move_to = fresh
        position = sync.note(failing, b"frame")
        wait(sync, position)
        assert failures.seen == [(failing.path, [b"frame"], errno.EIO)]
        assert disk.synced == [fresh.path]


def test_without_another_place_the_failed_file_is_not_synced_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_sync, "RETRY_S", 0.01)
    disk = Disk()
    disk.syncs_to_fail = 1
    failing, fresh = segment(tmp_path, disk, 1), segment(tmp_path, disk, 2)
    with syncing(tmp_path) as (sync, failures):
        failures.meanwhile = b"two"
        first = sync.note(failing, b"one")
        assert failures.happened.wait(TIMEOUT_S)
        second = sync.note(failing, b"three")
        failures.happened.clear()
        assert failures.happened.wait(TIMEOUT_S)
        assert disk.synced == []
        failures.move_to = fresh
        wait(sync, first, second)
        assert failures.seen[-1][1] == [b"one", b"two", b"three"], "in the order in which they were written"
        assert disk.synced == [fresh.path]


def test_a_deleted_segment_fails_nobody(tmp_path: Path) -> None:
    disk = Disk()
    gone, kept = segment(tmp_path, disk, 1), segment(tmp_path, disk, 2)
    with syncing(tmp_path) as (sync, failures):
        disk.syncs_to_fail = 1
        gone.path.unlink()
        wait(sync, sync.note(gone, b"frame"))
        position = sync.note(kept, b"frame")
        sync.forget(kept)
        wait(sync, position)
        assert failures.seen == []
    assert kept.path not in disk.synced


def test_a_waiter_that_has_left_is_no_obstacle(tmp_path: Path) -> None:
    made = segment(tmp_path, Disk())

    async def leave_then_wait(sync: GroupSync) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            position = sync.note(made, b"frame")
            impatient = asyncio.ensure_future(sync.wait_for(position))
            await asyncio.sleep(0)
            impatient.cancel()
            await sync.wait_for(position)
            await sync.wait_for(sync.note(made, b"frame"))

    with syncing(tmp_path) as (sync, _):
        asyncio.run(leave_then_wait(sync))


def test_stopping_syncs_what_is_left(tmp_path: Path) -> None:
    disk = Disk()
    made = segment(tmp_path, disk)
    with syncing(tmp_path) as (sync, _):
        sync.note(made, b"frame")
    assert made.path in disk.synced


def test_stopping_does_not_hang_on_a_broken_disk(tmp_path: Path) -> None:
    disk = Disk()
    disk.syncs_to_fail = 10**9
    made = segment(tmp_path, disk)
    with syncing(tmp_path) as (sync, failures):
        sync.note(made, b"frame")
    assert failures.seen
    assert disk.synced == []
