"""Periodic tasks: each in a thread of its own, so that one that is slow or fails keeps no other from running.

A task that fails runs again after a longer and longer while, at most `longest_s`; its first failure is logged whole,
the following ones in a line. Tasks of the leader run only while this process leads.
"""

import threading
from collections.abc import Callable, Sequence

import msgspec

from service.errors import TollkeeperError
from service.keeper.leadership import NotLeaderError
from service.logs import get_logger

SHORTEST_S = 1.0
LOOK_S = 1.0
"""How often a task of the leader looks whether this process leads by now."""
STOP_S = 10.0


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do every *interval_s*; *leader_only*: by one keeper of all. Failing, it waits up to *longest_s*."""

    name: str
    interval_s: float
    run: Callable[[], object]
    leader_only: bool = True
    longest_s: float = 60.0


class TaskRunner:
    """Runs tasks until stopped. *leads* says whether this process is the leader."""

    def __init__(self, tasks: Sequence[Task], *, leads: Callable[[], bool]) -> None:
        self._leads = leads
        self._stopped = threading.Event()
        self._wakes = {task.name: threading.Event() for task in tasks}
        self._threads = [
            threading.Thread(target=self._loop, args=(task,), name=f"keeper {task.name}", daemon=True)
            for task in tasks
        ]

    def start(self) -> None:
        """Run every task now, and from now on."""
        for thread in self._threads:
            thread.start()

    def wake(self, name: str) -> None:
        """Run this task as soon as it can."""
        self._wakes[name].set()

    def stop(self) -> None:
        """End the threads after what they are doing."""
        self._stopped.set()
        for event in self._wakes.values():
            event.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(STOP_S)

    def _loop(self, task: Task) -> None:
        wake = self._wakes[task.name]
        failures = 0
        while not self._stopped.is_set():
            pause = min(task.interval_s, LOOK_S)
            if not task.leader_only or self._leads():
                failures = 0 if self._succeeds(task, failures) else failures + 1
                pause = pause_s(task, failures=failures)
            wake.wait(pause)
            wake.clear()

    def _succeeds(self, task: Task, failures: int) -> bool:
        try:
            task.run()
        except NotLeaderError:
            return True
        except TollkeeperError as error:
            get_logger().warning(
                "keeper_task_failed", task=task.name, failures=failures + 1, error=str(error)
            )
            return False
        except Exception as error:  # noqa: BLE001  (a task must not end its thread)
            whole = {} if failures else {"exc_info": error}
            get_logger().error(
                "keeper_task_failed", task=task.name, failures=failures + 1, error=repr(error), **whole
            )
            return False
        if failures:
            get_logger().info("keeper_task_recovered", task=task.name, failures=failures)
        return True


def pause_s(task: Task, *, failures: int) -> float:
    """How long to wait: the interval, doubled for each failure in a row, never below the interval."""
    if not failures:
        return task.interval_s
    longer = max(task.interval_s, SHORTEST_S) * 2.0 ** min(failures, 10)
    return max(task.interval_s, min(task.longest_s, longer))
