"""One evaluator in a process of its own: looks at budgets and rules again and again until it is told to stop.

Started as `python -m tests.support.alert_racer STORE_URL`; says `ready`, begins at the first line on standard input
and ends with the second.
"""

import logging
import os
import sys
import threading
from datetime import UTC, datetime

from service import logs
from service.store.engine import Store
from tests.support.alert_town import Town
from tests.support.clock import HandClock


class WallClock(HandClock):
    """The machine's clock where the town expects its own."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)  # noqa: TID251  (a process of its own)


def main() -> None:
    """Race."""
    logs.configure(level=logging.ERROR)
    town = Town(Store(sys.argv[1]), clock=WallClock(), seed=os.getpid())
    stopped = threading.Event()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()

    def follow() -> None:
        sys.stdin.readline()
        stopped.set()

    threading.Thread(target=follow, daemon=True).start()
    watcher = town.watcher()
    while not stopped.wait(0.02):
        watcher.watch_budgets()
        watcher.watch()
    town.store.close()


if __name__ == "__main__":
    main()
