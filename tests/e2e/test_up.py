"""What a newcomer does: `tollkeeper up`, then the real SDKs and curl; every request is in the books."""

import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.processes import Running, run, tollkeeper_up
from tests.support.sdk import (
    assert_good_conversation,
    run_node_conversation,
    run_python_conversation,
)

HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello"}]}
PATIENCE_S = 20.0
DRAINED_S = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("newcomer")


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[Running]:
    with tollkeeper_up(folder, "--no-dashboard") as running:
        yield running


def records(folder: Path, condition: str = "1 = 1") -> list[dict[str, Any]]:
    connection = sqlite3.connect(folder / "tollkeeper.db")
    connection.row_factory = sqlite3.Row
    try:
        rows = connection.execute(f"SELECT * FROM request_record WHERE {condition} ORDER BY id")
        return [dict(row) for row in rows]
    finally:
        connection.close()


def await_record(folder: Path, request_id: str) -> dict[str, Any]:
    condition = f"request_id = x'{request_id.replace('-', '')}'"
    deadline = time.monotonic() + PATIENCE_S
    while not (found := records(folder, condition)):
        assert time.monotonic() < deadline, f"no record of {request_id}"
        time.sleep(0.05)
    (record,) = found
    return record


def ask(up: Running, body: dict[str, Any], **headers: str) -> httpx.Response:
    return httpx.post(
        f"{up.url}/v1/chat/completions",
        json=body,
        headers={"authorization": f"Bearer {up.key}", **headers},
        timeout=30,
        trust_env=False,
    )


def test_the_first_request_is_answered_and_recorded_with_its_cost(up: Running, folder: Path) -> None:
    answer = ask(up, HELLO)
    record = await_record(folder, answer.headers["x-request-id"])
    usage = answer.json()["usage"]
    assert answer.status_code == 200
    assert (record["outcome"], record["final"], record["usage_source"]) == ("ok", 1, "provider")
    assert (record["input_tokens"], record["output_tokens"]) == (
        usage["prompt_tokens"],
        usage["completion_tokens"],
    )
    assert record["cost_status"] == answer.headers["x-tollkeeper-cost-status"] == "priced"
    assert record["cost_nanos"] == usage["prompt_tokens"] * 150 + usage["completion_tokens"] * 600


def test_the_python_sdk_holds_its_whole_conversation_through_the_relay(up: Running, folder: Path) -> None:
    before = len(records(folder))
    assert_good_conversation(run_python_conversation(f"{up.url}/v1", up.key))
    _await_more(folder, before)
    # A hung-up stream is read on for its usage, for at most 30 s; then its record comes.
    deadline = time.monotonic() + DRAINED_S
    while not {row["outcome"] for row in records(folder)} >= {"ok", "client_disconnect"}:
        assert time.monotonic() < deadline, "the hang-up left no record"
        time.sleep(0.1)


def test_the_node_sdk_holds_its_whole_conversation_through_the_relay(up: Running, folder: Path) -> None:
    before = len(records(folder))
    facts = run_node_conversation(f"{up.url}/v1", up.key)
    assert_good_conversation(facts)
    _await_more(folder, before)


def test_the_snippet_works_with_curl_as_it_is_printed(up: Running) -> None:
    text = "".join(up.output)
    assert "SIMULATED" in text
    script = "\n".join(
        line.strip() for line in text.splitlines() if line.strip().startswith(("export ", "curl ", "-d "))
    )
    answer = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert '"object":"chat.completion"' in answer.stdout, answer


def test_a_second_start_finds_the_same_store_and_makes_no_new_keys(tmp_path: Path) -> None:
    with tollkeeper_up(tmp_path, "--no-dashboard") as first:
        request_id = ask(first, HELLO).headers["x-request-id"]
    (record,) = records(tmp_path)
    assert record["request_id"].hex() == request_id.replace("-", "")
    listed = run(tmp_path, "keys", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    assert len(list((tmp_path / ".tollkeeper" / "journal").iterdir())) == 0


def test_a_port_in_use_is_one_clear_line(up: Running, tmp_path: Path) -> None:
    port = up.url.rpartition(":")[2]
    failed = run(tmp_path, "up", "--no-dashboard", "--port", port)
    assert failed.returncode == 2
    (line,) = failed.stderr.splitlines()
    assert port in line
    assert "--port" in line


def test_an_unknown_setting_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "tollkeeper.toml").write_text("[relay]\nprot = 4000\n")
    failed = run(tmp_path, "up", "--no-dashboard")
    assert failed.returncode == 2
    assert "relay.prot" in failed.stderr
    assert "relay.port" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1


def _await_more(folder: Path, before: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(records(folder)) <= before:
        assert time.monotonic() < deadline, "the conversation left no records"
        time.sleep(0.05)
