"""`check` is silent about sound books and finds every kind of damage."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from service.reporting import check as checking
from service.reporting import impossible
from service.reporting.check import check
from service.store.engine import Store
from service.store.types import from_micros
from tests.support.records import START, some, write

SOUND = some(seed=41, count=60, days=2)


@pytest.fixture
def books(store: Store) -> Store:
    write(store, SOUND)
    return store


def damage(store: Store, statement: str) -> None:
    """Change exactly one row behind the back of the rollups."""
    with store.write() as tx:
        assert tx.execute(text(statement)).rowcount == 1


def only(table: str, condition: str, *, key: str = "id") -> str:
    return f"{key} = (SELECT {key} FROM {table} WHERE {condition} ORDER BY {key} LIMIT 1)"


def test_sound_books_have_no_differences(books: Store) -> None:
    heard: list[tuple[int, int]] = []
    assert check(books, progress=lambda done, total: heard.append((done, total))) == []
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_an_empty_store_is_sound(store: Store) -> None:
    assert check(store) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("cost_nanos = cost_nanos + 1", "cost_nanos"),
        ("input_tokens = input_tokens + 1", "input_tokens"),
        ("cache_read_input_tokens = 5", "cache_read_input_tokens"),
        ("repeat_count = repeat_count + 1", "attempts"),
        ("provider_cost_nanos = 123456", "provider_cost_nanos"),
        ("bytes_out = 777777", "bytes_out"),
        ("duration_ms = 0.5", "duration_bin_00"),
        ("ttft_ms = 1500000", "ttft_bin_43"),
        ("usage_source = 'partial'", "usage_partial"),
        ("project = 'another'", "requests"),
        ("key_id = 'another'", "requests"),
    ],
)
def test_a_record_that_changed_disagrees_with_its_rollup(books: Store, change: str, what: str) -> None:
    chosen = (
        "final AND upstream IS NOT NULL AND cost_status = 'priced' AND usage_source = 'provider' "
        "AND duration_ms IS NOT NULL AND ttft_ms IS NOT NULL AND cache_read_input_tokens > 5 AND attempt = 1"
    )
    damage(books, f"UPDATE request_record SET {change} WHERE {only('request_record', chosen)}")
    found = check(books)
    assert what in {difference.what for difference in found if difference.where.startswith("usage_rollup ")}


def test_a_lost_record_is_seen(books: Store) -> None:
    damage(books, f"DELETE FROM request_record WHERE {only('request_record', 'attempt = 1')}")
    assert {"requests", "attempts"} & {difference.what for difference in check(books)}


@pytest.mark.parametrize(
    "table",
    [f"{base}{level}" for base in ("usage_rollup", "model_rollup") for level in ("", "_hour", "_day")],
)
def test_a_rollup_row_that_changed_is_seen(books: Store, table: str) -> None:
    keys = ", key_id, project" if table.startswith("usage") else ""
    with books.write() as tx:
        row = tx.execute(
            text(f"SELECT bucket, model, outcome, upstream, provider{keys} FROM {table}")
        ).first()
        assert row is not None
        where = " AND ".join(f"{name} = :{name}" for name in row._fields)
        tx.execute(text(f"UPDATE {table} SET attempts = attempts + 1 WHERE {where}"), dict(row._mapping))
    found = check(books)
    assert {(difference.what) for difference in found} == {"attempts"}
    assert any(difference.where.startswith(f"{table} 2026-03-0") for difference in found)
    assert all(
        int(d.found) == int(d.expected.split()[0]) + 1 for d in found if d.where.startswith(f"{table} ")
    )


@pytest.mark.parametrize(
    ("chosen", "change", "finding"),
    [
        ("cost_status = 'unpriced'", "cost_nanos = 1", "a cost though unpriced"),
        ("cost_status = 'priced'", "cost_nanos = NULL, cost_lines = NULL", "no cost though not unpriced"),
        ("cost_status = 'free' AND upstream IS NULL", "cost_nanos = 1", "a cost though free"),
        ("outcome LIKE 'rejected%'", "cost_nanos = 1, cost_status = 'priced'", "a cost though refused"),
        ("usage_source = 'none'", "input_tokens = 1", "tokens though usage_source is none"),
        ("usage_source = 'none'", "usage_source = 'partial'", "no tokens though usage_source is not none"),
        ("final", "usage_low = 2, usage_high = 1", "usage_low above usage_high"),
        ("final", "duration_ms = -1", "a negative duration"),
        ("outcome = 'ok'", "final = FALSE", "ok, but not what the client got"),
    ],
)
def test_an_impossible_record_is_named(books: Store, chosen: str, change: str, finding: str) -> None:
    damage(books, f"UPDATE request_record SET {change} WHERE {only('request_record', chosen)}")
    found = [difference for difference in check(books) if difference.what == "state"]
    assert [difference.found for difference in found] == [finding]
    assert found[0].where.startswith("request_record 019c")


def test_lines_that_do_not_make_the_cost_are_seen(books: Store) -> None:
    chosen = only("request_record", "cost_lines IS NOT NULL AND cost_nanos > 0")
    damage(
        books,
        f"""UPDATE request_record SET cost_lines = '[{{"cost_nanos": 1}},{{"cost_nanos": 2}}]' WHERE {chosen}""",
    )
    (found,) = check(books)
    assert (found.what, found.expected) == ("cost_nanos", "3 (sum of cost_lines)")


def test_two_final_attempts_or_none_are_seen(books: Store) -> None:
    damage(books, f"UPDATE request_record SET final = TRUE WHERE {only('request_record', 'final = FALSE')}")
    assert ("final attempts", "2") in {(d.what, d.found) for d in check(books)}


def test_a_request_without_a_final_attempt_may_still_be_running(books: Store) -> None:
    record = max((one for one in SOUND if one.attempt > 1), key=lambda one: one.started_at)
    last = max(one.attempt for one in SOUND if one.request_id == record.request_id)
    (final,) = [one for one in SOUND if one.request_id == record.request_id and one.attempt == last]
    hexed = f"'{UUID(bytes=final.id)}'" if not books.is_sqlite else f"x'{final.id.hex()}'"
    damage(books, f"DELETE FROM request_record WHERE id = {hexed}")

    def finals(settled_before: object) -> int:
        found = check(books, settled_before=settled_before)  # type: ignore[arg-type]
        return sum(difference.what == "final attempts" for difference in found)

    assert finals(None) == 1
    assert finals(from_micros(final.started_at) + timedelta(days=1)) == 1
    assert finals(START) == 0


def test_a_missing_attempt_is_seen(books: Store) -> None:
    chosen = only("request_record", "attempt = 1 AND NOT final")
    damage(books, f"DELETE FROM request_record WHERE {chosen}")
    assert "attempts" in {
        difference.what for difference in check(books) if difference.where.startswith("request 0")
    }


def test_an_id_that_belies_its_time_is_seen(books: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impossible, "_FETCH_ROWS", 7)
    chosen = only("request_record", "attempt = 1")
    damage(books, f"UPDATE request_record SET started_at = started_at + 5000 WHERE {chosen}")
    assert "the time in its id" in {difference.what for difference in check(books)}


def test_ledger_entries_are_checked(books: Store) -> None:
    columns = (
        "id, record_id, kind, rating_version, delta_nanos, cost_status_before, cost_status_after, created_at"
    )
    source = only("request_record", "cost_status = 'priced'")
    new_id = "randomblob(16)" if books.is_sqlite else "gen_random_uuid()"
    damage(
        books,
        f"INSERT INTO ledger_entry ({columns}) SELECT {new_id}, id, 'reprice', 2, -cost_nanos - 1, 'unpriced', "
        f"'priced', 0 FROM request_record WHERE {source}",
    )
    found = {difference.what for difference in check(books)}
    assert {"cost with its ledger entries", "cost_status_before of a ledger entry", "cost_nanos"} <= found


def test_a_ledger_entry_without_its_record_is_seen(books: Store) -> None:
    columns = (
        "id, record_id, kind, rating_version, delta_nanos, cost_status_before, cost_status_after, created_at"
    )
    new_id = "randomblob(16)" if books.is_sqlite else "gen_random_uuid()"
    damage(
        books,
        f"INSERT INTO ledger_entry ({columns}) VALUES ({new_id}, {new_id}, 'reprice', 2, 1, 'priced', 'priced', 0)",
    )
    (found,) = check(books)
    assert (found.what, found.expected) == ("record_id", "a request record")


def test_a_flood_of_differences_is_cut_short(books: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "MAX_DIFFERENCES", 7)
    with books.write() as tx:
        tx.execute(text("UPDATE usage_rollup SET attempts = attempts + 1"))
    assert len(check(books)) == 7
