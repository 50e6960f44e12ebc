"""docs/configuration.md shows every field with its default, its values, its variables and its meaning."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.settings.catalogue import ENTRIES, SECRET_VARIABLES, UPSTREAM_ENTRIES, Entry

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def shown(value: Any) -> str:
    if value is msgspec.NODEFAULT:
        return "required"
    if value is None:
        return "none"
    match value:
        case bool():
            text = str(value).lower()
        case tuple():
            text = "[" + ", ".join(f'"{item}"' for item in value) + "]"
        case dict():
            text = json.dumps(value)
        case int():
            text = str(value)
        case float():
            text = f"{value:g}"
        case _:
            text = f'"{value}"'
    return f"`{text}`"


def row(key: str, entry: Entry) -> str:
    cells = [f"`{key}`", shown(entry.default), entry.expected]
    if entry.variables:
        cells.append(", ".join(f"`{name}`" for name in entry.variables))
    return "| " + " | ".join([*cells, entry.description]) + " |"


@pytest.mark.parametrize("key", ENTRIES)
def test_field_is_documented(key: str) -> None:
    assert row(key, ENTRIES[key]) in DOCUMENT.read_text().splitlines()


@pytest.mark.parametrize("key", UPSTREAM_ENTRIES)
def test_field_of_upstreams_is_documented(key: str) -> None:
    assert row(key, UPSTREAM_ENTRIES[key]) in DOCUMENT.read_text().splitlines()


@pytest.mark.parametrize("variable", SECRET_VARIABLES.values())
def test_secret_is_documented(variable: str) -> None:
    assert f"| `{variable}` |" in DOCUMENT.read_text()


def test_every_field_has_a_meaning_of_one_line() -> None:
    for entry in (*ENTRIES.values(), *UPSTREAM_ENTRIES.values()):
        assert entry.description.endswith(".")
        assert "\n" not in entry.description


def test_nothing_else_is_documented_as_a_field() -> None:
    keys = {line.split("`")[1] for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")}
    assert keys == {*ENTRIES, *UPSTREAM_ENTRIES, *SECRET_VARIABLES.values()}
