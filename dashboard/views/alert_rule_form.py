"""The fields of a rule, for a new one and for one that changes; they are judged where those of the API are."""

from collections.abc import Mapping
from typing import Any

import msgspec
import streamlit as st

from dashboard import called, controlling
from service.alerts.metrics import METRICS, Metric
from service.alerts.values import NewRule
from service.reporting.dimensions import DIMENSIONS, ROLLUP

NO_DATA = {"ok": "is fine", "alert": "is an alert"}
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "usage": DIMENSIONS,
    "history": tuple(ROLLUP),
    "activity": tuple(ROLLUP),
    "report": tuple(ROLLUP),
}
_UNITS = {
    "share": "share of 1",
    "usd": "USD",
    "ms": "ms",
    "minutes": "minutes",
    "times": "times",
    "count": "count",
}


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the fields, as `NewRule` and `RuleChanges` take it."""

    name: str
    group_by: list[str]
    filter: dict[str, str | list[str]]
    window: str | None
    warning: float | None
    critical: float | None
    min_requests: int
    no_data: str
    renotify: str | None
    channels: list[str]

    def fields(self) -> dict[str, Any]:
        """By their name."""
        return msgspec.structs.asdict(self)


def draw(given: NewRule, *, metric: Metric, prefix: str) -> Typed:
    """Draw the fields as *given* has them, inside a form; returns what stands in them."""
    unit = _UNITS.get(metric.unit, metric.unit)
    grid = st.grid(4, min_column_width=150, gap="small")
    name = grid.text_input("Name", value=given.name, key=f"{prefix}-name").strip()
    warning, critical = (
        grid.number_input(
            f"{label} at ({unit})",
            value=_seeded(f"{prefix}-{word}", value),
            min_value=0.0,
            format="%.6g",
            key=f"{prefix}-{word}",
            placeholder="Never",
            disabled=metric.family == "report",
        )
        for label, word, value in (
            ("Warning", "warning", given.warning),
            ("Critical", "critical", given.critical),
        )
    )
    window = grid.text_input(
        "Window",
        value=given.window or "",
        key=f"{prefix}-window",
        disabled=metric.window is None,
        placeholder=metric.window or "None",
        help="How far back it looks, such as 15m, 1h or 7d.",
    ).strip()
    groups = grid.multiselect(
        "Alert for each",
        _GROUPS.get(metric.family, ()),
        default=given.group_by,
        key=f"{prefix}-groups",
        placeholder="All together",
        disabled=metric.family not in _GROUPS,
    )
    fewest = grid.number_input(
        "At least requests",
        value=metric.min_requests if given.min_requests is None else given.min_requests,
        min_value=0,
        key=f"{prefix}-fewest",
        help="Fewer than these in the window say too little.",
    )
    no_data = grid.selectbox(
        "Nothing to measure",
        list(NO_DATA),
        index=list(NO_DATA).index(given.no_data),
        format_func=NO_DATA.__getitem__,
        key=f"{prefix}-no-data",
    )
    renotify = grid.text_input(
        "Tell again every",
        value=given.renotify or "",
        placeholder="Never; or 4h",
        key=f"{prefix}-renotify",
        help="While it lasts; 5m to 31d.",
    ).strip()
    left, right = st.columns(2, gap="small")
    return Typed(
        name=name,
        group_by=list(groups),
        filter=_filter(left, given, prefix=prefix),
        window=window or None,
        warning=warning,
        critical=critical,
        min_requests=int(fewest),
        no_data=no_data,
        renotify=renotify or None,
        channels=_told(right, given, prefix=prefix),
    )


def _seeded(key: str, value: float | None) -> float | None:
    """The number of a field that can also be emptied: only a field without a default can be."""
    if key not in st.session_state:
        st.session_state[key] = value
    return None


def _filter(place: Any, given: NewRule, *, prefix: str) -> dict[str, str | list[str]]:
    """One value a line, `key=support-bot`; keys by name or id."""
    names = called.keys()
    values = [
        f"{name}={names.get(value, value) if name == 'key' else value}"
        for name, several in given.filter.items()
        for value in ([several] if isinstance(several, str) else several)
    ]
    text = place.text_area(
        "Only",
        value="\n".join(values),
        height=100,
        placeholder="Everything; or, one a line:\nkey=support-bot\nmodel=gpt-4o",
        key=f"{prefix}-only",
    )
    return parsed(text, names=names)


def parsed(text: str, *, names: Mapping[str, str]) -> dict[str, str | list[str]]:
    """The filter that lines say; a key's name becomes its id where one key has it."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, value = line.strip().partition("=")
        if line.strip():
            found.setdefault(name.strip(), []).append(value.strip())
    for number, value in enumerate(found.get("key", ())):
        ids = [identifier for identifier, name in names.items() if name == value]
        if value not in names and len(ids) == 1:
            found["key"][number] = ids[0]
    return dict(found)


def _told(place: Any, given: NewRule, *, prefix: str) -> list[str]:
    known = {one.id: one.name for one in controlling.channels()}
    told = place.multiselect(
        "Tell",
        list(known),
        default=[one for one in given.channels if one in known],
        format_func=known.__getitem__,
        key=f"{prefix}-told",
        placeholder="Every channel",
    )
    return list(told)


def blank(metric: Metric) -> NewRule:
    """A new rule of a metric before anything is typed."""
    return NewRule(
        name="",
        metric=metric.name,
        window=metric.window,
        warning=metric.warning,
        critical=metric.critical,
        min_requests=metric.min_requests,
    )


def empty(metric: str, *, prefix: str) -> dict[str, Any]:
    """The fields as `blank` has them, for after a rule was made."""
    new = blank(METRICS[metric])
    return {
        f"{prefix}-name": "",
        f"{prefix}-warning": new.warning,
        f"{prefix}-critical": new.critical,
        f"{prefix}-groups": [],
        f"{prefix}-only": "",
        f"{prefix}-renotify": "",
        f"{prefix}-told": [],
    }
