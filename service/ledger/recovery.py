"""Recovery: what a dead process left in its journal becomes records.

An intent without a completion is `interrupted`: its prompt is charged once the upstream had answered, its output
from the last PROGRESS, and the usage is marked as an estimate. Reading the same segments twice changes nothing:
ids decide. The segments of one dead process belong together: an intent and its completion may lie in two.
"""

from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import msgspec

from service.ledger.frames import Frame, Kind, Scan, scan
from service.ledger.record import Intent, Opening, Progress, Repeat, RequestRecord, begin_record, may_repeat
from service.ledger.segments import Adopted, adopt_orphans
from service.pricing.rating import Rating
from service.usage.tokens import TokenUsage

RateEstimate = Callable[[Opening, TokenUsage], Rating]

_intent = msgspec.msgpack.Decoder(Intent).decode
_progress = msgspec.msgpack.Decoder(Progress).decode
_record = msgspec.msgpack.Decoder(RequestRecord).decode
_repeat = msgspec.msgpack.Decoder(Repeat).decode


class Recovered(msgspec.Struct, frozen=True):
    """What one recovery found and did."""

    segments: int
    records: int
    interrupted: int
    damaged: tuple[Path, ...]


class Remains:
    """The frames of a dead process, put together; holds what is open, not what is complete.

    A frame that is whole but cannot be read, as a newer version may have written it, is counted in `unreadable`.
    """

    def __init__(self) -> None:
        self.unreadable = 0
        self._open: dict[bytes, Intent] = {}
        self._progress: dict[bytes, Progress] = {}
        self._repeating: dict[bytes, RequestRecord] = {}

    def add(self, found: Scan) -> list[RequestRecord]:
        """Take the frames of one segment, oldest first; returns the records that are complete now."""
        complete = []
        for frame in found.frames:
            try:
                ended = self._take(frame)
            except msgspec.DecodeError:
                self.unreadable += 1
                continue
            if ended is not None:
                complete.append(ended)
        return complete

    def _take(self, frame: Frame) -> RequestRecord | None:
        match frame.kind:
            case Kind.INTENT:
                intent = _intent(frame.body)
                self._open[intent.opening.id] = intent
            case Kind.PROGRESS:
                progress = _progress(frame.body)
                if progress.id in self._open:
                    self._progress[progress.id] = progress
            case Kind.COMPLETION:
                record = _record(frame.body)
                self._open.pop(record.id, None)
                self._progress.pop(record.id, None)
                if not may_repeat(record):
                    return record
                self._repeating[record.id] = record
            case Kind.REPEAT:
                repeat = _repeat(frame.body)
                known = self._repeating.get(repeat.id)
                if known is not None:
                    known.repeat_count = max(known.repeat_count, repeat.count)
        return None

    def repeated(self) -> list[RequestRecord]:
        """The coalesced refusals, once every segment was added."""
        return list(self._repeating.values())

    def interrupted(self, rate: RateEstimate) -> list[RequestRecord]:
        """Records for the attempts that had no end, once every segment was added; a request's last one is final."""
        last: dict[bytes, int] = {}
        for intent in self._open.values():
            request_id = intent.opening.request_id
            last[request_id] = max(last.get(request_id, 0), intent.opening.attempt)
        records = []
        for identifier, intent in self._open.items():
            record = interrupted(intent, self._progress.get(identifier), rate=rate)
            record.final = record.attempt == last[record.request_id]
            records.append(record)
        return records


def interrupted(intent: Intent, progress: Progress | None, *, rate: RateEstimate) -> RequestRecord:
    """The record of an attempt that a crash or a shutdown ended."""
    opening = intent.opening
    record = begin_record(opening)
    record.outcome = "interrupted"
    record.error_type = "interrupted"
    record.error_code = "process_ended"
    if progress is not None:
        record.http_status = progress.http_status
        record.bytes_out = progress.bytes_out
        record.chunks = progress.chunks
        record.ttft_ms = progress.ttft_ms
    prompt = progress.input_tokens if progress is not None else None
    if prompt is None:
        prompt = intent.prompt_tokens
    if prompt is None:
        return record
    usage = TokenUsage(input_tokens=prompt, output_tokens=progress.output_tokens if progress else 0)
    rating = rate(opening, usage)
    record.input_tokens = usage.input_tokens
    record.output_tokens = usage.output_tokens
    record.usage_source = "estimated"
    record.usage_low = (intent.prompt_low or 0) + (progress.output_low if progress else 0)
    record.usage_high = (intent.prompt_high or prompt) + (progress.output_high if progress else 0)
    record.cost_nanos = rating.cost_nanos
    record.cost_status = rating.cost_status
    record.price_id = rating.price_id
    record.cost_lines = tuple(msgspec.to_builtins(line) for line in rating.lines) or None
    return record


def recover(
    directory: Path,
    *,
    store_all: Callable[[list[RequestRecord]], None],
    rate: RateEstimate,
    settled: Callable[[str], object] = lambda _owner: None,
) -> Recovered:
    """Adopt every segment whose owner is dead, store its records, then remove it.

    *settled* hears of each owner whose records are all in the store, before its segments go: what it held is free
    now. An owner with damaged segments is not among them, because what it spent is not known.

    Raises StoreUnavailableError and leaves the segments as they are where the store cannot take them.
    """
    orphans = sorted(adopt_orphans(directory), key=lambda orphan: (orphan.owner, orphan.path.name))
    records = broken = 0
    damaged: list[Path] = []
    try:
        for owner, owned in groupby(orphans, key=lambda orphan: orphan.owner):
            remains = Remains()
            scans = []
            for orphan in owned:
                found = scan(orphan.read())
                unreadable = remains.unreadable
                complete = remains.add(found)
                store_all(complete)
                records += len(complete)
                scans.append((orphan, bool(found.damaged) or remains.unreadable > unreadable))
            ends = remains.repeated() + remains.interrupted(rate)
            store_all(ends)
            records += len(remains.repeated())
            broken += len(ends) - len(remains.repeated())
            if not any(bad for _, bad in scans):
                settled(owner)
            damaged += [path for orphan, bad in scans if (path := _dispose(orphan, damaged=bad))]
    finally:
        for orphan in orphans:
            orphan.leave()
    return Recovered(segments=len(orphans), records=records, interrupted=broken, damaged=tuple(damaged))


def _dispose(orphan: Adopted, *, damaged: bool) -> Path | None:
    """Remove a segment; one that is damaged in its middle is kept aside for a person to see."""
    if damaged:
        return orphan.keep_aside()
    orphan.delete()
    return None
