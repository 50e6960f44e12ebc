"""Many evaluators at once raise each alert exactly once: threads and real processes, on both stores."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from service.budgets.policy import Budget
from service.store.engine import Store
from tests.support.alert_racer import WallClock
from tests.support.alert_town import Town

EVALUATORS = 8
PATIENCE_S = 60.0
ROOT = Path(__file__).parents[2]


def settled(town: Town, *, alerts: int) -> None:
    """Wait until so many alerts are there."""
    deadline = time.monotonic() + PATIENCE_S
    while len(town.alerts()) < alerts:
        assert time.monotonic() < deadline, town.in_short()
        time.sleep(0.05)


def test_eight_threads_raise_each_threshold_once(town: Town) -> None:
    town.rule()
    town.channel(kind="log")
    budget = town.budget()
    town.spend(10, charged=[(budget, "")])
    together = threading.Barrier(EVALUATORS)
    failures: list[BaseException] = []

    def look() -> None:
        watcher = town.watcher()
        try:
            together.wait()
            for _ in range(5):
                watcher.watch_budgets()
                watcher.watch()
        except BaseException as error:  # noqa: BLE001  (told below)
            failures.append(error)

    threads = [threading.Thread(target=look) for _ in range(EVALUATORS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Counter(one["threshold"] for one in town.payloads()) == {0.5: 1, 0.8: 1, 1.0: 1}
    assert len(town.alerts()) == 3


@contextmanager
def racers(store_url: str) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.support.alert_racer", store_url]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(EVALUATORS)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        yield
    finally:
        for process in processes:
            process.communicate("stop\n", timeout=PATIENCE_S)
    assert [process.returncode for process in processes] == [0] * EVALUATORS


def test_eight_processes_raise_each_threshold_once_and_again_after_a_raise(store_url: str) -> None:
    with closing(Store(store_url)) as store:
        town = Town(store, clock=WallClock())
        town.rule()
        town.channel(kind="log")
        budget: Budget = town.budget(window="total")
        with racers(store_url):
            for number in range(1, 11):
                town.spend(1, charged=[(budget, "")])
                settled(town, alerts=(number >= 5) + (number >= 8) + (number >= 10))
            town.change_budget(budget, limit_usd="100.00")
            deadline = time.monotonic() + PATIENCE_S
            while any(one.state == "firing" for one in town.alerts()):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            town.spend(40, charged=[(budget, "")])
            settled(town, alerts=4)
        sent = Counter((one["type"], one["threshold"]) for one in town.payloads())
        assert sent == {
            ("alert.firing", 0.5): 2,
            ("alert.firing", 0.8): 1,
            ("alert.firing", 1.0): 1,
            ("alert.resolved", 0.5): 1,
            ("alert.resolved", 0.8): 1,
            ("alert.resolved", 1.0): 1,
        }
        assert len(town.alerts()) == 4
