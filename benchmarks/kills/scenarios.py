"""What is done to the relay while clients use it. Each scenario ends with everything in the store, and a verdict."""

import random
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from benchmarks.kills.clients import MIX, Crowd, Kind
from benchmarks.kills.rig import Rig
from benchmarks.kills.verdict import Verdict, examine
from service.ledger.segments import adopt_orphans

PATIENCE_S = 60.0
SLOW = tuple(kind for kind in MIX if kind.name in {"slow stream", "whole"})

Progress = Callable[[str], None]


def random_kills(rig: Rig, *, kills: int, seed: int, progress: Progress) -> Verdict:
    """`kill -9` at random moments under load, restart, go on."""
    chance = random.Random(seed)
    require(rig.start(), "the relay does not start", rig)
    with Crowd(rig, seed=seed) as crowd:
        for number in range(kills):
            answered = crowd.answered
            wait(lambda: crowd.answered > answered, "no answers", rig)  # noqa: B023  (called before the loop goes on)
            time.sleep(chance.uniform(0.0, 0.8))
            rig.kill()
            require(rig.start(), "the relay does not start any more", rig)
            progress(f"kill {number + 1} of {kills}, {crowd.answered} answers")
        rig.kill()
    rig.settle()
    return examine(rig.log, rig.store_url, crowd.seen)


def terminate(rig: Rig, *, hurry: bool) -> tuple[Verdict, float]:
    """SIGTERM under load: new requests get 503, open ones end; a second SIGTERM does not wait for them.

    Returns the verdict and the seconds until the end.
    """
    mix = (Kind("long stream", 1, model="sim-slow-stream-50:gpt-4o-mini", stream=True, max_tokens=30),)
    if hurry:
        mix = (
            Kind("endless stream", 1, model="sim-slow-stream-1000:gpt-4o-mini", stream=True, max_tokens=60),
        )
    require(rig.start(), "the relay does not start", rig)
    with Crowd(rig, mix=mix, pause_s=0.05) as crowd:
        wait(lambda: upstream_requests(rig) >= crowd.clients, "no streams upstream", rig)
        began = time.monotonic()
        rig.send(signal.SIGTERM)
        with Crowd(rig, clients=1, mix=(Kind("whole", 1),), pause_s=0.05) as late:
            wait(lambda: late.count(503) > 0, "no 503 while draining", rig)
        if hurry:
            require(not rig.died(), "the relay did not wait for open streams", rig)
            rig.send(signal.SIGTERM)
        require(rig.died(PATIENCE_S), "the relay does not end", rig)
        took = time.monotonic() - began
    require(rig.stop() == 0, "the relay did not end in order", rig)
    require(rig.journals == [], f"an orderly end left {rig.journals}", rig)
    return examine(rig.log, rig.store_url, [*crowd.seen, *late.seen]), took


def freeze(rig: Rig, *, seconds: float) -> Verdict:
    """SIGSTOP, SIGCONT: the living is never taken for dead, and goes on."""
    require(rig.start(), "the relay does not start", rig)
    with Crowd(rig) as crowd:
        wait(lambda: crowd.answered > 20, "no answers", rig)
        rig.send(signal.SIGSTOP)
        for _ in range(10):
            require(adopt_orphans(rig.journal) == [], "a frozen relay was taken for dead", rig)
            time.sleep(seconds / 10)
        rig.send(signal.SIGCONT)
        answered = crowd.answered
        wait(lambda: crowd.answered > answered + 20, "no answers after SIGCONT", rig)
    require(rig.stop() == 0, "the relay did not end in order", rig)
    rig.settle()
    return examine(rig.log, rig.store_url, crowd.seen)


def store_away(
    rig: Rig, *, away: Callable[[], None], back: Callable[[], None], seconds: float, kill: bool
) -> tuple[Verdict, int]:
    """Take the store away under load and give it back; with *kill*, also `kill -9` while it is away.

    Returns the verdict and how many requests were answered while it was away.
    """
    require(rig.start(), "the relay does not start", rig)
    with Crowd(rig) as crowd:
        wait(lambda: crowd.answered > 20, "no answers", rig)
        away()
        answered = crowd.answered
        began = time.monotonic()
        wait(lambda: time.monotonic() - began > seconds and crowd.answered > answered + 20, "no answers", rig)
        served = crowd.answered - answered
        if kill:
            rig.kill()
        back()
        if kill:
            require(rig.start(), "the relay does not start any more", rig)
        answered = crowd.answered
        wait(lambda: crowd.answered > answered + 20, "no answers after the store is back", rig)
    rig.kill()
    rig.settle()
    return examine(rig.log, rig.store_url, crowd.seen), served


def journal_full(rig: Rig, *, fill: Callable[[], None], free: Callable[[], None]) -> tuple[Verdict, int]:
    """Leave the journal no room under load: 503 for new requests, and what is open ends in the books.

    Returns the verdict and how many 503 there were.
    """
    require(rig.start(), "the relay does not start", rig)
    with Crowd(rig, mix=(*SLOW, Kind("long texts", 400, padding=4_000)), pause_s=0.0) as crowd:
        wait(lambda: crowd.answered > 20, "no answers", rig)
        fill()
        wait(lambda: crowd.count(503) > 20, "no 503", rig)
        free()
        good = crowd.count(200)
        wait(lambda: crowd.count(200) > good + 20, "no answers after there is room", rig)
        refused = crowd.count(503)
    rig.kill()
    rig.settle()
    return examine(rig.log, rig.store_url, crowd.seen), refused


class SqliteLock:
    """Holds a SQLite file, as a stuck writer of another program does."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._connection = sqlite3.connect(
            self._path, isolation_level=None, timeout=PATIENCE_S, check_same_thread=False
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def take(self) -> None:
        """Nobody else can write."""
        self._connection.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        """Everybody can again."""
        self._connection.execute("ROLLBACK")


def upstream_requests(rig: Rig) -> int:
    """Requests that have reached the upstream."""
    return rig.log.read_bytes().count(b'"event":"start"') if rig.log.exists() else 0


def wait(happened: Callable[[], bool], otherwise: str, rig: Rig) -> None:
    """Wait for a condition; RuntimeError with the relay's last words where it does not come true."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        require(time.monotonic() < deadline, f"{otherwise} within {PATIENCE_S:g} s", rig)
        time.sleep(0.01)


def require(condition: bool, otherwise: str, rig: Rig) -> None:  # noqa: FBT001  (reads like an assertion)
    """RuntimeError with the relay's last words unless *condition* holds."""
    if not condition:
        raise RuntimeError(f"{otherwise}; the relay's log ends:\n{rig.output()[-3_000:]}")
