"""The command line. `main` is the entry point; each command's module is imported when the command runs.

Whatever goes wrong on purpose is one line on standard error: exit 2 for what the user can change.
"""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click

from service.errors import TollkeeperError

USAGE_ERROR = 2
INTERRUPTED = 130


class Place(NamedTuple):
    """Where a command is defined, and its line in `--help`, which imports none of them; no line hides it."""

    name: str
    help: str | None


COMMANDS: Mapping[str, Place] = {
    "up": Place(
        "service.cli.run:up", "Start relay, keeper and dashboard; the first start prints the first keys."
    ),
    "demo": Place(
        "service.cli.run:demo", "As `up`, on a throw-away store with history and a simulated upstream."
    ),
    "serve": Place("service.cli.run:serve", "Start the relay alone."),
    "keeper": Place("service.cli.run:keeper", "Start the keeper alone."),
    "dashboard": Place("service.cli.run:dashboard", "Start the dashboard alone."),
    "migrate": Place("service.cli.migrate:migrate", "Bring the store to the schema of this version."),
    "keys": Place("service.cli.keys:keys", "Create, list, show, update, rotate and revoke virtual keys."),
    "projects": Place(
        "service.cli.projects:projects", "Create, list, show, update, archive and restore projects."
    ),
    "budgets": Place(
        "service.cli.budgets:budgets", "Create, list, show, update, raise and delete budgets; their history."
    ),
    "alerts": Place(
        "service.cli.alerts:alerts", "Alert rules and channels, what was raised, tests and simulations."
    ),
    "prices": Place(
        "service.cli.prices:prices", "Show, set, import and update prices; rate past usage again."
    ),
    "upstreams": Place(
        "service.cli.upstreams:upstreams", "List, show and test the upstreams of the settings."
    ),
    "admin-keys": Place(
        "service.cli.admin_keys:admin_keys", "Create, list and revoke keys of the admin API."
    ),
    "accounts": Place(
        "service.cli.accounts:accounts", "Who may use the dashboard: create, reset, disable, role."
    ),
    "audit": Place("service.cli.audit:audit", "Who changed what; prove that the log of it was not changed."),
    "usage": Place("service.cli.usage:usage", "Usage and cost, by any dimension."),
    "reconcile": Place(
        "service.cli.reconcile:reconcile", "Our books beside a provider's usage or cost report."
    ),
    "requests": Place("service.cli.requests:requests", "The log of requests; one whole request by its id."),
    "content": Place(
        "service.cli.content:content", "Show, count and delete captured content, where projects keep it."
    ),
    "export": Place(
        "service.cli.export:export", "Write requests, usage or FOCUS rows to CSV, JSONL or Parquet."
    ),
    "check": Place(
        "service.cli.check:check", "Prove that records and rollups agree, to the last nano-dollar."
    ),
    "rollups": Place(
        "service.cli.rollups:rollups", "Compute the sums that reports read from the records again."
    ),
    "config": Place("service.cli.config:config", "Show the effective settings and where each comes from."),
    "doctor": Place(
        "service.cli.doctor:doctor", "Check configuration, store, journal, upstreams, prices, clock."
    ),
    "demo-traffic": Place("service.cli.run:demo_traffic", None),
    "simulator": Place("service.cli.run:simulator", None),
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
        module, _, attribute = place.name.partition(":")
        command: Any = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  (click's signature)
        """The list in `--help`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in COMMANDS.items() if place.help])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tollkeeper", prog_name="tollkeeper")
def cli() -> None:
    """Tollkeeper forwards chat completions byte for byte and keeps exact books."""


def main() -> None:
    """Run the command line."""
    try:
        code = cli(prog_name="tollkeeper", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE_ERROR)
    except TollkeeperError as error:
        click.echo(f"tollkeeper: {_on_one_line(error)}", err=True)
        sys.exit(USAGE_ERROR)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is buffered has no reader
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _on_one_line(error: TollkeeperError) -> str:
    return " ".join(str(error).split())
