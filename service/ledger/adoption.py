"""The thread that adopts what dead processes left: at the start, and again every few seconds for dying neighbours."""

import threading
from collections.abc import Callable
from pathlib import Path

from service.errors import StoreUnavailableError
from service.ledger.batches import BatchWriter
from service.ledger.recovery import RateEstimate, Recovered, recover
from service.logs import get_logger

INTERVAL_S = 5.0


class AdoptionLoop:
    """Runs `recover` on one journal directory until stopped; *settled* hears of each owner that is done with."""

    def __init__(
        self,
        directory: Path,
        *,
        batches: BatchWriter,
        rate: RateEstimate,
        settled: Callable[[str], object],
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._directory = directory
        self._batches = batches
        self._rate = rate
        self._settled = settled
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="adoption", daemon=True)

    def start(self) -> None:
        """Adopt now, and from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the recovery it is in."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.adopt_now()
            self._stopped.wait(self._interval_s)

    def adopt_now(self) -> None:
        """Adopt once, in the caller's thread; what goes wrong is logged."""
        try:
            found = recover(
                self._directory, store_all=self._batches.store_all, rate=self._rate, settled=self._settled
            )
        except StoreUnavailableError:
            return  # the segments are as they were; the recorder has said that the store is away
        except Exception as error:  # noqa: BLE001  (a segment that cannot be read must not end the thread)
            get_logger().error("recovery_failed", directory=str(self._directory), exc_info=error)
            return
        if found.segments:
            _report(found)


def _report(found: Recovered) -> None:
    get_logger().info(
        "journal_recovered", segments=found.segments, records=found.records, interrupted=found.interrupted
    )
    for path in found.damaged:
        get_logger().error(
            "journal_damaged",
            path=str(path),
            advice="its good frames are stored; keep the file and report it, then delete it",
        )
