"""Relay processes that are killed, terminated and frozen under load: what the upstream saw is in the books, once.

Short versions of `benchmarks/kill_matrix.py`, which does the same for longer and at every system call.
"""

from pathlib import Path

import pytest

from benchmarks.kills import scenarios
from benchmarks.kills.rig import Rig
from benchmarks.kills.verdict import Verdict


def examined(verdict: Verdict, *, upstream: int) -> Verdict:
    assert verdict.clean, str(verdict)
    assert verdict.upstream_requests >= upstream, str(verdict)
    return verdict


@pytest.mark.parametrize(
    ("store", "durability", "kills"),
    [("sqlite_url", "local", 3), ("sqlite_url", "fsync", 2), ("postgres_url", "store", 2)],
)
def test_kill_9_at_any_moment_loses_nothing_and_doubles_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, store: str, durability: str, kills: int
) -> None:
    url = request.getfixturevalue(store)
    with Rig(tmp_path / "rig", store_url=url, relay=f'durability = "{durability}"') as rig:
        verdict = scenarios.random_kills(rig, kills=kills, seed=kills, progress=print)
    examined(verdict, upstream=10)
    assert verdict.answers > 0
    assert verdict.outcomes["ok"] >= verdict.answers


def test_sigterm_answers_503_and_lets_open_streams_end(tmp_path: Path) -> None:
    with Rig(tmp_path / "rig") as rig:
        verdict, _ = scenarios.terminate(rig, hurry=False)
    examined(verdict, upstream=8)
    assert verdict.outcomes["rejected_unavailable"] > 0
    assert verdict.outcomes["ok"] == verdict.answers == verdict.upstream_requests


def test_a_second_sigterm_does_not_wait(tmp_path: Path) -> None:
    with Rig(tmp_path / "rig") as rig:
        verdict, _ = scenarios.terminate(rig, hurry=True)
    examined(verdict, upstream=8)
    assert verdict.outcomes["interrupted"] == verdict.upstream_requests


def test_a_frozen_relay_is_not_taken_for_dead(tmp_path: Path) -> None:
    with Rig(tmp_path / "rig") as rig:
        examined(scenarios.freeze(rig, seconds=0.5), upstream=30)
