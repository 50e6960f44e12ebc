"""Stores that go away under load and come back, and a journal without room: the books are whole in the end."""

from pathlib import Path

from benchmarks.kills import scenarios
from benchmarks.kills.postgres import OwnPostgres
from benchmarks.kills.rig import Rig
from benchmarks.kills.scenarios import SqliteLock


def test_a_locked_sqlite_file_and_a_kill_meanwhile(tmp_path: Path) -> None:
    with Rig(tmp_path / "rig") as rig, SqliteLock(rig.folder / "tollkeeper.db") as lock:
        verdict, served = scenarios.store_away(rig, away=lock.take, back=lock.release, seconds=1.0, kill=True)
    assert verdict.clean, str(verdict)
    assert served > 20


def test_a_postgresql_that_crashes_and_comes_back(tmp_path: Path) -> None:
    with OwnPostgres() as server, Rig(tmp_path / "rig", store_url=server.url) as rig:
        verdict, served = scenarios.store_away(
            rig, away=server.crash, back=server.restart, seconds=1.0, kill=False
        )
    assert verdict.clean, str(verdict)
    assert served > 20


def test_a_full_journal_refuses_new_requests_and_loses_no_open_one(tmp_path: Path) -> None:
    """The store takes nothing, and the journal reaches its cap."""
    with (
        Rig(tmp_path / "rig", relay="journal_max_bytes = 1048576", budget=False) as rig,
        SqliteLock(rig.folder / "tollkeeper.db") as lock,
    ):
        verdict, refused = scenarios.journal_full(rig, fill=lock.take, free=lock.release)
        alarms = rig.output().count("80 % full")
    assert verdict.clean, str(verdict)
    assert refused > 20
    assert verdict.outcomes["rejected_unavailable"] > 0
    assert alarms >= 1
