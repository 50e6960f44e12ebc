"""What an export must contain, spelled out a row at a time; `reporting.files` makes it by chunks.

Also books that try to break it: formulas, quotes, separators and escapes in every text that a client or an upstream
chooses, integers at their bounds, floats that take an exponent, nothing at all, and costs changed by the ledger.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.pool import QueuePool

from service.ledger.record import RequestRecord, uuid7
from service.pricing.money import format_usd
from service.reporting.columns import Column
from service.reporting.csv_file import FORMULA_STARTS
from service.store.engine import Store
from service.store.measure_columns import ROLLUP_BYTES, ROLLUP_SUMS
from service.store.tables import ledger_entry, request_record
from service.store.types import from_micros, to_micros
from tests.support.records import START, some, write

LARGEST = 2**63 - 1
HOSTILE = (
    *(f"{start}cmd|' /C calc'!A0" for start in FORMULA_STARTS),
    "",
    "null",
    ",null",
    "[null]",
    "]\n[null",
    "true",
    'a "quoted", text',
    "one, two",
    "line\nend",
    "carriage\rreturn",
    "back\\slash",
    "\\u0041",
    "\x01\x1f\x7f",
    "ünïcode 🙂 \u2028",
    " leading and trailing ",
    "'=already",
    "unit\x1fseparator",
    "record\x1eseparator",
    "x-y=z@w+v",
)
FLOATS = (None, 0.0, 1e-7, 0.00012, 0.1, 1 / 3, 100.0, 123456.789, 1e15, 1e16, 1.5e300)
INTEGERS = (None, 0, 1, LARGEST)
ADDENDS = (None, 0, 1, LARGEST >> 20)
"""Of what rollups add up."""
FREE_TEXT = (
    "client_address", "user_agent", "key_id", "key_name", "project", "end_user", "session", "upstream", "provider",
    "requested_model", "upstream_model", "response_model", "response_id", "upstream_request_id", "error_type",
    "error_code", "usage_raw", "price_id", "service_tier",
)  # fmt: skip
COUNTS = (
    "audio_output_tokens",
    "usage_low",
    "usage_high",
    "provider_cost_nanos",
    "estimate_nanos",
    "bytes_in",
    "chunks",
)


def hostile_records(*, count: int) -> list[RequestRecord]:
    """Records of every kind; the first ones are harmless, so that files have chunks of both."""
    rng = Random(97)
    records = some(seed=96, count=count, days=2)
    for record in records[count // 3 :]:
        for name in FREE_TEXT:
            setattr(record, name, rng.choice((None, "plain", "plain too", *HOSTILE)))
        for name in COUNTS:
            values = ADDENDS if name in (*ROLLUP_SUMS, *ROLLUP_BYTES) else INTEGERS
            setattr(record, name, rng.choice(values if name != "chunks" else (None, 7)))
        for name in ("ttft_ms", "duration_ms", "overhead_ms"):
            setattr(record, name, rng.choice(FLOATS) if name == "overhead_ms" else getattr(record, name))
        record.tags = rng.choice((None, (), (rng.choice(HOSTILE), "b")))
        record.usage_flags = rng.choice((None, ("estimated",)))
    return records


def fill_with_hostile_books(store: Store, *, count: int) -> None:
    """Write them, with ledger entries for every third, one of which leaves a cost of nothing."""
    records = hostile_records(count=count)
    write(store, records)
    entries = [
        {
            "id": UUID(bytes=uuid7(record.started_at, (number * 10 + version).to_bytes(8))),
            "record_id": UUID(bytes=record.id),
            "kind": "reprice",
            "rating_version": version,
            "delta_nanos": -(record.cost_nanos or 0) if number % 2 else 12_345_678_901 * version,
            "cost_status_before": record.cost_status,
            "cost_status_after": "assumed",
            "created_at": START,
        }
        for number, record in enumerate(records[::3])
        for version in range(1, 2 + number % 3)
        if version == 1 or not number % 2
    ]
    with store.write() as tx:
        tx.execute(insert(ledger_entry), entries)


def expected_rows(store: Store) -> list[dict[str, Any]]:
    """Every record as the file shows it, newest first, with the ledger added up here and not by the store."""
    with store.read() as tx:
        records = tx.execute(select(request_record).order_by(request_record.c.id.desc())).mappings().all()
        entries = tx.execute(select(ledger_entry).order_by(ledger_entry.c.rating_version)).mappings().all()
    rows = []
    for record in records:
        mine = [entry for entry in entries if entry["record_id"] == record["id"]]
        row = dict(record)
        row["rated_cost_nanos"], row["rated_cost_status"] = row["cost_nanos"], row["cost_status"]
        if mine:
            row["cost_nanos"] = (row["cost_nanos"] or 0) + sum(entry["delta_nanos"] for entry in mine)
            row["cost_status"] = mine[-1]["cost_status_after"]
        row["id"], row["request_id"] = str(row["id"]), str(row["request_id"])
        row["cost_usd"] = None if row["cost_nanos"] is None else format_usd(row["cost_nanos"])
        rows.append(row)
    return rows


def plain_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> bytes:
    """The file, by Python's own csv module."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([column.name for column in columns])
    for row in rows:
        writer.writerow([_cell(row.get(column.name), column) for column in columns])
    return text.getvalue().encode()


def _cell(value: Any, column: Column) -> Any:
    if value is None:
        return None
    match column.kind:
        case "text":
            return f"'{value}" if value.startswith(FORMULA_STARTS) else value
        case "boolean":
            return "true" if value else "false"
        case "json":
            return _compact(value)
        case "instant":
            return _instant(value)
        case _:
            return value


def plain_jsonl(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> list[dict[str, Any]]:
    """The objects of the file, in its order of members."""
    return [
        {
            column.name: _instant(value) if column.kind == "instant" and value is not None else value
            for column in columns
            for value in (row.get(column.name),)
        }
        for row in rows
    ]


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _instant(value: Any) -> str:
    instant = from_micros(value) if isinstance(value, int) else value
    assert to_micros(instant) >= 0
    return str(instant.isoformat().removesuffix("+00:00")) + "Z"


def connections_in_use(store: Store) -> int:
    """How many connections are out of the pool: SQLite's writer always is."""
    pool = store.engine.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()
