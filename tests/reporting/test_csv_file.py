"""CSV made by the chunk is CSV as Python's csv module writes it, whatever the values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.reporting import export
from service.reporting.columns import Kind, by_name, numbered
from service.reporting.csv_file import FORMULA_STARTS, csv_pieces
from service.reporting.export import export_requests
from service.reporting.rows import RequestFilter
from service.store.engine import Store
from tests.reporting.plain_files import (
    FLOATS,
    FREE_TEXT,
    HOSTILE,
    LARGEST,
    expected_rows,
    fill_with_hostile_books,
    hostile_records,
    plain_csv,
)
from tests.support.records import some, write

KINDS: tuple[tuple[str, Kind], ...] = (
    ("name", "text"),
    ("count", "integer"),
    ("comment", "text"),
    ("price", "decimal"),
    ("mean", "number"),
    ("share", "number"),
    ("tags", "json"),
    ("final", "boolean"),
    ("alone", "text"),
    ("at", "instant"),
    ("=odd name", "text"),
)
COLUMNS = numbered(KINDS)
TEXTS = st.none() | st.sampled_from(HOSTILE) | st.text(max_size=6) | st.sampled_from(("a", "b"))
NUMBERS = st.none() | st.sampled_from(FLOATS) | st.floats(allow_nan=False, allow_infinity=False)
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "integer": st.none() | st.integers(-LARGEST - 1, LARGEST),
    "decimal": st.none() | st.sampled_from(("-0.50", "0.00", "12.345")),
    "number": NUMBERS,
    "json": st.none() | st.lists(st.text(max_size=3), max_size=2),
    "boolean": st.none() | st.booleans(),
    "instant": st.none()
    | st.integers(0, 253_402_300_799_999_999)
    | st.integers(0, 9_999).map(lambda s: s * 10**6),
}
ROWS = st.lists(st.fixed_dictionaries({name: VALUES[kind] for name, kind in KINDS}), max_size=9)


@given(rows=ROWS, chunk=st.integers(1, 5))
def test_it_is_what_the_csv_module_writes(rows: list[dict[str, Any]], chunk: int) -> None:
    cut = [rows[at : at + chunk] for at in range(0, len(rows), chunk)]
    pieces = csv_pieces(COLUMNS, [by_name(some, COLUMNS) for some in cut])
    header, _, body = b"".join(pieces).partition(b"\r\n")
    _, _, expected = plain_csv(rows, COLUMNS).partition(b"\r\n")
    assert body == expected
    assert header.endswith(b",at,'=odd name")


@pytest.mark.parametrize("start", FORMULA_STARTS)
@pytest.mark.parametrize("name", ["name", "comment", "alone"])
def test_no_text_is_a_formula(start: str, name: str) -> None:
    body = b"".join(csv_pieces(COLUMNS, [by_name([{name: f"{start}A1"}, {name: "x"}], COLUMNS)]))
    assert f"'{start}A1".encode() in body


@pytest.mark.parametrize("page_rows", [7, 1_000])
def test_hostile_books_are_the_same_bytes(
    store: Store, page_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ledger entries on nearly every page, on SQLite and on PostgreSQL."""
    monkeypatch.setattr(export, "PAGE_ROWS", page_rows)
    fill_with_hostile_books(store, count=120)
    assert exported(store) == plain(store)


@pytest.mark.parametrize("page_rows", [5, 1_000])
@pytest.mark.parametrize("separators", [True, False])
def test_packed_pages_are_the_same_bytes(
    store: Store, page_rows: int, monkeypatch: pytest.MonkeyPatch, *, separators: bool
) -> None:
    """Without ledger entries the store hands over runs of columns; where a text has their separators, it does not."""
    monkeypatch.setattr(export, "PAGE_ROWS", page_rows)
    records = hostile_records(count=120)
    if not separators:
        for record in records:
            for name in FREE_TEXT:
                text = getattr(record, name)
                setattr(record, name, text and text.replace("\x1f", " ").replace("\x1e", " "))
    write(store, records)
    assert exported(store) == plain(store)


def test_harmless_books_are_the_same_bytes(store: Store) -> None:
    write(store, some(seed=3, count=50, days=1))
    assert exported(store) == plain(store)


def exported(store: Store) -> list[bytes]:
    return b"".join(export_requests(store, RequestFilter(), file_format="csv")).split(b"\r\n")


def plain(store: Store) -> list[bytes]:
    return plain_csv(expected_rows(store), export.REQUEST_COLUMNS).split(b"\r\n")
