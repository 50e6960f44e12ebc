"""Journals, intents and records for the ledger's tests, and a disk that fails when told to."""

import errno
import os
from itertools import count
from pathlib import Path

from service.ledger.journal import Journal
from service.ledger.record import Intent, Opening, RequestRecord, begin_record, uuid7
from service.ledger.segments import Segment, segment_name
from service.pricing.rating import Rating
from service.usage.tokens import TokenUsage

T0 = 1_772_800_000_000_000
"""A moment in March 2026, in UTC microseconds."""
_numbers = count()
_starts = count(1_772_800_000_000)


def fresh_id(at: int = T0) -> bytes:
    """An identifier of the moment *at* that no other call returns."""
    return uuid7(at, next(_numbers).to_bytes(8, "big"))


def opening(**facts: object) -> Opening:
    """What is known of an attempt before it begins."""
    identifier = fresh_id()
    made = Opening(
        id=identifier,
        request_id=identifier,
        attempt=1,
        started_at=T0,
        key_id="key_a",
        upstream="openai",
        provider="openai",
        requested_model="gpt-4o",
        upstream_model="gpt-4o",
    )
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def intent(**facts: object) -> Intent:
    """An INTENT with an estimate of its prompt."""
    return Intent(opening(**facts), prompt_tokens=40, prompt_low=20, prompt_high=80)


def ended(what: Intent | Opening) -> RequestRecord:
    """The record of an attempt that went well."""
    record = begin_record(what.opening if isinstance(what, Intent) else what)
    record.http_status = 200
    record.input_tokens = 100
    record.output_tokens = 7
    record.usage_source = "provider"
    record.cost_nanos = 107
    record.cost_status = "priced"
    record.duration_ms = 12.5
    return record


def refusal(address: str | None = "192.0.2.1", *, at: int = T0) -> RequestRecord:
    """A refusal of an unknown key."""
    identifier = fresh_id(at)
    record = begin_record(
        Opening(id=identifier, request_id=identifier, attempt=1, started_at=at, client_address=address)
    )
    record.outcome = "rejected_auth"
    record.http_status = 401
    record.error_code = "invalid_api_key"
    record.cost_nanos = 0
    record.cost_status = "free"
    return record


def rate(opening: Opening, usage: TokenUsage) -> Rating:  # noqa: ARG001  (the shape of RateEstimate)
    """One nano-USD a token."""
    return Rating(usage.input_tokens + usage.output_tokens, "priced", None, ())


class Disk:
    """What goes wrong on the disk, switched by a test."""

    def __init__(self) -> None:
        self.full = False
        self.syncs_to_fail = 0
        self.synced: list[Path] = []


class DiskSegment(Segment):
    """A segment on a `Disk`."""

    def __init__(self, path: Path, *, size: int, disk: Disk) -> None:
        if disk.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._disk = disk
        super().__init__(path, size=size)

    def sync(self) -> None:
        if self._disk.syncs_to_fail > 0 and not self.failed:
            self._disk.syncs_to_fail -= 1
            self.failed = True
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync()
        self._disk.synced.append(self.path)


class DiskJournal(Journal):
    """A journal on a `Disk`; keeps its alarms."""

    def __init__(
        self,
        directory: Path,
        *,
        disk: Disk | None = None,
        segment_bytes: int = 1 << 20,
        max_bytes: int = 1 << 30,
    ) -> None:
        self.disk = disk or Disk()
        self.alarms: list[str] = []
        start = next(_starts)
        super().__init__(
            directory,
            max_bytes=max_bytes,
            segment_bytes=segment_bytes,
            alarm=self.alarms.append,
            clock_ns=lambda: start * 1_000_000,
        )

    def _create(self) -> Segment:
        self._sequence += 1
        path = self.directory / segment_name(self.owner, self._sequence)
        return DiskSegment(path, size=self._segment_bytes, disk=self.disk)

    def crash(self) -> None:
        """End like a killed process: locks are gone, files stay as they are, nothing is flushed or tidied."""
        self.disk.syncs_to_fail = 0
        self._sync.stop()
        for segment in self._chain.segments:
            segment.leave()
        self._chain.segments.clear()
