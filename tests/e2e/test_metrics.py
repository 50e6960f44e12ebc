"""Metrics of an installation with several processes: whoever is asked gives the same answer, and none is lost."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.processes import Running, run, tollkeeper_up
from tests.telemetry.exposition import Scrape, parse

HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello"}], "max_tokens": 1}
PATIENCE_S = 60.0
WORKERS = 3


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Running]:
    with tollkeeper_up(tmp_path, "--no-dashboard", "--workers", str(WORKERS)) as running:
        yield running


def ask(up: Running) -> None:
    """One request on a connection of its own, so that any worker may answer."""
    headers = {"authorization": f"Bearer {up.key}"}
    url = f"{up.url}/v1/chat/completions"
    httpx.post(url, json=HELLO, headers=headers, timeout=30, trust_env=False).raise_for_status()


def scrape(up: Running) -> Scrape:
    """The page of whichever worker answers."""
    return parse(httpx.get(f"{up.url}/metrics", timeout=30, trust_env=False).raise_for_status().text)


def await_value(up: Running, metric: str, value: float) -> Scrape:
    deadline = time.monotonic() + PATIENCE_S
    while (found := scrape(up)).value(metric) != value:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def workers(up: Running) -> list[int]:
    """The relay workers' process ids."""
    children = Path(f"/proc/{up.process.pid}/task/{up.process.pid}/children").read_text().split()
    return [
        int(pid) for pid in children if b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    ]


def in_books(folder: Path) -> int:
    """Requests that the books know."""
    listed = run(folder, "requests", "--json", "--limit", "200")
    assert listed.returncode == 0, listed.stderr
    return len(json.loads(listed.stdout)["data"])


def test_every_worker_answers_for_all_and_a_killed_one_takes_nothing_along(
    up: Running, tmp_path: Path
) -> None:
    name = "tollkeeper_requests_total"
    processes = WORKERS + 1  # and the keeper
    for killed in range(3):
        for _ in range(10):
            ask(up)
        settled = await_value(up, name, 10 * (killed + 1))
        await_value(up, "tollkeeper_workers", processes)
        several = [scrape(up) for _ in range(4 * WORKERS)]
        for metric in (name, "tollkeeper_cost_usd_total", "gen_ai_client_token_usage_sum"):
            assert {found.value(metric) for found in several} == {settled.value(metric)}
        os.kill(workers(up)[0], signal.SIGKILL)
        assert {scrape(up).value(name) for _ in range(2 * WORKERS)} == {settled.value(name)}
    assert in_books(tmp_path) == 30
    await_value(up, "tollkeeper_workers", processes)
    assert len(list((tmp_path / ".tollkeeper" / "metrics").glob("*.slot"))) == processes
