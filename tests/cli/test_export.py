"""`tollkeeper export`: files of records, usage and billing data, whole or not at all."""

import csv
import io
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from service.cli import export as exporting
from service.cli.export import export
from service.cli.output import counted
from service.errors import InvalidInputError, StoreUnavailableError
from service.store.engine import Store
from tests.support.records import some, write

RECORDS = some(seed=81, count=40, days=2)
RANGE = ("--from", "2026-03-06", "--to", "2026-03-10")


@pytest.fixture
def books(sqlite_store: Store) -> Store:
    write(sqlite_store, RECORDS)
    return sqlite_store


def run(store: Store, *arguments: str) -> Result:
    return CliRunner().invoke(export, [*arguments, "--store-url", str(store)], standalone_mode=False)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_records_go_to_standard_output(books: Store) -> None:
    result = run(books, "requests", "--key", "key_a")
    assert result.exception is None
    assert len(rows(result.stdout_bytes.decode())) == sum(record.key_id == "key_a" for record in RECORDS) > 0
    assert result.stderr == f"{sum(record.key_id == 'key_a' for record in RECORDS)} rows written\n"


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "txt"])
def test_the_ending_of_the_file_chooses_its_format(books: Store, tmp_path: Path, ending: str) -> None:
    place = tmp_path / f"requests.{ending}"
    assert run(books, "requests", "-o", str(place)).exception is None
    if ending == "parquet":
        found = import_module("pyarrow.parquet").read_table(place).num_rows
    elif ending == "jsonl":
        found = len([json.loads(line) for line in place.read_text().splitlines()])
    else:
        found = len(rows(place.read_text()))
    assert found == len(RECORDS)
    assert list(tmp_path.glob("*.part")) == []


def test_usage_by_day_and_model(books: Store) -> None:
    result = run(books, "usage", *RANGE, "--by", "model", "--interval", "day", "--format", "jsonl")
    found = [json.loads(line) for line in result.stdout_bytes.splitlines()]
    assert sum(row["cost_nanos"] or 0 for row in found) == sum(record.cost_nanos or 0 for record in RECORDS)


def test_focus(books: Store) -> None:
    result = run(books, "focus", *RANGE, "--period", "hour")
    assert result.exception is None
    assert {row["ServiceCategory"] for row in rows(result.stdout_bytes.decode())} == {
        "AI and Machine Learning"
    }


@pytest.mark.parametrize("kind", ["requests", "usage", "focus"])
def test_the_number_of_rows_is_said_at_the_end(books: Store, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "file.csv"
    asked = () if kind == "requests" else RANGE
    result = run(books, kind, *asked, "-o", str(place))
    assert result.stdout == ""
    assert result.stderr == f"{counted(len(rows(place.read_text())), 'row')} written to {place}\n"


def test_focus_takes_no_filters(books: Store) -> None:
    result = run(books, "focus", "--model", "gpt-4o")
    assert isinstance(result.exception, InvalidInputError)
    assert "leave the filters out" in str(result.exception)


def test_a_file_that_cannot_be_written_is_one_clear_line(books: Store, tmp_path: Path) -> None:
    result = run(books, "requests", "-o", str(tmp_path / "nowhere" / "x.csv"))
    assert isinstance(result.exception, InvalidInputError)
    assert "cannot be written: No such file or directory" in str(result.exception)


def test_an_export_that_fails_half_way_leaves_the_old_file(
    books: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any, **__: Any) -> Iterator[bytes]:
        yield b"half"
        raise StoreUnavailableError("the store has gone")

    monkeypatch.setattr(exporting, "export_usage", breaks)
    place = tmp_path / "usage.csv"
    place.write_text("yesterday's")
    result = run(books, "usage", "-o", str(place))
    assert isinstance(result.exception, StoreUnavailableError)
    assert [(found.name, found.read_text()) for found in tmp_path.glob("usage*")] == [
        ("usage.csv", "yesterday's")
    ]
