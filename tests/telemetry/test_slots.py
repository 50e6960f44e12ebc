"""Counts that outlive their process: sums never go back, gauges live and die with it."""

import os
import resource
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.telemetry.layout import BOOKS, TIMES
from service.telemetry.series import Rows
from service.telemetry.slots import SUFFIX, Image, Slot, read_slots
from tests.telemetry.test_series import record

ROOT = Path(__file__).parents[2]
CHILD = """
import sys
from pathlib import Path
from service.telemetry.series import Rows
from service.telemetry.slots import Slot
from tests.telemetry.test_series import record

rows = Rows()
slot = Slot(Path(sys.argv[1]), rows=rows)
print(slot.number, flush=True)
for line in sys.stdin:
    if line == "quit\\n":
        break
    rows.add([record(project=line.strip())])
    slot.write_rows()
    slot.write_gauges({"tollkeeper.open_requests": 1.0})
    print("written", flush=True)
"""


class Worker:
    """A process with a slot of its own, which counts when told to."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(directory)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.number = int(self._line())

    def count(self, project: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(project + "\n")
        self.process.stdin.flush()
        assert self._line() == "written"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=30)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Any]:
    made: list[Worker] = []

    def make() -> Worker:
        made.append(Worker(tmp_path / "metrics"))
        return made[-1]

    yield make
    for worker in made:
        if worker.process.poll() is None:
            worker.kill()


def open_slot(directory: Path) -> tuple[Rows, Slot]:
    rows = Rows()
    return rows, Slot(directory, rows=rows)


def requests(images: list[Image]) -> dict[str, int]:
    found: dict[str, int] = {}
    for image in images:
        for key, cells in image.rows[BOOKS].items():
            found[key[0]] = found.get(key[0], 0) + cells[0]
    return found


def test_a_reader_sees_what_was_counted(tmp_path: Path) -> None:
    rows, slot = open_slot(tmp_path)
    rows.add([record(project="a"), record(project="b"), record(project="a")])
    assert slot.write_rows()
    (image,) = read_slots(tmp_path)
    assert image.number == 0
    assert image.rows[BOOKS] == {key: tuple(cells) for key, cells in rows.of[BOOKS].items()}
    assert image.rows[TIMES] == {key: tuple(cells) for key, cells in rows.of[TIMES].items()}
    slot.close()


def test_a_killed_worker_s_counts_stay_and_its_successor_goes_on(workers: Any, tmp_path: Path) -> None:
    first, second = workers(), workers()
    assert (first.number, second.number) == (0, 1)
    for _ in range(3):
        first.count("a")
    second.count("a")
    assert requests(read_slots(tmp_path / "metrics")) == {"a": 4}
    first.kill()
    assert requests(read_slots(tmp_path / "metrics")) == {"a": 4}
    third = workers()
    assert third.number == 0
    assert requests(read_slots(tmp_path / "metrics")) == {"a": 4}
    third.count("b")
    third.count("a")
    assert requests(read_slots(tmp_path / "metrics")) == {"a": 5, "b": 1}
    assert len(list((tmp_path / "metrics").glob(f"*{SUFFIX}"))) == 2


def test_gauges_count_only_while_their_process_lives(workers: Any, tmp_path: Path) -> None:
    worker = workers()
    worker.count("a")
    (alive,) = read_slots(tmp_path / "metrics")
    assert alive.gauges == {"tollkeeper.open_requests": 1.0}
    worker.kill()
    (dead,) = read_slots(tmp_path / "metrics")
    assert dead.gauges is None


def test_a_worker_that_has_no_gauges_yet_is_alive(tmp_path: Path) -> None:
    _, slot = open_slot(tmp_path)
    assert [image.gauges for image in read_slots(tmp_path)] == [{}]
    slot.close()
    assert [image.gauges for image in read_slots(tmp_path)] == [None]


def test_looking_never_costs_a_starting_worker_its_slot(tmp_path: Path) -> None:
    for _ in range(20):
        _, slot = open_slot(tmp_path)
        assert slot.number == 0
        read_slots(tmp_path)
        slot.close()
        read_slots(tmp_path)


def test_a_name_of_any_length_and_kind_is_kept(tmp_path: Path) -> None:
    names = ["", "ü" * 50, "a\nb", "x", "xy", "xyz", "wxyz", "vwxyz"]
    rows, slot = open_slot(tmp_path)
    rows.add([record(project=name) for name in names])
    slot.write_rows()
    slot.close()
    again, slot = open_slot(tmp_path)
    assert again.of == rows.of
    again.add([record(project=name) for name in names])
    slot.write_rows()
    assert requests(read_slots(tmp_path)) == dict.fromkeys(names, 2)
    slot.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda _content: b"",
        lambda content: content[:20],
        lambda content: b"x" + content[1:],
        lambda content: content[:8] + b"\0\0\0\0" + content[12:],
        lambda content: content[:-1],
        lambda content: content[:4096] + bytes(len(content) - 4096),
        lambda content: content[:4096] + b"\xff" * (len(content) - 4096),
        lambda content: content[:4100] + struct.pack("<I", 3) + content[4104:],
        lambda content: content.replace(b"books", b"boots"),
    ],
)
def test_a_damaged_file_is_begun_anew(tmp_path: Path, damage: Any) -> None:
    rows, slot = open_slot(tmp_path)
    rows.add([record(project="before")])
    slot.write_rows()
    slot.close()
    path = tmp_path / f"0{SUFFIX}"
    path.write_bytes(damage(path.read_bytes()))
    assert requests(read_slots(tmp_path)) == {}
    rows, slot = open_slot(tmp_path)
    assert rows.of[BOOKS] == {}
    rows.add([record(project="after")])
    assert slot.write_rows()
    assert requests(read_slots(tmp_path)) == {"after": 1}
    slot.close()


def test_gauges_that_are_half_written_are_not_shown(tmp_path: Path) -> None:
    _, slot = open_slot(tmp_path)
    slot.write_gauges({"tollkeeper.open_requests": 5.0})
    assert [image.gauges for image in read_slots(tmp_path)] == [{"tollkeeper.open_requests": 5.0}]
    with (tmp_path / f"0{SUFFIX}").open("r+b") as file:
        file.seek(60)
        file.write(b"\xff")
    assert [image.gauges for image in read_slots(tmp_path)] == [{}]
    slot.close()


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / f"mine{SUFFIX}").write_text("?")
    _, slot = open_slot(tmp_path)
    assert [image.number for image in read_slots(tmp_path)] == [0]
    slot.close()


def test_only_its_owner_may_read_a_slot(tmp_path: Path) -> None:
    _, slot = open_slot(tmp_path / "metrics")
    assert (tmp_path / "metrics").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "metrics" / f"0{SUFFIX}").stat().st_mode & 0o777 == 0o600
    slot.close()


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from service.telemetry.series import Rows
from service.telemetry.slots import Slot, read_slots
from tests.telemetry.test_series import record
from tests.telemetry.test_slots import requests

directory = Path(sys.argv[1])
rows = Rows()
slot = Slot(directory, rows=rows)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for limit in (0, 4096, 4200, 4300, 5000):  # bytes that the file may have: the disk is full in ever other places
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    rows.add([record(project="a"), record(project="b")])
    assert not slot.write_rows(), limit
    assert slot.write_gauges({"x": 1.0}) == (limit > 0), limit
    assert len(read_slots(directory)) == 1
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert slot.write_rows()
assert requests(read_slots(directory)) == {"a": 5, "b": 5}
print("fine")
"""


def test_a_full_disk_loses_nothing_once_it_has_room_again(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ),
    )
    assert done.stdout == "fine\n", done.stderr
