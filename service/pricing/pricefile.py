"""Price files: a user's own prices as TOML or CSV. Pure.

A TOML file has one `[[prices]]` table for each price, a CSV file one row under a header line; the fields are
those of `override`. Only TOML can say tiers, hours and variants. A file is read whole or not at all: the first
thing wrong with it raises InvalidInputError, which names the line and the field.
"""

import csv
import re
import tomllib
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any, Literal

import msgspec

from service.errors import InvalidInputError
from service.pricing.card import PriceCard
from service.pricing.override import TOP_FIELDS, override_card

PriceFileFormat = Literal["toml", "csv"]

CSV_FIELDS = tuple(name for name in TOP_FIELDS if name not in ("aliases", "tiers", "windows", "variants"))

_HEADER = re.compile(r"\s*\[\[\s*prices\s*\]\]")
_PART = re.compile(r"([^.\[\]]+)(?:\[(\d+)\])?")


class _Entry(msgspec.Struct, frozen=True):
    """One price as it stands in the file; *text* holds the lines up to its end where fields have lines of their own."""

    line: int
    fields: dict[str, Any]
    text: tuple[str, ...] = ()

    def line_of(self, field: str | None) -> int:
        """Where *field*, such as `tiers[1].output_usd_per_mtok`, stands; as near as the text tells."""
        line = self.line
        for name, number in _PART.findall(field or ""):
            line = _next_line(self.text, name=name, after=line, skip=int(number or 0)) or line
        return line


def parse_price_file(text: str, file_format: PriceFileFormat) -> tuple[PriceCard, ...]:
    """The prices in *text*, in order; they get their ids from the catalog."""
    text = text.removeprefix("\ufeff")
    cards: list[PriceCard] = []
    lines: dict[tuple[object, ...], int] = {}
    for entry in _toml_entries(text) if file_format == "toml" else _csv_entries(text):
        try:
            card = override_card(entry.fields)
        except InvalidInputError as error:
            raise _at(entry.line_of(error.field), str(error), field=error.field) from error
        identity = (card.scope, card.scope_id, card.provider, card.model, card.effective_from)
        if identity in lines:
            raise _at(
                entry.line, f"the price of {card.model} repeats that of line {lines[identity]}", field="model"
            )
        lines[identity] = entry.line
        cards.append(card)
    if not cards:
        raise InvalidInputError("the price file has no prices", field="prices")
    return tuple(cards)


def _toml_entries(text: str) -> Iterator[_Entry]:
    try:
        document = tomllib.loads(text, parse_float=str)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidInputError(f"the price file is not valid TOML: {error}", field="prices") from error
    lines = text.split("\n")
    for name in document:
        if name != "prices":
            line = _next_line(lines, name=name, after=0, skip=0) or 1
            raise _at(line, f"{name} is not known here; a price file holds [[prices]] tables", field=name)
    entries = document.get("prices", [])
    if not isinstance(entries, list):
        line = _next_line(lines, name="prices", after=0, skip=0) or 1
        raise _at(line, "prices must be [[prices]] tables", field="prices")
    starts = [number for number, line in enumerate(lines, start=1) if _HEADER.match(line)]
    if len(starts) != len(entries):  # written inline
        starts = [1] * len(entries)
    for number, fields in enumerate(entries):
        end = starts[number + 1] - 1 if number + 1 < len(starts) else None
        yield _Entry(line=starts[number], fields=fields, text=tuple(lines[:end]))


def _next_line(lines: Sequence[str], *, name: str, after: int, skip: int) -> int | None:
    """The line that sets *name* or opens a table for it, from line *after* on; of several the one after *skip*."""
    sets = re.compile(rf"""\s*(?:\[.*\b{re.escape(name)}["']?\s*\]|["']?{re.escape(name)}["']?\s*[=.])""")
    found = [number for number, line in enumerate(lines, start=1) if number > after and sets.match(line)]
    return next(iter(found[skip:] or found[-1:]), None)


def _csv_entries(text: str) -> Iterator[_Entry]:
    rows = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        _check_header(header)
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                raise _at(
                    rows.line_num, f"{len(row)} fields under a header of {len(header)}", field=header[0]
                )
            cells = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
            yield _Entry(line=rows.line_num, fields={name: cell for name, cell in cells.items() if cell})
    except csv.Error as error:
        raise _at(rows.line_num, f"the price file is not valid CSV: {error}", field="prices") from error


def _check_header(header: list[str]) -> None:
    if "model" not in header:
        raise _at(
            1, f"the header line names no column model; known are {', '.join(CSV_FIELDS)}", field="model"
        )
    for name in header:
        if name not in CSV_FIELDS:
            raise _at(1, f"the column {name!r} is not known; known are {', '.join(CSV_FIELDS)}", field=name)
        if header.count(name) > 1:
            raise _at(1, f"the column {name} stands there twice", field=name)


def _at(line: int, message: str, *, field: str | None) -> InvalidInputError:
    return InvalidInputError(f"line {line}: {message}", field=field)
