"""The promise on trial: kill the relay at any moment, and nothing is lost and nothing is doubled.

    python -m benchmarks.kill_matrix [--kills 200] [--steps 400] [--only random,steps,…] [--seed 1]

    random      `kill -9` at random moments under load, on SQLite and a quarter as often on PostgreSQL
    steps       `kill -9` at every system call of a scripted run with which journal and store change the disk (strace)
    terminate   SIGTERM under load, once with patience and once with a second SIGTERM
    freeze      SIGSTOP and SIGCONT under load
    store       PostgreSQL crashes and comes back under load; the SQLite file is locked for ten seconds; with `kill -9`
    disk        the journal's disk is full under load (a small tmpfs; needs root)

What reached the upstream, by its own log, and what clients were answered is compared with the books; sums and rollups
are checked. Exit 1 if anything is lost, doubled or wrong; what cannot be tried here is skipped by name.
"""

import argparse
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.kills import scenarios, steps
from benchmarks.kills.postgres import OwnPostgres
from benchmarks.kills.rig import Rig, small_disk
from benchmarks.kills.scenarios import SqliteLock
from benchmarks.kills.verdict import Verdict

Row = tuple[str, str, Verdict | None]
"""What was tried, what happened, and the verdict; None where it was skipped."""


class Trial:
    """One run of the matrix: its folder, its rows, its progress on stderr."""

    def __init__(self, folder: Path, given: argparse.Namespace) -> None:
        self.folder = folder
        self.given = given
        self.rows: list[Row] = []
        self._number = 0

    @contextmanager
    def rig(self, **options: object) -> Iterator[Rig]:
        """A rig in a folder of its own."""
        self._number += 1
        with Rig(self.folder / f"rig-{self._number}", **options) as rig:  # type: ignore[arg-type]
            yield rig

    def note(self, what: str, happened: str, verdict: Verdict | None) -> None:
        """Keep a row and show it at once."""
        self.rows.append((what, happened, verdict))
        print(f"\r\033[K{what}: {happened}: {'skipped' if verdict is None else verdict}", file=sys.stderr)

    def progress(self, text: str) -> None:
        """Where it stands, on one line."""
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def try_random(trial: Trial) -> None:
    kills, seed = trial.given.kills, trial.given.seed
    with trial.rig() as rig:
        verdict = scenarios.random_kills(rig, kills=kills, seed=seed, progress=trial.progress)
        trial.note("random `kill -9`, SQLite", f"{kills} kills", verdict)
    with OwnPostgres() as server, trial.rig(store_url=server.url) as rig:
        kills = max(1, kills // 4)
        verdict = scenarios.random_kills(rig, kills=kills, seed=seed + 1, progress=trial.progress)
        trial.note("random `kill -9`, PostgreSQL", f"{kills} kills", verdict)


def try_steps(trial: Trial) -> None:
    if shutil.which("strace") is None:
        trial.note("`kill -9` at system calls", "strace is not installed", None)
        return
    for durability in ("local", "fsync"):
        with trial.rig(relay=steps.SETTINGS.format(durability=durability)) as rig:
            done, verdict = steps.kill_at_each(rig, limit=trial.given.steps // 2, progress=trial.progress)
            trial.note(f"`kill -9` at system calls, `{durability}`", done, verdict)


def try_terminate(trial: Trial) -> None:
    for hurry, name in ((False, "SIGTERM under load"), (True, "SIGTERM twice under load")):
        with trial.rig() as rig:
            verdict, took = scenarios.terminate(rig, hurry=hurry)
            trial.note(name, f"ended after {took:.1f} s", verdict)


def try_freeze(trial: Trial) -> None:
    with trial.rig() as rig:
        verdict = scenarios.freeze(rig, seconds=6.0)
        trial.note("SIGSTOP for 6 s under load, SIGCONT", "served on", verdict)


def try_store(trial: Trial) -> None:
    for kill in (False, True):
        also = ", `kill -9` meanwhile" if kill else ""
        with OwnPostgres() as server, trial.rig(store_url=server.url) as rig:
            verdict, served = scenarios.store_away(
                rig, away=server.crash, back=server.restart, seconds=5.0, kill=kill
            )
            trial.note(f"PostgreSQL crashed for 5 s{also}", f"{served} answers meanwhile", verdict)
        with trial.rig() as rig, SqliteLock(rig.folder / "tollkeeper.db") as lock:
            verdict, served = scenarios.store_away(
                rig, away=lock.take, back=lock.release, seconds=10.0, kill=kill
            )
            trial.note(f"SQLite file locked for 10 s{also}", f"{served} answers meanwhile", verdict)


def try_disk(trial: Trial) -> None:
    mount_point = trial.folder / "small-disk"
    try:
        with (
            small_disk(mount_point, size="12m") as disk,
            trial.rig(data_dir=disk / "data", relay="journal_max_bytes = 8388608", budget=False) as rig,
            SqliteLock(rig.folder / "tollkeeper.db") as lock,
        ):
            filler = disk / "filler"

            def fill() -> None:
                lock.take()
                filler.write_bytes(bytes(shutil.disk_usage(disk).free))

            def free() -> None:
                filler.unlink()
                lock.release()

            verdict, refused = scenarios.journal_full(rig, fill=fill, free=free)
            trial.note("journal's disk full and SQLite file locked", f"{refused} answers were 503", verdict)
    except PermissionError as error:
        trial.note("journal's disk full", f"no small disk can be mounted: {error}", None)


TRIALS = {
    "random": try_random,
    "steps": try_steps,
    "terminate": try_terminate,
    "freeze": try_freeze,
    "store": try_store,
    "disk": try_disk,
}


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| tried | happened | requests upstream | whole answers | records | interrupted | lost | doubled | wrong |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for what, happened, verdict in rows:
        if verdict is None:
            lines.append(f"| {what} | skipped: {happened} |" + " |" * 7)
            continue
        found = (len(verdict.lost), len(verdict.doubled), len(verdict.wrong))
        counts = (
            verdict.upstream_requests,
            verdict.answers,
            verdict.records,
            verdict.outcomes["interrupted"],
        )
        lines.append(
            f"| {what} | {happened} | " + " | ".join(f"{count:,}" for count in (*counts, *found)) + " |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200, help="random kills on SQLite")
    parser.add_argument("--steps", type=int, default=400, help="most kills at system calls")
    parser.add_argument("--only", default=",".join(TRIALS), help="of " + ", ".join(TRIALS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and stores")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tollkeeper-kill-matrix-"))
    trial = Trial(folder, given)
    began = time.monotonic()
    for name in given.only.split(","):
        TRIALS[name](trial)
    print(table(trial.rows))
    print(f"\nPython {platform.python_version()}, {time.monotonic() - began:.0f} s; seed {given.seed}")
    clean = all(verdict is None or verdict.clean for *_, verdict in trial.rows)
    if given.keep or not clean:
        print(f"Logs and stores: {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()
