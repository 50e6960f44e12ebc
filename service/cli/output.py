"""What commands print: aligned tables for people, JSON for programs. Values come from the store and are escaped."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

import click
import msgspec

NOT_KNOWN = "-"


def print_json(value: Any) -> None:
    """One JSON document, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_table(header: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Columns as wide as their widest cell; those named in *right* are flush right."""
    texts = [[cell_text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *texts, strict=True)]
    for row in (header, *texts):
        cells = [
            text.rjust(width) if name in right else text.ljust(width)
            for name, text, width in zip(header, row, widths, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """One field a line, its name first."""
    shown = [(name, cell_text(value)) for name, value in fields]
    width = max(len(name) for name, _text in shown)
    for name, text in shown:
        click.echo(f"{name.ljust(width)}  {text}".rstrip())


def cell_text(value: Any) -> str:
    """A value on one line, without control characters."""
    match value:
        case None:
            return NOT_KNOWN
        case bool():
            return "yes" if value else "no"
        case datetime():
            return instant_text(value)
        case float():
            return f"{value:.1f}"
        case [] | ():
            return NOT_KNOWN
        case list() | tuple():
            text = ", ".join(map(cell_text, value))
        case dict():
            text = msgspec.json.encode(value).decode()
        case _:
            text = str(value)
    return text if text.isprintable() else "".join(map(_escaped, text))


def counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def instant_text(instant: datetime, *, zone: tzinfo = UTC, timespec: str = "seconds") -> str:
    """`2026-03-01 13:00:00Z`; in another zone with its offset in place of the Z."""
    return instant.astimezone(zone).isoformat(sep=" ", timespec=timespec).replace("+00:00", "Z")


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "backslashreplace").decode()
