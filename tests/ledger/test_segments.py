"""Segments: whose they are, who may take them over, and what a death in the middle leaves."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from service.ledger.segments import Adopted, Segment, adopt_orphans, owner_of, segment_name

SIZE = 256 * 1024


def segment(directory: Path, owner: str = "0000000000001-1", sequence: int = 1) -> Segment:
    return Segment(directory / segment_name(owner, sequence), size=SIZE)


def test_its_room_is_on_the_disk_before_it_is_used(tmp_path: Path) -> None:
    made = segment(tmp_path)
    status = made.path.stat()
    assert (made.free, status.st_size) == (SIZE, SIZE)
    assert status.st_blocks * 512 >= SIZE
    assert status.st_mode & 0o777 == 0o600
    made.write(b"abc")
    made.write(b"defg")
    assert (made.used, made.free, made.read()) == (7, SIZE - 7, b"abcdefg")
    assert made.path.read_bytes() == b"abcdefg" + bytes(SIZE - 7)
    made.delete()
    assert list(tmp_path.iterdir()) == []


def test_it_is_ours_as_long_as_we_live(tmp_path: Path) -> None:
    ours = segment(tmp_path)
    assert adopt_orphans(tmp_path) == []
    ours.leave()
    [adopted] = adopt_orphans(tmp_path)
    assert (adopted.path, adopted.owner, adopted.read()) == (ours.path, "0000000000001-1", bytes(SIZE))
    assert adopt_orphans(tmp_path) == []
    adopted.leave()
    adopted.leave()
    [again] = adopt_orphans(tmp_path)
    again.delete()
    assert list(tmp_path.iterdir()) == []


CHILD = """
import sys, signal
from pathlib import Path
from service.ledger.segments import Segment, adopt_orphans, segment_name
directory = Path(sys.argv[1])
match sys.argv[2]:
    case "own":
        held = [Segment(directory / segment_name("0000000000002-2", number), size=4096) for number in (1, 2)]
        held[0].write(b"one"), held[1].write(b"two")
    case "adopt":
        held = adopt_orphans(directory)
print(len(held), flush=True)
sys.stdin.read()
"""


def child(directory: Path, role: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(directory), role],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "2"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    with process:
        process.send_signal(signal.SIGKILL)


def test_a_killed_process_leaves_its_segments_to_one_heir_after_the_other(tmp_path: Path) -> None:
    owner = child(tmp_path, "own")
    assert adopt_orphans(tmp_path) == []
    kill(owner)
    heir = child(tmp_path, "adopt")
    assert adopt_orphans(tmp_path) == []
    kill(heir)
    adopted = adopt_orphans(tmp_path)
    assert [orphan.read()[:3] for orphan in adopted] == [b"one", b"two"]
    for orphan in adopted:
        orphan.delete()


def test_an_owner_is_adopted_whole_or_not_at_all(tmp_path: Path) -> None:
    first, second = segment(tmp_path, sequence=1), segment(tmp_path, sequence=2)
    first.leave()
    assert adopt_orphans(tmp_path) == []
    assert adopt_orphans(tmp_path) == [], "the lock of the first one was not given back"
    other = segment(tmp_path, owner="0000000000009-1")
    other.leave()
    assert [orphan.path for orphan in left(adopt_orphans(tmp_path))] == [other.path]
    second.leave()
    assert [orphan.path for orphan in left(adopt_orphans(tmp_path))] == [first.path, second.path, other.path]


def left(adopted: list[Adopted]) -> list[Adopted]:
    for orphan in adopted:
        orphan.leave()
    return adopted


def test_segments_come_in_the_order_in_which_they_were_begun(tmp_path: Path) -> None:
    names = [("0000000000010-2", 1), ("0000000000009-7", 1), ("0000000000009-7", 2), ("0000000000009-7", 10)]
    for owner, sequence in names:
        segment(tmp_path, owner, sequence).leave()
    expected = [segment_name(owner, sequence) for owner, sequence in (*names[1:], names[0])]
    assert [orphan.path.name for orphan in left(adopt_orphans(tmp_path))] == expected
    assert owner_of(tmp_path / expected[2]) == "0000000000009-7"


def test_what_died_while_being_created_is_swept_away_and_what_is_being_created_is_not(tmp_path: Path) -> None:
    dead = tmp_path / "0000000000001-1-00000001.new"
    dead.write_bytes(b"")
    born = tmp_path / "0000000000001-1-00000002.new"
    fd = os.open(born, os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert adopt_orphans(tmp_path) == []
    assert list(tmp_path.iterdir()) == [born]
    os.close(fd)


def test_a_segment_that_finds_no_room_leaves_nothing(tmp_path: Path) -> None:
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match=r"No space left|File too large"):
        Segment(tmp_path / segment_name("0000000000001-1", 1), size=1 << 60)
    assert list(tmp_path.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_a_temporary_name_in_use_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "0000000000001-1-00000001.new").touch()
    with pytest.raises(FileExistsError):
        segment(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["0000000000001-1-00000001.new"]


def test_a_failed_sync_is_never_tried_again(tmp_path: Path) -> None:
    made = segment(tmp_path)
    reader, writer = os.pipe()
    real, made.fd = made.fd, writer  # a pipe cannot be synced: the system call itself fails
    with pytest.raises(OSError, match="Invalid argument"):
        made.sync()
    made.fd = real
    with pytest.raises(OSError, match="an earlier fdatasync has failed"):
        made.sync()
    os.close(reader)
    os.close(writer)
    made.delete()


def test_a_damaged_segment_is_kept_under_another_name(tmp_path: Path) -> None:
    segment(tmp_path).leave()
    [orphan] = adopt_orphans(tmp_path)
    aside = orphan.keep_aside()
    assert aside == orphan.path.with_suffix(".damaged")
    assert list(tmp_path.iterdir()) == [aside]
    assert adopt_orphans(tmp_path) == []


def test_a_file_that_cannot_be_opened_is_told_and_holds_no_lock_of_others(tmp_path: Path) -> None:
    segment(tmp_path).leave()
    stray = tmp_path / "9-folder.journal"
    stray.mkdir()
    for _ in range(2):
        with pytest.raises(IsADirectoryError, match=r"9-folder\.journal"):
            adopt_orphans(tmp_path)
    stray.rmdir()
    assert len(left(adopt_orphans(tmp_path))) == 1


def test_owners_that_delete_and_heirs_that_adopt_never_disturb_each_other(tmp_path: Path) -> None:
    """Segments are begun, written, deleted and left, while two threads adopt as fast as they can."""
    stop = threading.Event()
    adopted: list[bytes] = []
    failures: list[BaseException] = []

    def adopt() -> None:
        try:
            while not stop.is_set():
                for orphan in adopt_orphans(tmp_path):
                    adopted.append(orphan.read().rstrip(b"\x00"))
                    orphan.delete()
        except BaseException as error:  # noqa: BLE001  (a thread's failure is the test's)
            failures.append(error)

    heirs = [threading.Thread(target=adopt) for _ in range(2)]
    for heir in heirs:
        heir.start()
    expected = []
    for number in range(300):
        try:
            made = Segment(tmp_path / segment_name(f"{number:013d}-1", 1), size=4096)
        except (BlockingIOError, FileNotFoundError):
            continue  # swept away before it was locked: the journal takes the next name
        made.write(b"%d" % number)
        if number % 3:
            made.delete()
        else:
            made.leave()
            expected.append(b"%d" % number)
    stop.set()
    for heir in heirs:
        heir.join()
    adopted += [orphan.read().rstrip(b"\x00") for orphan in left(adopt_orphans(tmp_path))]
    assert failures == []
    assert sorted(adopted) == sorted(expected)
