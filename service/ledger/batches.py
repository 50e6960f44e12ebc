"""Batches of records into the store, whatever one of them holds.

A record that the store refuses for its content is bisected out of its batch into the dead-letter table, with an alarm;
the rest proceeds.
"""

import sqlite3
from collections.abc import Iterable

import psycopg
from sqlalchemy.exc import DataError, IntegrityError

from service.ledger.journal import Alarm
from service.ledger.record import RequestRecord, uuid_text
from service.ledger.writer import Writer

BATCH = 1_000
REFUSALS = (
    DataError,
    IntegrityError,
    psycopg.DataError,
    psycopg.IntegrityError,
    sqlite3.IntegrityError,
    OverflowError,
    ValueError,
)
"""What is wrong with a record, not with the store."""


class BatchWriter:
    """Writes batches; only StoreUnavailableError leaves it."""

    def __init__(self, writer: Writer, *, alarm: Alarm) -> None:
        self._writer = writer
        self._alarm = alarm

    def store_all(self, records: Iterable[RequestRecord]) -> None:
        """Store many records, a thousand at a time."""
        batch: list[RequestRecord] = []
        for record in records:
            batch.append(record)
            if len(batch) == BATCH:
                self.store(batch)
                batch = []
        self.store(batch)

    def store(self, batch: list[RequestRecord]) -> None:
        """Store one batch."""
        if not batch:
            return
        try:
            self._writer.write(batch)
        except REFUSALS as error:
            if len(batch) == 1:
                self._bury(batch[0], error)
                return
            middle = len(batch) // 2
            self.store(batch[:middle])
            self.store(batch[middle:])

    def _bury(self, record: RequestRecord, error: Exception) -> None:
        reason = _reason(getattr(error, "orig", error))
        self._writer.bury(record, error=reason)
        self._alarm(
            f"record {uuid_text(record.id)} is refused by the store and kept as a dead letter: {reason}"
        )


def _reason(error: Exception) -> str:
    """What PostgreSQL says of an error without its details, which quote the row."""
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return said or str(error)
