"""`tollkeeper check`: says whether the books agree, by its words and by its exit status."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import delete, text

from service.budgets import leases
from service.budgets.answers import Want
from service.cli.check import check
from service.cli.session import utc_now
from service.ledger.record import RequestRecord, uuid7
from service.store.engine import Store
from service.store.tables import request_record
from service.store.types import to_micros
from tests.budgets.making import stored
from tests.support.records import some, write


def run(store: Store, *options: str) -> tuple[int, Result]:
    url = store.url.render_as_string(hide_password=False)
    result = CliRunner().invoke(check, ["--store-url", url, *options], standalone_mode=False)
    assert result.exception is None
    return int(result.return_value), result


@pytest.fixture
def books(store: Store) -> Store:
    write(store, some(seed=71, count=40, days=1))
    return store


def test_sound_books(books: Store) -> None:
    code, result = run(books)
    assert code == 0
    assert result.stdout == f"The books of {books} agree.\n"
    assert result.stderr == ""


def test_damage_is_printed_and_exits_with_1(books: Store) -> None:
    with books.write() as tx:
        tx.execute(text("UPDATE usage_rollup SET attempts = attempts + 1 WHERE outcome = 'ok'"))
    code, result = run(books)
    assert code == 1
    assert result.stdout.splitlines()[0].split() == ["where", "what", "found", "expected"]
    assert "usage_rollup 2026-03-0" in result.stdout
    assert f"The books of {books} differ in " in result.stderr
    code, result = run(books, "--json")
    answer: dict[str, Any] = json.loads(result.stdout)
    assert (code, answer["ok"]) == (1, False)
    assert {difference["what"] for difference in answer["differences"]} == {"attempts"}


def test_a_budget_that_does_not_agree_is_printed(store: Store) -> None:
    budget = stored(store, window="total")
    with store.write() as tx:
        wants = [Want((budget.id, ""), 1, 100, 100)]
        now = utc_now()
        leases.acquire(tx, wants, holder="relay", now=now, expires_at=now + timedelta(minutes=1))
    assert run(store)[0] == 0
    with store.write() as tx:
        tx.execute(text("UPDATE budget_period SET committed_nanos = 90"))
    code, result = run(store, "--json")
    [difference] = json.loads(result.stdout)["differences"]
    assert (code, difference) == (
        1,
        {
            "where": f"{budget.id} 1970-01-01T00:00:00Z",
            "what": "committed_nanos",
            "found": "90",
            "expected": "100 (spent directly and reserved by leases)",
        },
    )


def test_a_rebuild_mends_rollups(books: Store) -> None:
    with books.write() as tx:
        tx.execute(text("DELETE FROM usage_rollup"))
    assert run(books)[0] == 1
    assert run(books, "--rebuild")[0] == 0
    assert run(books)[0] == 0


def test_a_request_that_may_still_run_is_no_damage_unless_all_is_settled(store: Store) -> None:
    at = to_micros(utc_now() - timedelta(minutes=5))
    identifier = uuid7(at, bytes(8))
    record = RequestRecord(id=identifier, request_id=identifier, attempt=1, started_at=at, final=False)
    record.outcome, record.cost_nanos, record.cost_status = "upstream_error", 0, "free"
    write(store, [record])
    assert run(store)[0] == 0
    code, result = run(store, "--settled", "--json")
    (difference,) = json.loads(result.stdout)["differences"]
    assert code == 1
    assert difference["where"] == f"request {UUID(bytes=identifier)}"
    with store.write() as tx:
        tx.execute(delete(request_record))
    assert run(store, "--rebuild")[0] == 0
