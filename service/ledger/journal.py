"""The journal: what a relay process writes to its own disk before it answers, so that a crash loses nothing.

The event loop appends; nothing here waits for the store. A segment is deleted when the store has every record
in it. `durability = "local"`: a frame is safe from a crash of the process when `append` has returned, and from
power loss one group `fdatasync` (at most 5 ms) later. `durability = "fsync"`: `synced` tells when that happened.

Room: an open request owns space for its completion (`RESERVE` bytes), on disk already. Where that cannot be
had, because the disk or the size cap is full, `open` raises `JournalFullError` and what is open is still safe.

Fault: after an error of `fdatasync` the kernel may have dropped the pages, so the same file is never synced
again; its unsynced frames are written once more into a new segment and the alarm is raised.
"""

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from service.errors import JournalError, JournalFullError
from service.ledger.chain import RESERVE, Chain
from service.ledger.frames import HEADER, Kind, encode_frame
from service.ledger.group_sync import GroupSync
from service.ledger.record import Intent, Progress, Repeat, RequestRecord, shorten
from service.ledger.segments import Segment, segment_name

SEGMENT_BYTES = 16 * 1024 * 1024
SMALLEST_SEGMENT = 8 * RESERVE
SEGMENTS_OF_A_SMALL_CAP = 8
WARN_SHARE = 0.8
LARGEST_COMPLETION = RESERVE - HEADER.size

Alarm = Callable[[str], None]


class Journal:
    """The segments of one relay process. `append…` on the event loop, `stored` on the recorder's thread.

    `owner` names the process for ever: in its segments' names, and as the holder of its budget leases.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = 1024 * 1024 * 1024,
        segment_bytes: int = SEGMENT_BYTES,
        alarm: Alarm,
        clock_ns: Callable[[], int],
    ) -> None:
        self.directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = min(segment_bytes, max(SMALLEST_SEGMENT, max_bytes // SEGMENTS_OF_A_SMALL_CAP))
        self._alarm = alarm
        self.owner = f"{clock_ns() // 1_000_000:013d}-{os.getpid()}-{secrets.token_hex(4)}"
        self._encode = msgspec.msgpack.Encoder().encode
        self._lock = threading.RLock()
        self._sequence = 0
        self._where: dict[bytes, tuple[Segment, ...]] = {}
        self._open: set[bytes] = set()
        self._used = 0
        self._warned = False
        directory.mkdir(parents=True, exist_ok=True)
        try:
            self._chain = Chain(self._create)
        except OSError as error:
            raise JournalError(f"the journal {directory} cannot be written: {error.strerror}") from error
        self._sync = GroupSync(self._sync_failed)

    @property
    def open_count(self) -> int:
        """Requests that have an intent and no completion."""
        return len(self._open)

    @property
    def bytes_on_disk(self) -> int:
        """What the segments of this process occupy."""
        return self._chain.size

    @property
    def bytes_used(self) -> int:
        """What of it holds records that the store does not have yet."""
        return self._used

    @property
    def nearly_full(self) -> bool:
        """Whether 80 % of the size cap hold records that the store does not have yet."""
        return self._used > WARN_SHARE * self._max_bytes

    def open(self, intent: Intent) -> int:
        """Append an INTENT and reserve room for its completion; returns the position to wait for with `synced`.

        Raises JournalFullError.
        """
        frame = encode_frame(Kind.INTENT, self._encode(intent))
        with self._lock:
            identifier = intent.opening.id
            self._ensure(len(frame) + RESERVE)
            self._open.add(identifier)
            return self._append(frame, identifier)

    def progress(self, progress: Progress) -> None:
        """Append a PROGRESS where room allows; it is an aid, never a duty."""
        frame = encode_frame(Kind.PROGRESS, self._encode(progress))
        with self._lock:
            if self._chain.free - len(frame) >= self._reserved():
                self._append(frame, progress.id)

    def complete(self, record: RequestRecord) -> int:
        """Append a COMPLETION; an opened record always fits. Returns the position to wait for with `synced`.

        A record that would not fit into its reserve is shortened, also for the caller. A record without an intent
        (a refusal) raises JournalFullError where there is no room.
        """
        body = self._encode(record)
        if len(body) > LARGEST_COMPLETION:
            shorten(record)
            body = self._encode(record)
        frame = encode_frame(Kind.COMPLETION, body)
        with self._lock:
            if record.id in self._open:
                self._open.discard(record.id)
            else:
                self._ensure(len(frame))
            return self._append(frame, record.id)

    def repeat(self, identifier: bytes, count: int) -> None:
        """Append a REPEAT of a coalesced refusal, where room allows."""
        frame = encode_frame(Kind.REPEAT, self._encode(Repeat(identifier, count)))
        with self._lock:
            if self._chain.free - len(frame) >= self._reserved():
                self._append(frame, identifier)

    async def synced(self, position: int) -> None:
        """Wait until everything up to *position* is on the disk."""
        await self._sync.wait_for(position)

    def stored(self, identifiers: list[bytes]) -> None:
        """The store has committed these records: delete the segments that hold nothing else."""
        with self._lock:
            for identifier in identifiers:
                for segment in self._where.pop(identifier, ()):
                    segment.outstanding -= 1
            self._sweep()

    def spill(self, identifier: bytes) -> None:
        """Forget a completed record in memory; `take_spilled` will give its segment back to be read."""
        with self._lock:
            for segment in self._where.pop(identifier, ()):
                segment.outstanding -= 1
                segment.spilled += 1

    def take_spilled(self) -> Iterator[tuple[Segment, bytes]]:
        """The segments that hold spilled records, one after the other, with their bytes.

        They hold others too: what is still open or in memory here is for the caller to leave out, by `in_memory`.
        """
        with self._lock:
            if self._chain.current.spilled:
                self._chain.rotate(reserved=self._reserved())
            spilled = [segment for segment in self._chain.segments if segment.spilled]
        for segment in spilled:
            with self._lock:
                segment.taken = segment.spilled
                content = segment.read()
            yield segment, content

    def respooled(self, segment: Segment) -> None:
        """Everything that `take_spilled` gave of *segment* is in the store; what was spilled since is not."""
        with self._lock:
            segment.spilled -= segment.taken
            segment.taken = 0
            self._sweep()

    def in_memory(self, identifier: bytes) -> bool:
        """Whether this process will store the record from memory: it is open, being counted, or in the recorder."""
        return identifier in self._where

    def close(self) -> None:
        """Sync, then delete what the store has and leave the rest to be adopted."""
        self._sync.stop()
        with self._lock:
            for segment in self._chain.segments:
                if segment.outstanding or segment.spilled:
                    segment.leave()
                else:
                    segment.delete()
            self._chain.segments.clear()

    def _append(self, frame: bytes, identifier: bytes) -> int:
        chain = self._chain
        if chain.current.free < len(frame):
            chain.current = chain.following()
        self._write(chain.current, frame)
        segment = chain.current
        known = self._where.get(identifier, ())
        if not known or known[-1] is not segment:
            self._where[identifier] = (*known, segment)
            segment.outstanding += 1
        return self._sync.note(segment, frame)

    def _write(self, segment: Segment, frame: bytes) -> None:
        segment.write(frame)
        self._used += len(frame)

    def _reserved(self) -> int:
        return RESERVE * (len(self._open) + 1)

    def _ensure(self, size: int) -> None:
        """Room for *size* bytes beside everything reserved, or JournalFullError."""
        need = self._reserved() + size
        while self._chain.current.free < need and self._chain.free < need:
            if self.bytes_on_disk + self._segment_bytes > self._max_bytes:
                self._warn_once()
                raise JournalFullError(
                    f"the journal {self.directory} holds {self.bytes_on_disk} bytes that the store has not "
                    f"taken yet (limit {self._max_bytes}); bring the store back or raise relay.journal_max_bytes"
                )
            try:
                self._chain.allocate()
            except OSError as error:
                raise JournalFullError(
                    f"the disk under {self.directory} has no room for the journal: {error.strerror}"
                ) from error
        if self.nearly_full:
            self._warn_once()

    def _warn_once(self) -> None:
        if not self._warned:
            self._warned = True
            self._alarm(f"the journal {self.directory} is 80 % full; the store is not taking records")

    def _create(self) -> Segment:
        self._sequence += 1
        path = self.directory / segment_name(self.owner, self._sequence)
        return Segment(path, size=self._segment_bytes)

    def _sweep(self) -> None:
        current = self._chain.current
        if not current.outstanding and not current.spilled and current.free < current.size // 2:
            self._chain.rotate(reserved=self._reserved())
        for segment in self._chain.take_done():
            self._used -= segment.used
            self._sync.forget(segment)
            segment.delete()
        self._warned = self._warned and self.nearly_full

    def _sync_failed(self, failed: Segment, frames: list[bytes], error: OSError) -> None:
        """Put the unsynced *frames* of *failed* into a fresh segment; *failed* is never synced again."""
        self._alarm(
            f"fdatasync of {failed.path} failed: {error.strerror}; its last {len(frames)} frames go to a new segment"
        )
        with self._lock:
            chain = self._chain
            if failed not in chain.segments:  # deleted meanwhile: the store has its records
                self._sync.again(chain.current, [])
                return
            try:
                fresh = chain.allocate(after=failed)
                for frame in frames:
                    self._write(fresh, frame)
            except OSError as second:
                self._alarm(
                    f"no new segment either: {second.strerror}; {len(frames)} frames are not on disk yet"
                )
                self._sync.again(failed, frames)
                return
            for identifier, segments in self._where.items():
                if failed in segments:
                    self._where[identifier] = (*segments, fresh)
                    fresh.outstanding += 1
            fresh.spilled += failed.spilled
            if failed is chain.current:
                chain.current = fresh
            self._sync.again(fresh, frames)
