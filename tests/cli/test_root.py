"""The root command: quick help, one line for every error, quiet ends."""

import socket
import subprocess
import sys
from importlib.metadata import version

from service.cli import COMMANDS, cli
from tests.cli.conftest import Cli

PYTHON = [sys.executable, "-m", "service.cli"]


def test_help_lists_the_commands_and_imports_none_of_them() -> None:
    program = (
        "import sys; from service.cli import main; sys.argv = ['tollkeeper', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('IMPORTED', *sorted({'sqlalchemy', 'litestar', 'alembic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    help_text, _, imported = done.stdout.rpartition("IMPORTED")
    assert imported.split() == []
    for name, place in COMMANDS.items():
        assert (f"\n  {name} " in help_text) == (place.help is not None)


def test_every_command_is_there_and_documented() -> None:
    context = cli.make_context("tollkeeper", [], resilient_parsing=True)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help


def test_version(cli: Cli) -> None:
    assert cli.ok("--version").out == f"tollkeeper, version {version('tollkeeper')}\n"


def test_bad_usage_exits_2(cli: Cli) -> None:
    for arguments in (
        ["nope"],
        ["keys", "create"],
        ["usage", "--interval", "year"],
        ["keys", "show", "a", "b"],
    ):
        outcome = cli(*arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert "Error: " in outcome.err
        assert "Traceback" not in outcome.err


def test_a_wrong_setting_is_one_line(cli: Cli) -> None:
    assert "nope.toml does not exist" in cli.refused("keys", "list", "--config", "nope.toml")
    assert "store.url is not a database URL" in cli.refused("keys", "list", "--store-url", "books")


def test_an_error_over_several_lines_is_put_on_one(cli: Cli) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"
    assert "cannot be used now" in cli.refused("usage", "--store-url", url)


def test_a_reader_that_leaves_is_no_error(cli: Cli) -> None:
    cli.ok("keys", "create", "--name", "a")
    started = subprocess.Popen(
        [*PYTHON, "config", "show"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    assert started.stderr is not None
    started.stdout.close()
    with started.stderr:
        assert started.stderr.read() == ""
    assert started.wait(60) == 1


def test_up_names_a_mistyped_store_before_a_busy_port(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        for command in ("up", "serve"):
            reason = cli.refused(command, "--store-url", "banana", "--port", port)
            assert "store.url is not a database URL" in reason
