"""The commands that the documentation prints are those that there are; the README's run as they stand."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from service.cli import cli as root
from tests.cli.conftest import Cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(?:sh)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINE = re.compile(r"^(?:\.venv/bin/)?tollkeeper (.*)$", re.MULTILINE)
_INLINE = re.compile(r"`(?:\.venv/bin/)?tollkeeper ([^`]+)`")


def in_blocks(page: Path) -> Iterator[list[str]]:
    """The arguments of every command in a block of its own."""
    for block in _BLOCK.findall(page.read_text()):
        for line in _LINE.findall(block):
            yield shlex.split(line, comments=True)


def in_text(page: Path) -> Iterator[list[str]]:
    """The arguments of every command in running text."""
    for line in _INLINE.findall(page.read_text()):
        yield shlex.split(line)


def parse(arguments: list[str]) -> None:
    """Raises UsageError for a command or an option that does not exist, or a value that cannot be."""
    command: click.Command | None = root
    context = None
    while isinstance(command, click.Group) and arguments:
        context = click.Context(command, parent=context)
        _name, command, arguments = command.resolve_command(context, arguments)
    if command is not None and not isinstance(command, click.Group):
        command.make_context("tollkeeper", arguments, parent=context)


COMMANDS = [
    (page, arguments)
    for page in PAGES
    for arguments in (*in_blocks(page), *in_text(page))
    if "--help" not in arguments
]


@pytest.mark.parametrize(("page", "arguments"), COMMANDS, ids=lambda part: getattr(part, "name", None))
def test_what_is_printed_exists(
    page: Path, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.json").touch()  # what `reconcile` is given there
    try:
        parse(arguments)
    except click.MissingParameter:
        assert arguments in list(in_text(page))  # there a command is named, not called


def test_a_command_that_is_not_there_would_be_found() -> None:
    for arguments in (["alert"], ["alerts", "tset", "ops"], ["usage", "--group", "model"]):
        with pytest.raises(click.UsageError):
            parse(arguments)


def test_the_readme_runs_from_top_to_bottom(cli: Cli) -> None:
    cli.ok("migrate")  # the README's `make up` does it
    commands = list(in_blocks(ROOT / "README.md"))
    assert {command[0] for command in commands} >= {"requests", "usage", "check", "keys", "budgets", "alerts"}
    for arguments in commands:
        cli.ok(*arguments)
