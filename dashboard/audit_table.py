"""Entries of the audit log as a table; what changed in words, the whole of it as JSON. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import streamlit as st

from dashboard.tables import SELECTABLE_ROOM, Shown, fitting, instant, shortened
from service.audit.trail import AuditedChange

CHANGE_PX = 310


def audit(found: Sequence[AuditedChange], *, names: Mapping[str, str], timezone: str) -> Shown:
    """Entries of the audit log, in the order given; *names* are what targets without a name of their own are called."""
    columns: dict[str, list[Any]] = {
        "No": [one.seq for one in found],
        "When": [instant(one.at, timezone) for one in found],
        "Who": [one.actor.name for one in found],
        "By": [one.actor.kind.replace("_", " ") for one in found],
        "From": [one.actor.address for one in found],
        "What": [one.action for one in found],
        "Which": [names.get(one.target.id or "", one.target.name) for one in found],
        "Change": [shortened(change(one) or None, width=CHANGE_PX) for one in found],
        "Before": [_json(one.before) for one in found],
        "After": [_json(one.after) for one in found],
    }
    column = st.column_config
    config: dict[str, Any] = {
        "No": column.NumberColumn(format="%d", width=48),
        "When": column.TextColumn(width=136),
        "Who": column.TextColumn(width=105),
        "By": column.TextColumn(width=95),
        "From": column.TextColumn(width=95),
        "What": column.TextColumn(width=130),
        "Which": column.TextColumn(width=150),
        "Change": column.TextColumn(width=CHANGE_PX),
        "Before": column.TextColumn(width=170),
        "After": column.TextColumn(width=170),
    }
    order = fitting(config, wanted=("No", "When", "Who", "What", "Which", "Change"), room=SELECTABLE_ROOM)
    texts = dict.fromkeys(("From", "Change", "Before", "After"), pa.string())
    return Shown(columns, config, texts, order=order)


def change(entry: AuditedChange) -> str:
    """What was before and is after, field by field; of a thing that is new or gone, its fields."""
    before, after = entry.before or {}, entry.after or {}
    parts = []
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if name in before and name in after:
            parts.append(f"{name}: {_value(old)} → {_value(new)}")
        elif (old if name in before else new) not in (None, [], {}, ""):
            parts.append(f"{name}: {_value(old if name in before else new)}")
    return "; ".join(parts)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _json(values: Mapping[str, Any] | None) -> str | None:
    return None if values is None else msgspec.json.encode(values).decode()
