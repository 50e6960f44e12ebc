"""What a project keeps of content, as options: `--capture on --retention 30d --redact email,card`."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

import click
import msgspec
from msgspec import UNSET, UnsetType

from service.cli.options import list_of
from service.content.policy import Capture
from service.errors import InvalidInputError
from service.keys.values import parse_duration

F = TypeVar("F")
_EVERYTHING = "all"
_NOTHING = "none"
_DAY = timedelta(days=1)


def capture_options(command: F) -> F:
    """`--capture`, `--retention` and `--redact`."""
    decorate: Any
    for decorate in (
        click.option(
            "--redact",
            metavar="KINDS",
            help="What is redacted of it: `all` (as long as nothing is said), `none`, or kinds with commas.",
        ),
        click.option("--retention", metavar="DAYS", help="How long it is kept, such as 30d."),
        click.option(
            "--capture",
            type=click.Choice(["on", "off"]),
            help="Whether prompts and answers are kept, encrypted.",
        ),
    ):
        command = decorate(command)
    return command


def changed_capture(options: Mapping[str, Any], *, before: Mapping[str, Any] | None) -> Capture | UnsetType:
    """What is kept from now on; UNSET where no option says anything."""
    if all(options[name] is None for name in ("capture", "retention", "redact")):
        return UNSET
    capture = Capture(enabled=False) if before is None else msgspec.convert(before, Capture)
    if options["capture"] is not None:
        capture = msgspec.structs.replace(capture, enabled=options["capture"] == "on")
    if options["retention"] is not None:
        capture = msgspec.structs.replace(capture, retention_days=_days(options["retention"]))
    if options["redact"] is not None:
        capture = msgspec.structs.replace(capture, redact=_kinds(options["redact"]))
    return capture


def _days(text: str) -> int:
    duration = parse_duration(text, field="--retention")
    if duration % _DAY:
        raise InvalidInputError(
            f"--retention is {text[:50]!r}; write whole days, such as 30d", field="retention"
        )
    return duration // _DAY


def _kinds(text: str) -> tuple[str, ...] | None:
    if text.strip() == _EVERYTHING:
        return None
    return () if text.strip() == _NOTHING else tuple(list_of(text) or ())
