"""What a scrape must know of every process: one small file for each, in the data directory, that outlives it.

Workers share a port, so a scrape reaches any one of them and must answer for all. Each process owns a slot (locked
by `flock`, lowest free number first) and writes there the rows that grew, in place, with each batch, and its gauges
every few seconds. A process that is started again takes a free slot over and goes on counting where the dead one
stopped, so that the sum over all slots never goes back: not by a restart, not by `kill -9`. Gauges count only while
their process lives.

    0     magic, signature of the layout, end of the rows        `<8sIxxxxQ`
    32    gauges: length, CRC-32, MessagePack                    `<II`
    4096  rows: length of the key, cells, key (padded to 8 bytes), cells as 64-bit integers   `<II`

A file of another layout (an earlier version's) is begun anew, which Prometheus sees as any other counter reset.
Nothing here raises when the disk is full: what could not be written is written with the next batch.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import msgspec

from service.telemetry.layout import FAMILIES, Family, signature
from service.telemetry.series import Key, Rows

SUFFIX = ".slot"
MAGIC = b"TKSLOT\x01\n"
_LOCK = "lock"
_HEAD = struct.Struct("<8sIxxxxQ")
_GAUGES_AT = 32
_PREFIX = struct.Struct("<II")
_ROWS_AT = 4096
_LONGEST_GAUGES = _ROWS_AT - _GAUGES_AT - _PREFIX.size
_ALIGNED = 8
_TRIES = 3
_LAYOUT = signature()
_BY_NAME = {family.name: family for family in FAMILIES}
_DAMAGE = (struct.error, msgspec.DecodeError, LookupError, ValueError)
_encode = msgspec.msgpack.Encoder().encode
_decode_key = msgspec.msgpack.Decoder(tuple[str, ...]).decode
_decode_gauges = msgspec.msgpack.Decoder(dict[str, float]).decode


_Row = tuple[Family, Key, int, tuple[int, ...]]
"""Family, key, where in the file its cells lie, and the cells."""


class Image(msgspec.Struct, frozen=True):
    """A slot as somebody else reads it; *gauges* is None where its process is dead."""

    number: int
    rows: dict[Family, dict[Key, tuple[int, ...]]]
    gauges: dict[str, float] | None


class Slot:
    """This process's slot. One thread at a time."""

    def __init__(self, directory: Path, *, rows: Rows) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._rows = rows
        self._places: dict[tuple[Family, Key], int] = {}
        self._end = _ROWS_AT
        with _directory_lock(directory, fcntl.LOCK_EX):
            self.number, self._fd = _claim(directory)
        self._fresh = not self._restore()

    def _restore(self) -> bool:
        found = _read(self._fd)
        if found is None:
            os.ftruncate(self._fd, 0)
            return False
        for family, key, at, cells in found:
            self._rows.restore(family, key, cells=list(cells))
            self._places[family, key] = at
            self._end = at + len(cells) * _ALIGNED
        return True

    def write_rows(self) -> bool:
        """Write the rows that grew; False where the disk took only a part, and the rest comes with the next call."""
        if self._fresh and not self._write_head():
            return False
        whole = True
        for family, key, cells in self._rows.take_changed():
            if not self._write_row(family, key, cells=cells):
                self._rows.changed_again(family, key)
                whole = False
        return whole

    def write_gauges(self, values: Mapping[str, float]) -> bool:
        """Replace the gauges; False where the disk did not take them."""
        body = _encode(values)
        assert len(body) <= _LONGEST_GAUGES
        if self._fresh and not self._write_head():
            return False
        return self._put(_PREFIX.pack(len(body), zlib.crc32(body)) + body, at=_GAUGES_AT)

    def close(self) -> None:
        """Give the slot to whoever starts next; its counts stay."""
        os.close(self._fd)

    def _write_head(self) -> bool:
        written = self._put(_HEAD.pack(MAGIC, _LAYOUT, self._end), at=0)
        self._fresh = self._fresh and not written
        return written

    def _write_row(self, family: Family, key: Key, *, cells: list[int]) -> bool:
        values = struct.pack(f"<{len(cells)}q", *cells)
        at = self._places.get((family, key))
        if at is not None:
            return self._put(values, at=at)
        name = _encode((family.name, *key))
        padded = name + bytes(-(_PREFIX.size + len(name)) % _ALIGNED)
        entry = _PREFIX.pack(len(name), len(cells)) + padded
        before = self._end
        if not self._put(entry + values, at=before):
            return False
        self._end = before + len(entry) + len(values)
        if not self._write_head():
            self._end = before
            return False
        self._places[family, key] = before + len(entry)
        return True

    def _put(self, content: bytes, *, at: int) -> bool:
        try:
            return os.pwrite(self._fd, content, at) == len(content)
        except OSError:
            return False


def read_slots(directory: Path) -> list[Image]:
    """Every slot of the data directory, by number."""
    images = []
    with _directory_lock(directory, fcntl.LOCK_SH):
        numbers = (int(path.stem) for path in directory.glob(f"*{SUFFIX}") if path.stem.isdecimal())
        for number in sorted(numbers):
            fd = os.open(directory / f"{number}{SUFFIX}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                images.append(_image(fd, number))
            finally:
                os.close(fd)
    return images


def _image(fd: int, number: int) -> Image:
    alive = not _lock_now(fd, fcntl.LOCK_SH)
    rows: dict[Family, dict[Key, tuple[int, ...]]] = {family: {} for family in FAMILIES}
    for family, key, _, cells in _read(fd) or ():
        rows[family][key] = cells
    return Image(number, rows, _gauges(fd) if alive else None)


def _gauges(fd: int) -> dict[str, float]:
    """The gauges; none where they are being written each time we look."""
    for _ in range(_TRIES):
        head = os.pread(fd, _PREFIX.size, _GAUGES_AT)
        length, checksum = _PREFIX.unpack(head) if len(head) == _PREFIX.size else (0, 0)
        body = os.pread(fd, min(length, _LONGEST_GAUGES), _GAUGES_AT + _PREFIX.size)
        if length and zlib.crc32(body) == checksum:
            return _decode_gauges(body)
    return {}


def _claim(directory: Path) -> tuple[int, int]:
    for number in count():
        fd = os.open(directory / f"{number}{SUFFIX}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _lock_now(fd, fcntl.LOCK_EX):
            return number, fd
        os.close(fd)
    raise AssertionError  # pragma: no cover  (count() has no end)


def _read(fd: int) -> list[_Row] | None:
    """The rows; None where the file is empty, of another layout, or damaged, as a power cut may leave it."""
    head = os.pread(fd, _HEAD.size, 0)
    if len(head) < _HEAD.size:
        return None
    magic, layout, end = _HEAD.unpack(head)
    if magic != MAGIC or layout != _LAYOUT:
        return None
    content = os.pread(fd, end, 0)
    if end > _ROWS_AT and len(content) != end:
        return None
    try:
        return list(_rows_of(content))
    except _DAMAGE:
        return None


def _rows_of(content: bytes) -> Iterator[_Row]:
    at = _ROWS_AT
    while at < len(content):
        length, width = _PREFIX.unpack_from(content, at)
        name, *key = _decode_key(content[at + _PREFIX.size : at + _PREFIX.size + length])
        at += _PREFIX.size + length + -(_PREFIX.size + length) % _ALIGNED
        family = _BY_NAME[name]
        if len(key) != len(family.keys) or width != family.width:
            raise ValueError(name)
        yield family, tuple(key), at, struct.unpack_from(f"<{width}q", content, at)
        at += width * _ALIGNED


@contextmanager
def _directory_lock(directory: Path, kind: int) -> Iterator[None]:
    """Readers look at locks only while nobody claims, so that a look never costs a claimer its slot."""
    fd = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, kind)
        yield
    finally:
        os.close(fd)


def _lock_now(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
