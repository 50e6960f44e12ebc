"""Running commands in this process, in an empty directory, with an environment of their own."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.cli import main


class Outcome(msgspec.Struct, frozen=True):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document it printed."""
        return json.loads(self.out)


class Cli(msgspec.Struct, frozen=True):
    """Runs `tollkeeper` as a shell would."""

    call: Callable[[tuple[str, ...]], Outcome]

    def __call__(self, *arguments: str) -> Outcome:
        """Run it, whatever comes of it."""
        return self.call(arguments)

    def ok(self, *arguments: str) -> Outcome:
        """Run it; it must succeed."""
        outcome = self.call(arguments)
        assert outcome.code == 0, outcome.err
        return outcome

    def refused(self, *arguments: str) -> str:
        """Run it; it must exit 2 with one line on standard error, which is returned."""
        outcome = self.call(arguments)
        assert (outcome.code, outcome.out) == (2, "")
        (line,) = outcome.err.splitlines()
        assert line.startswith("tollkeeper: ")
        return line.removeprefix("tollkeeper: ")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line, with no setting but its defaults."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("TOLLKEEPER_") or name == "OPENAI_API_KEY":
            monkeypatch.delenv(name)

    def call(arguments: tuple[str, ...]) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["tollkeeper", *arguments])
        with pytest.raises(SystemExit) as exited:
            main()
        captured = capsys.readouterr()
        assert isinstance(exited.value.code, int)
        return Outcome(exited.value.code, captured.out, captured.err)

    return Cli(call)


@pytest.fixture
def on_store(cli: Cli, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line of an installation, on SQLite and on PostgreSQL."""
    monkeypatch.setenv("TOLLKEEPER_STORE_URL", store_url)
    monkeypatch.setenv("TOLLKEEPER_SECRET_KEY", "4fd1bb2e9ac07d35e8f61a90c2b7d4e3")
    return cli
