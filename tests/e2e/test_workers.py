"""Several workers on one port and one store: keys made and revoked from outside are in force on every one of them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.processes import Running, run, tollkeeper_up

HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello"}], "max_tokens": 1}
PATIENCE_S = 20.0
IN_A_ROW = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[Running]:
    with tollkeeper_up(folder, "--no-dashboard", "--workers", "2") as running:
        yield running


def status(up: Running, key: str) -> int:
    """Asked on a connection of its own, so that any worker may answer."""
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(
        f"{up.url}/v1/chat/completions", json=HELLO, headers=headers, timeout=30, trust_env=False
    ).status_code


def await_everywhere(up: Running, key: str, expected: int) -> None:
    """Until many requests in a row, spread over the workers, are answered with *expected*."""
    deadline = time.monotonic() + PATIENCE_S
    in_a_row = 0
    while in_a_row < IN_A_ROW:
        in_a_row = in_a_row + 1 if status(up, key) == expected else 0
        assert time.monotonic() < deadline, f"not every worker answers {expected}"


def test_a_key_from_the_command_line_works_and_ends_on_every_worker(up: Running, folder: Path) -> None:
    made = run(folder, "keys", "create", "--name", "visitor", "--json")
    assert made.returncode == 0, made.stderr
    created = json.loads(made.stdout)
    await_everywhere(up, created["key"], 200)
    ended = run(folder, "keys", "revoke", created["id"])
    assert ended.returncode == 0, ended.stderr
    await_everywhere(up, created["key"], 401)


def test_the_books_of_all_workers_agree(up: Running, folder: Path) -> None:
    assert status(up, up.key) == 200
    deadline = time.monotonic() + PATIENCE_S
    while (checked := run(folder, "check")).returncode:
        assert time.monotonic() < deadline, checked.stdout
    listed = run(folder, "requests", "--json", "--limit", "5")
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)["data"]
