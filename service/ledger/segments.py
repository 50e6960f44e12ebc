"""One journal segment: a file that is ours by `flock`, with its room reserved on disk before it is used.

Frames are written through a shared memory map: what is written is the kernel's at once, as with `write`, and survives
the process; but the call does not give up the interpreter, which under load would hand it to a thread in the middle
of a request. `fdatasync` brings mapped pages to the disk like any others.

A segment is created under a temporary name, locked, allocated and only then given its final name, so whoever
finds a `*.journal` file that nobody has locked knows that its owner is dead.
"""

import errno
import fcntl
import mmap
import os
from pathlib import Path

SUFFIX = ".journal"
FRESH_SUFFIX = ".new"
DAMAGED_SUFFIX = ".damaged"


class Segment:
    """A file of fixed size, written from its start. Raises OSError as the system does."""

    def __init__(self, path: Path, *, size: int) -> None:
        fresh = path.with_suffix(FRESH_SUFFIX)
        self.path = path
        self.size = size
        self.used = 0
        self.outstanding = 0
        self.spilled = 0
        self.taken = 0
        self.failed = False
        self.fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        made = fresh
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(self.fd, 0, size)
            self._memory = mmap.mmap(self.fd, size)
            made = fresh.rename(path)
            _sync_directory(path.parent)
        except BaseException:
            os.close(self.fd)
            made.unlink(missing_ok=True)
            raise

    @property
    def free(self) -> int:
        """Bytes left."""
        return self.size - self.used

    def write(self, frame: bytes) -> None:
        """Append *frame*; the caller has made sure that it fits."""
        end = self.used + len(frame)
        self._memory[self.used : end] = frame
        self.used = end

    def seal(self) -> None:
        """Nothing more will be written: unmap it, so that a long journal costs disk and not memory."""
        self._memory.close()

    def read(self) -> bytes:
        """What has been written so far."""
        return os.pread(self.fd, self.used, 0)

    def sync(self) -> None:
        """Bring what was written to the disk. After a failure the kernel may have dropped it, so never again."""
        if self.failed:
            raise OSError(errno.EIO, "an earlier fdatasync has failed", str(self.path))
        try:
            os.fdatasync(self.fd)
        except OSError:
            self.failed = True
            raise

    def delete(self) -> None:
        """Remove the file; its lock goes with it."""
        self.path.unlink(missing_ok=True)
        self._memory.close()
        os.close(self.fd)

    def leave(self) -> None:
        """Give up the lock and leave the file to whoever adopts it."""
        self._memory.close()
        os.close(self.fd)


class Adopted:
    """A dead owner's segment, now locked by us until it is deleted, kept aside or left."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.owner = owner_of(path)
        self._fd: int | None = fd

    def read(self) -> bytes:
        """The whole file."""
        return self.path.read_bytes()

    def delete(self) -> None:
        """Remove the file: everything in it is in the store."""
        self.path.unlink(missing_ok=True)
        self.leave()

    def keep_aside(self) -> Path:
        """Rename the file so that nobody reads it again, and return its new name."""
        aside = self.path.with_suffix(DAMAGED_SUFFIX)
        self.path.rename(aside)
        self.leave()
        return aside

    def leave(self) -> None:
        """Give up the lock; the file stays for the next who looks. Idempotent."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def segment_name(owner: str, sequence: int) -> str:
    """The file name of an owner's segment; names sort as the segments were begun."""
    return f"{owner}-{sequence:08d}{SUFFIX}"


def owner_of(path: Path) -> str:
    """Whose segment it is."""
    return path.stem.rpartition("-")[0]


def adopt_orphans(directory: Path) -> list[Adopted]:
    """Lock every segment of every dead owner, oldest first; what died while being created is removed.

    The segments of an owner are adopted together or not at all: an intent without its completion would look
    interrupted. Some may be in other hands, or have been begun after the directory was read; then the next call
    finds them all.
    """
    adopted: list[Adopted] = []
    try:
        for path in sorted((*directory.glob(f"*{SUFFIX}"), *directory.glob(f"*{FRESH_SUFFIX}"))):
            orphan = _adopt(path)
            if orphan is not None:
                adopted.append(orphan)
        ours = {orphan.path for orphan in adopted}
        others = {owner_of(path) for path in directory.glob(f"*{SUFFIX}") if path not in ours}
    except BaseException:
        for orphan in adopted:
            orphan.leave()
        raise
    for orphan in adopted:
        if orphan.owner in others:
            orphan.leave()
    return [orphan for orphan in adopted if orphan.owner not in others]


def _adopt(path: Path) -> Adopted | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    if path.suffix == SUFFIX and _same_file(fd, path):
        return Adopted(path, fd)
    if path.suffix == FRESH_SUFFIX:
        path.unlink(missing_ok=True)
    os.close(fd)
    return None


def _same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
