"""Tables of reports and of records: typed columns for `st.dataframe`, and CSV. Cells are text or numbers, never markup.

Costs are exact: a column has as many decimals as its finest amount needs, and nano-USD below nine million dollars are
exact as floats of nine decimals. No table is wider than a page on a screen of 1280 pixels: columns that do not fit are
left to the menu of the table, to the detail of a row, and to the files.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import streamlit as st

from dashboard import formats
from service.pricing.money import NANOS_PER_USD, format_usd_per_mtok
from service.reporting.usage import UsageReport

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Color = Literal["red", "orange", "green", "gray"]
OUTCOME_COLORS: Mapping[str, Color] = {
    "ok": "green",
    "client_disconnect": "gray",
    "upstream_error": "red",
    "midstream_error": "red",
    "truncated": "red",
    "timeout": "red",
    "interrupted": "red",
    "rejected_unavailable": "red",
    "rejected_auth": "orange",
    "rejected_request": "orange",
    "rejected_rate_limit": "orange",
    "rejected_budget": "orange",
}

USAGE_SOURCES: Mapping[str, str] = {
    "provider": "reported",
    "partial": "in part",
    "estimated": "≈ estimated",
}

TOKEN_CLASSES: Mapping[str, str] = {
    "input_tokens": "Input, all",
    "cache_read_input_tokens": "  read from a cache",
    "cache_write_input_tokens": "  written to a cache",
    "audio_input_tokens": "  audio",
    "image_input_tokens": "  images",
    "output_tokens": "Output, all",
    "reasoning_output_tokens": "  reasoning",
    "audio_output_tokens": "  audio ",
    "image_output_tokens": "  images ",
}


ROOM = 918
"""Pixels of a table on a page that is 1280 wide."""
SELECTABLE_ROOM = ROOM - 33
"""The same beside the column in which rows are chosen."""
TWO_LINES = 62
"""The height of a row whose texts wrap: Streamlit lets them from 60 on."""
_PADDING, _DIGIT, _LETTER = 18, 6.4, 5.7
_NARROWEST = 62


class Shown(msgspec.Struct, frozen=True):
    """Columns by their label, and how Streamlit shows them: those of *order* (none: all), in rows of *row_height*."""

    columns: Mapping[str, Sequence[Any]]
    config: Mapping[str, Any]
    types: Mapping[str, pa.DataType]
    order: tuple[str, ...] | None = None
    row_height: int | None = None

    def table(self) -> pa.Table:
        """The columns as Arrow."""
        arrays = {
            label: pa.array(values, type=self.types.get(label)) for label, values in self.columns.items()
        }
        return pa.table(arrays)


def fitting(config: Mapping[str, Any], *, wanted: Sequence[str], room: int = ROOM) -> tuple[str, ...]:
    """The columns of *wanted*, the most important first, that fit into *room*; in the order of *config*."""
    left, chosen = room, set()
    for label in wanted:
        left -= config[label]["width"]
        if left < 0:
            break
        chosen.add(label)
    return tuple(label for label in config if label in chosen)


def text_width(texts: Iterable[str | None], *, at_least: int = _NARROWEST, at_most: int = 160) -> int:
    """Pixels of a column in which the longest of *texts* can be read whole, within bounds."""
    longest = max((len(text) for text in texts if text is not None), default=0)
    return max(at_least, min(at_most, round(_PADDING + _DIGIT * longest)))


def shortened(text: str | None, *, width: int) -> str | None:
    """As much of *text* as a column of this width shows, with an ellipsis where there is more."""
    most = int((width - _PADDING) / _LETTER)
    return text if text is None or len(text) <= most else f"{text[: most - 1].rstrip()}…"


def money_width(nanos: Sequence[int | None]) -> int:
    """Pixels of a column in which every one of these amounts can be read whole."""
    form = usd_format(nanos).removeprefix("$%").removesuffix("f") + "f"
    longest = max((len(f"{usd(one):{form}}") for one in nanos if one is not None), default=0)
    return max(_NARROWEST, round(_PADDING + _DIGIT * (longest + 1)))


def log(rows: Sequence[Mapping[str, Any]], *, timezone: str) -> Shown:
    """Records, one a line, as they come."""
    columns: dict[str, list[Any]] = {
        "Time": [formats.instant(row["started_at"], timezone=timezone) for row in rows],
        "Outcome": [[row["outcome"]] for row in rows],
        "Model": [row["upstream_model"] or row["requested_model"] for row in rows],
        "Key": [row["key_name"] or row["key_id"] for row in rows],
        "Times": [row["repeat_count"] if row["repeat_count"] > 1 else None for row in rows],
        "Input": [row["input_tokens"] for row in rows],
        "Output": [row["output_tokens"] for row in rows],
        "Usage": [USAGE_SOURCES.get(row["usage_source"]) for row in rows],
        "Cost": [usd(row["cost_nanos"]) for row in rows],
        "Priced": [row["cost_status"] for row in rows],
        "Duration": [row["duration_ms"] for row in rows],
        "First token": [row["ttft_ms"] for row in rows],
        "Status": [row["http_status"] for row in rows],
        "Project": [row["project"] for row in rows],
        "Upstream": [row["upstream"] for row in rows],
    }
    costs = [row["cost_nanos"] for row in rows]
    column = st.column_config
    config: dict[str, Any] = {
        "Time": column.TextColumn(help=f"When the request began, on the clock of {timezone}.", width=136),
        "Outcome": column.MultiselectColumn(
            options=list(OUTCOME_COLORS),
            color=list(OUTCOME_COLORS.values()),
            width=text_width((row["outcome"] for row in rows), at_least=75) + 6,
        ),
        "Model": column.TextColumn(width=text_width(columns["Model"], at_most=150)),
        "Key": column.TextColumn(width=text_width(columns["Key"], at_most=125)),
        "Times": column.NumberColumn(
            format="%d x", help="How many equal refusals the row stands for.", width=55
        ),
        "Input": column.NumberColumn(
            format="localized", help="Input tokens, cached ones included.", width=58
        ),
        "Output": column.NumberColumn(
            format="localized", help="Output tokens, reasoning included.", width=58
        ),
        "Usage": column.TextColumn(help="Where the token counts come from.", width=82),
        "Cost": column.NumberColumn(format=usd_format(costs), width=money_width(costs)),
        "Priced": column.TextColumn(help="How the cost came about.", width=72),
        "Duration": column.NumberColumn(format="%,.0f ms", width=78),
        "First token": column.NumberColumn(format="%,.0f ms", width=78),
        "Status": column.NumberColumn(format="%d", width=50),
        "Project": column.TextColumn(width=90),
        "Upstream": column.TextColumn(width=110),
    }
    usual = {"Times": None, "Usage": USAGE_SOURCES["provider"], "Priced": "priced"}
    telling = [label for label, plain in usual.items() if not {*columns[label]} <= {plain, None}]
    wanted = ("Time", "Outcome", "Model", "Key", "Cost", "Input", "Output", *telling)
    order = fitting(config, wanted=(*wanted, "Duration", "First token", "Status", "Project", "Upstream"))
    whole = dict.fromkeys(("Times", "Input", "Output", "Status"), pa.int64())
    real = dict.fromkeys(("Cost", "First token", "Duration"), pa.float64())
    texts = dict.fromkeys(("Time", "Model", "Key", "Usage", "Project", "Upstream", "Priced"), pa.string())
    types = {**whole, **real, **texts, "Outcome": pa.list_(pa.string())}
    return Shown(columns, config, types, order=order)


def errors(report: UsageReport) -> Shown:
    """What failed, in the words of whoever reported it, the most frequent first."""
    rows = sorted(report.rows, key=lambda row: -row.measures.requests)
    columns: dict[str, list[Any]] = {
        "Outcome": [row.dimensions["outcome"] for row in rows],
        "Status": [row.dimensions["http_status"] for row in rows],
        "Type": [row.dimensions["error_type"] for row in rows],
        "Code": [row.dimensions["error_code"] for row in rows],
        "Requests": [row.measures.requests for row in rows],
        "Attempts": [row.measures.attempts for row in rows],
    }
    number = st.column_config.NumberColumn(format="localized")
    texts = dict.fromkeys(("Outcome", "Status", "Type", "Code"), pa.string())
    return Shown(columns, {"Requests": number, "Attempts": number}, texts)


def cost_lines(attempt: Mapping[str, Any]) -> Shown:
    """The lines that make up the cost of an attempt, later changes of it, and the sum, exactly."""
    lines = attempt["cost_lines"] or ()
    changes = attempt["ledger"]
    columns: dict[str, list[Any]] = {
        "Meter": [str(line.get("meter", "")) for line in lines],
        "Quantity": [line.get("quantity") for line in lines],
        "Per 1M": [_rate(line.get("rate_picos")) for line in lines],
        "Cost": [formats.usd(line["cost_nanos"]) for line in lines],
    }
    for meter, nanos in (
        *((f"{entry['kind']}: {entry['reason'] or ''}", int(entry["delta_nanos"])) for entry in changes),
        ("Total", attempt["cost_nanos"]),
    ):
        for label, value in zip(columns, (meter, None, None, formats.usd(nanos)), strict=True):
            columns[label].append(value)
    column = st.column_config
    config = {
        "Meter": column.TextColumn(width=110),
        "Quantity": column.NumberColumn(format="localized", width=75),
        "Per 1M": column.TextColumn(alignment="right", width=75),
        "Cost": column.TextColumn(alignment="right", width=90),
    }
    return Shown(columns, config, {"Quantity": pa.int64(), "Per 1M": pa.string()})


def token_classes(attempt: Mapping[str, Any]) -> Shown:
    """The token counts that were reported; the classes below a sum are parts of it."""
    known = {label: attempt[name] for name, label in TOKEN_CLASSES.items() if attempt[name] is not None}
    columns = {"Class": list(known), "Tokens": list(known.values())}
    column = st.column_config
    return Shown(columns, {"Tokens": column.NumberColumn(format="localized")}, {"Tokens": pa.int64()})


def fields(attempt: Mapping[str, Any], *, timezone: str) -> Shown:
    """Every field of an attempt that is known, under its name in the API."""
    known = {name: value for name, value in attempt.items() if value is not None and name not in _ELSEWHERE}
    known["started_at"] = f"{formats.instant(attempt['started_at'], timezone=timezone)} ({timezone})"
    columns = {"Field": list(known), "Value": [_text(value) for value in known.values()]}
    config = {
        "Field": st.column_config.TextColumn(width="medium"),
        "Value": st.column_config.TextColumn(width="large"),
    }
    return Shown(columns, config, {})


_ELSEWHERE = ("cost_lines", "usage_raw", "ledger", "rated_cost_nanos", "rated_cost_status")


def to_csv(shown: Shown) -> bytes:
    """The columns as CSV in UTF-8; a text that a spreadsheet would take for a formula gets an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_cell(label) for label in shown.columns])
    for row in zip(*shown.columns.values(), strict=True):
        writer.writerow([_cell(value) for value in row])
    return out.getvalue().encode()


def to_parquet(shown: Shown) -> bytes:
    """The columns as a Parquet file."""
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(shown.table(), out)
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = " ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".")
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def instant(moment: datetime | None, timezone: str) -> str | None:
    """Date and time in a cell."""
    return None if moment is None else formats.instant(moment, timezone=timezone)


def minute(moment: datetime | None, timezone: str) -> str | None:
    """The same to the minute."""
    return None if moment is None else formats.minute(moment, timezone=timezone)


def usd(nanos: int | None) -> float | None:
    """Nano-USD as the number of a cell: exact to the nano-dollar below nine million dollars."""
    return None if nanos is None else nanos / NANOS_PER_USD


def usd_format(nanos: Sequence[int | None]) -> str:
    """A format with as many decimals as the finest amount needs."""
    return f"$%,.{formats.usd_decimals(nanos)}f"


def _rate(picos: int | None) -> str:
    return formats.UNKNOWN if picos is None else f"${format_usd_per_mtok(picos)}"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
