"""The command line. `main` is the entry point; each command's module is imported when the command runs.

Whatever goes wrong on purpose is one line on standard error: exit 2 for what the user can change.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from service.errors import TollkeeperError

USAGE_ERROR = 2

COMMANDS: Mapping[str, str] = {
    "up": "service.cli.run:up",
    "serve": "service.cli.run:serve",
    "keeper": "service.cli.run:keeper",
    "dashboard": "service.cli.run:dashboard",
    "demo": "service.cli.run:demo",
    "demo-traffic": "service.cli.run:demo_traffic",
    "simulator": "service.cli.run:simulator",
}


class LazyGroup(click.Group):
    """A group whose commands are named here and imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """The names, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  (click's signature)
        """The command of this name."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: Any = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tollkeeper", prog_name="tollkeeper")
def cli() -> None:
    """Tollkeeper forwards chat completions byte for byte and keeps exact books."""


def main() -> None:
    """Run the command line."""
    try:
        cli(prog_name="tollkeeper")
    except TollkeeperError as error:
        click.echo(f"tollkeeper: {error}", err=True)
        sys.exit(USAGE_ERROR)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
