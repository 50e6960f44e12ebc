"""`python -m service.simulator`: announces its port, keeps its log through a kill, ends on SIGTERM."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Explain ledgers."}]}
PATIENCE_S = 30


@contextmanager
def process(*flags: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    command = [sys.executable, "-m", "service.simulator", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        deadline = threading.Timer(PATIENCE_S, started.kill)
        deadline.start()
        try:
            assert started.stdout is not None
            port = json.loads(started.stdout.readline())["port"]
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}", headers={"authorization": "Bearer x"}
            ) as client:
                yield started, client
        finally:
            deadline.cancel()
            started.kill()


def test_it_announces_its_port_and_ends_on_sigterm() -> None:
    with process("--tokens-per-s", "0") as (started, client):
        assert client.post("/v1/chat/completions", json=BODY).status_code == 200
        started.send_signal(signal.SIGTERM)
        out, err = started.communicate(timeout=PATIENCE_S)
        assert (started.returncode, out, err) == (0, b"", b"")


def test_it_ends_although_a_stream_is_open() -> None:
    with process("--tokens-per-s", "0") as (started, client):
        hanging = BODY | {"model": "sim-stall", "stream": True}
        with client.stream("POST", "/v1/chat/completions", json=hanging) as answer:
            chunks = answer.iter_bytes()  # dropping it would hang up
            next(chunks)
            started.send_signal(signal.SIGTERM)
            assert started.wait(timeout=PATIENCE_S) == 0


def test_the_log_survives_a_kill(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    with process("--tokens-per-s", "0", "--log", str(log)) as (started, client):
        whole = client.post("/v1/chat/completions", json=BODY).json()
        hanging = BODY | {"model": "sim-stall", "stream": True}
        with client.stream("POST", "/v1/chat/completions", json=hanging) as answer:
            lines = answer.iter_lines()  # dropping it would hang up
            first = json.loads(next(lines).removeprefix("data: "))
            started.kill()
            started.wait()
    written = [json.loads(line) for line in log.read_text().splitlines()]
    assert {(line["event"], line["id"]) for line in written} == {
        ("start", whole["id"]),
        ("end", whole["id"]),
        ("start", first["id"]),
    }


def test_the_log_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    for _ in range(2):
        with process("--tokens-per-s", "0", "--log", str(log)) as (_started, client):
            client.post("/v1/chat/completions", json=BODY)
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()].count("start") == 2


def test_a_taken_port_is_an_error() -> None:
    with process("--tokens-per-s", "0") as (_started, client):
        command = [sys.executable, "-m", "service.simulator", "--port", str(client.base_url.port)]
        second = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False)
    assert second.returncode != 0
    assert b"Address already in use" in second.stderr


@pytest.mark.parametrize("flag", [["--tokens-per-s", "fast"], ["--port", "x"]])
def test_a_wrong_flag_is_an_error(flag: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service.simulator", *flag],
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 2
