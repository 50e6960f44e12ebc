"""The settings in force as a table: value, origin and meaning of each; secrets are masked. Pure."""

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import streamlit as st

from dashboard import formats
from dashboard.tables import Shown, shortened
from service.settings import Loaded, Secret
from service.settings.catalogue import ENTRIES, SECRET_VARIABLES, SECTIONS, UPSTREAM_ENTRIES, Entry
from service.settings.secret import MASK

Row = tuple[str, str, str, str]
"""Setting, value, where it comes from, what it means."""


def rows(loaded: Loaded) -> list[Row]:
    """Every setting."""
    settings = loaded.settings
    found: list[Row] = []
    for section in SECTIONS:
        for name, value in _fields(getattr(settings, section)):
            key = f"{section}.{name}"
            shown = settings.store.safe_url if key == "store.url" else text(value)
            entry = ENTRIES.get(key)
            found.append((key, shown, loaded.origins.get(key, "default"), _meaning(entry)))
    for index, upstream in enumerate(settings.upstreams):
        for name, value in _fields(upstream):
            key = f"upstreams[{index}].{name}"
            entry = UPSTREAM_ENTRIES.get(name)
            origin = loaded.origins.get(key, "default")
            found.append((key, text(value), origin, _meaning(entry)))
    for name, variable in SECRET_VARIABLES.items():
        value = getattr(settings, name)
        found.append((name, text(value), loaded.origins.get(name, "default"), f"From {variable} only."))
    return found


def table(found: list[Row]) -> Shown:
    """As columns; texts that do not fit end in an ellipsis, the page shows the whole row that is chosen."""
    columns: dict[str, list[Any]] = {
        label: [shortened(row[at], width=width) for row in found]
        for at, (label, width) in enumerate(_WIDTHS.items())
    }
    config = {label: st.column_config.TextColumn(width=width) for label, width in _WIDTHS.items()}
    return Shown(columns, config, dict.fromkeys(_WIDTHS, pa.string()))


_WIDTHS = {"Setting": 200, "Value": 140, "From": 95, "Meaning": 450}


def text(value: Any) -> str:
    """A value as people write it; a secret is masked, a thing that is not set is a dash."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "—"
    if isinstance(value, tuple | list):
        return ", ".join(text(one) for one in value) or "—"
    if isinstance(value, dict):
        return ", ".join(f"{name} = {text(one)}" for name, one in value.items()) or "—"
    return str(value) if isinstance(value, str | int | float | Path) else text(msgspec.to_builtins(value))


def _meaning(entry: Entry | None) -> str:
    return "" if entry is None else formats.unmarked(entry.description)


def _fields(section: msgspec.Struct) -> list[tuple[str, Any]]:
    return [(name, getattr(section, name)) for name in section.__struct_fields__]
