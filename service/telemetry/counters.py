"""The counts of one process: told of records by the threads that store them, read by the exporter and by scrapes."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.errors import ConfigurationError
from service.ledger.record import RequestRecord
from service.telemetry.layout import FAMILIES, Family
from service.telemetry.series import Key, Rows
from service.telemetry.slots import Slot


def _slot(directory: Path, rows: Rows) -> Slot:
    try:
        return Slot(directory, rows=rows)
    except OSError as error:
        raise ConfigurationError(
            f"the directory {directory} cannot be used: {error.strerror}; make it writable, "
            'or set telemetry.prometheus = "off"'
        ) from error


class Counters:
    """Thread-safe. With a *directory*, the counts live in a slot of it and go on from those of a dead process."""

    def __init__(self, directory: Path | None) -> None:
        self._lock = threading.Lock()
        self._rows = Rows()
        self._slot = None if directory is None else _slot(directory, self._rows)
        self._before = {
            family: {key: tuple(cells) for key, cells in self._rows.of[family].items()} for family in FAMILIES
        }

    @property
    def worker(self) -> int:
        """The number of this process among those of its data directory."""
        return 0 if self._slot is None else self._slot.number

    def observe(self, records: Sequence[RequestRecord]) -> None:
        """Count records that are in the store now."""
        with self._lock:
            self._rows.add(records)
            if self._slot is not None:
                self._slot.write_rows()

    def beat(self, gauges: Mapping[str, float]) -> None:
        """Show others how this process is; called every few seconds, it also writes what a full disk refused."""
        with self._lock:
            if self._slot is not None:
                self._slot.write_rows()
                self._slot.write_gauges(gauges)

    def since_start(self) -> Mapping[Family, Mapping[Key, Sequence[int]]]:
        """What this process has counted itself, without what its slot held before."""
        with self._lock:
            return {
                family: {
                    key: self._grown(family, key, cells=cells)
                    for key, cells in self._rows.of[family].items()
                    if key not in self._before[family] or tuple(cells) != self._before[family][key]
                }
                for family in FAMILIES
            }

    def _grown(self, family: Family, key: Key, *, cells: list[int]) -> Sequence[int]:
        before = self._before[family].get(key)
        if before is None:
            return list(cells)
        return [now - then for now, then in zip(cells, before, strict=True)]

    def close(self) -> None:
        """Give the slot to whoever starts next."""
        with self._lock:
            if self._slot is not None:
                self._slot.close()
                self._slot = None
