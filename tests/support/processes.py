"""Tollkeeper's own processes, started as a user starts them, and ended by their id."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

READY_S = 60.0
STOP_S = 60.0


class Running(msgspec.Struct):
    """A running `tollkeeper up`."""

    process: subprocess.Popen[str]
    url: str
    key: str
    admin_key: str
    output: list[str]


def environment(home: Path) -> dict[str, str]:
    """What a new user has: a PATH and an empty HOME."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


def command(*arguments: str) -> list[str]:
    """A Tollkeeper command line."""
    return [sys.executable, "-m", "service.cli", *arguments]


@contextmanager
def tollkeeper_up(folder: Path, *arguments: str) -> Iterator[Running]:
    """`tollkeeper up` in *folder* on free ports; stopped with SIGINT, as Ctrl-C does."""
    process = subprocess.Popen(
        command("up", "--port", "0", *arguments),
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield _started(process)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=STOP_S)


def _started(process: subprocess.Popen[str]) -> Running:
    assert process.stdout is not None
    output: list[str] = []
    for line in process.stdout:
        output.append(line)
        if "Ctrl-C stops" in line:
            break
    text = "".join(output)
    found = [re.search(pattern, text) for pattern in (r"http://\S+:\d+(?=/v1)", r"\btk_\w+", r"\btka_\w+")]
    assert all(found), text
    url, key, admin_key = (match[0] for match in found if match is not None)
    return Running(process, url, key, admin_key, output)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=STOP_S,
        check=False,
    )
