"""Tasks: each by itself, again and again; what fails waits longer and disturbs no other."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from service.errors import StoreUnavailableError
from service.keeper.leadership import NotLeaderError
from service.keeper.tasks import Task, TaskRunner, pause_s

PATIENCE_S = 20.0


@contextmanager
def running(*tasks: Task, leads: Callable[[], bool] = lambda: True) -> Iterator[TaskRunner]:
    runner = TaskRunner(tasks, leads=leads)
    runner.start()
    try:
        yield runner
    finally:
        runner.stop()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def quick(run: Callable[[], object], **more: object) -> Task:
    return Task(**{"name": "quick", "interval_s": 0.01, "run": run, "leader_only": False, **more})  # type: ignore[arg-type]


def test_a_task_runs_again_and_again() -> None:
    ran: list[int] = []
    with running(quick(lambda: ran.append(1))):
        until(lambda: len(ran) >= 3)


def test_one_that_hangs_or_fails_keeps_no_other_from_running() -> None:
    gate = threading.Event()
    ran: list[int] = []

    def fails() -> None:
        raise ZeroDivisionError("a defect")

    with running(
        quick(lambda: gate.wait(PATIENCE_S), name="hangs"),
        quick(fails, name="fails"),
        quick(lambda: ran.append(1), name="works"),
    ):
        until(lambda: len(ran) >= 3)
        gate.set()


def test_a_task_of_the_leader_waits_until_this_process_leads() -> None:
    ran: list[int] = []
    leading = threading.Event()
    with running(Task(name="leading", interval_s=0.01, run=lambda: ran.append(1)), leads=leading.is_set):
        time.sleep(0.05)
        assert ran == []
        leading.set()
        until(lambda: ran)


def test_waking_does_not_wait_for_the_interval() -> None:
    ran: list[int] = []
    with running(quick(lambda: ran.append(1), interval_s=3600.0)) as runner:
        until(lambda: len(ran) == 1)
        runner.wake("quick")
        until(lambda: len(ran) == 2)


def test_failures_are_told_and_so_is_the_recovery(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes: list[Exception | None] = [
        ZeroDivisionError("a defect"),
        StoreUnavailableError("the store is away"),
        None,
    ]
    ran: list[int] = []

    def run() -> None:
        ran.append(1)
        error = outcomes.pop(0) if outcomes else None
        if error is not None:
            raise error

    with running(quick(run, longest_s=0.01)):
        until(lambda: len(ran) >= 4)
    said = capsys.readouterr().out
    assert said.count("keeper_task_failed") == 2
    assert "Traceback" in said
    assert "the store is away" in said
    assert said.count("keeper_task_recovered") == 1


def test_only_the_first_failure_is_told_whole(capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[int] = []

    def run() -> None:
        ran.append(1)
        raise ZeroDivisionError("a defect")

    with running(quick(run, longest_s=0.01)):
        until(lambda: len(ran) >= 3)
    assert capsys.readouterr().out.count("Traceback") == 1


def test_losing_the_leadership_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[int] = []

    def run() -> None:
        ran.append(1)
        raise NotLeaderError("another keeper leads")

    with running(quick(run)):
        until(lambda: len(ran) >= 2)
    assert "keeper_task_failed" not in capsys.readouterr().out


def test_waiting_grows_with_failures() -> None:
    task = quick(lambda: None, interval_s=5.0, longest_s=60.0)
    assert [pause_s(task, failures=count) for count in (0, 1, 2, 3, 4, 50)] == [5, 10, 20, 40, 60, 60]
    slow = quick(lambda: None, interval_s=600.0)
    assert [pause_s(slow, failures=count) for count in (0, 1, 9)] == [600.0] * 3
    assert pause_s(quick(lambda: None, interval_s=0.5, longest_s=2.0), failures=9) == 2.0


def test_stopping_before_starting_is_nothing() -> None:
    TaskRunner([quick(lambda: None)], leads=lambda: True).stop()
