"""Refusals of unknown keys, coalesced: a flood of wrong keys costs a handful of rows a minute, and none is uncounted.

The first refusal of an address is a record at once. Those that follow are counted into one record, which is kept
open for 2 s, then 4, 8, 16 and 30 s while the flood goes on. The journal has every count before the answer is sent.
"""

import contextlib
from collections.abc import Callable

import msgspec

from service.errors import JournalFullError
from service.ledger.journal import Journal
from service.ledger.record import RequestRecord
from service.ledger.recorder import Recorder

WINDOWS_S = (2, 4, 8, 16, 30)
MAX_ADDRESSES = 1_000
QUIET_S = 60
MICROS = 1_000_000


class _Flood(msgspec.Struct):
    """One address that sends wrong keys."""

    window: int
    until: int
    record: RequestRecord | None


class RefusalCoalescer:
    """`refuse` on the event loop for each refusal; `tick` about once a second."""

    def __init__(self, journal: Journal, recorder: Recorder, *, clock: Callable[[], int]) -> None:
        self._journal = journal
        self._recorder = recorder
        self._clock = clock
        self._floods: dict[tuple[str | None, str, str | None], _Flood] = {}

    def refuse(self, record: RequestRecord) -> None:
        """Record a refusal, or count it to the open record of its address.

        Where the journal has no room, memory and the store are all there is: the record goes to the recorder at once.
        """
        address = record.client_address
        if (
            len(self._floods) >= MAX_ADDRESSES
            and (address, record.outcome, record.error_code) not in self._floods
        ):
            record.client_address = address = None
        subject = (address, record.outcome, record.error_code)
        flood = self._floods.get(subject)
        if flood is None:
            self._journalled(record)
            self._recorder.put(record, may_spill=False)
            self._floods[subject] = _Flood(0, record.started_at + WINDOWS_S[0] * MICROS, None)
        elif flood.record is None:
            self._journalled(record)
            flood.record = record
        else:
            flood.record.repeat_count += 1
            self._journal.repeat(flood.record.id, flood.record.repeat_count)

    def _journalled(self, record: RequestRecord) -> None:
        with contextlib.suppress(JournalFullError):
            self._journal.complete(record)

    def tick(self) -> None:
        """Close the records whose window is over."""
        now = self._clock()
        for subject, flood in list(self._floods.items()):
            if now < flood.until:
                continue
            if flood.record is None:
                if now >= flood.until + QUIET_S * MICROS:
                    del self._floods[subject]
                continue
            self._recorder.put(flood.record, may_spill=False)
            flood.record = None
            flood.window = min(flood.window + 1, len(WINDOWS_S) - 1)
            flood.until = now + WINDOWS_S[flood.window] * MICROS

    def close(self) -> None:
        """Close every open record, at shutdown."""
        for flood in self._floods.values():
            if flood.record is not None:
                self._recorder.put(flood.record, may_spill=False)
        self._floods.clear()
