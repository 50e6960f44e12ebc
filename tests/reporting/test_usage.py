"""Usage reports: every way to cut a range adds up to the same total, from rollups and from records."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import InvalidInputError
from service.ledger.record import RequestRecord, uuid7
from service.reporting import queries, usage
from service.reporting.dimensions import DIMENSIONS, RECORD_ONLY, ROLLUP
from service.reporting.figures import Measures
from service.reporting.intervals import Span
from service.reporting.measures import ERRORS, REFUSALS
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store
from service.store.tables import OUTCOMES, request_record, virtual_key
from service.store.types import to_micros
from tests.support.records import START, some, wipe, write

ZONES = ("UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/Los_Angeles")
DAYS = 4
UNTIL = START + timedelta(days=DAYS, hours=1)
COUNTED = ("requests", "attempts", "errors", "input_tokens", "output_tokens", "cost_nanos", "bytes_out")


def report(store: Store, **query: Any) -> usage.UsageReport:
    with store.read() as tx:
        return usage_report(tx, UsageQuery(**{"since": START, "until": UNTIL, **query}))


def summed(found: usage.UsageReport, name: str) -> int | None:
    values = [getattr(row.measures, name) for row in found.rows]
    return sum(value or 0 for value in values) if any(value is not None for value in values) else None


@pytest.fixture
def books(store: Store) -> Store:
    """Two hundred records over the days in which daylight saving begins."""
    write(store, some(seed=11, count=200, days=DAYS))
    return store


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("interval", ["hour", "day", "week", "month"])
def test_single_buckets_add_up_to_the_range(books: Store, zone: str, interval: str) -> None:
    whole = report(books).total
    cut = report(books, interval=interval, timezone=zone)
    assert cut.total == whole
    for name in COUNTED:
        assert summed(cut, name) == getattr(whole, name)


@pytest.mark.parametrize("zone", ZONES)
def test_each_day_asked_for_alone_is_the_day_in_the_series(books: Store, zone: str) -> None:
    """LiteLLM over-counted about twice outside UTC (BerriAI/litellm #29568, #27780)."""
    series = report(books, interval="day", timezone=zone)
    total = 0
    for row in series.rows:
        alone = report(books, since=row.start, until=row.end)
        assert alone.total == row.measures
        total += alone.total.cost_nanos or 0
    assert total == series.total.cost_nanos


@pytest.mark.parametrize("dimension", [name for name in DIMENSIONS if name != "tag"])
def test_any_group_by_adds_up_to_the_total(books: Store, dimension: str) -> None:
    """LiteLLM's tables disagreed with each other (BerriAI/litellm #37144)."""
    grouped = report(books, group_by=(dimension,))
    assert len(grouped.rows) > 1
    assert grouped.total == report(books).total
    for name in COUNTED:
        assert summed(grouped, name) == getattr(grouped.total, name)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
def test_records_and_rollups_give_the_same_report(
    books: Store, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {"interval": "day", "timezone": zone, "group_by": tuple(ROLLUP)}
    from_rollups = report(books, **asked)
    monkeypatch.setattr(usage, "ROLLUP", {})
    assert report(books, **asked) == from_rollups


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 10**6),
    st.sampled_from(ZONES),
    st.sets(st.sampled_from(sorted(ROLLUP)), max_size=3).map(tuple),
)
def test_random_books_add_up(store: Store, seed: int, zone: str, group_by: tuple[str, ...]) -> None:
    wipe(store)
    records = some(seed=seed, count=30, days=DAYS)
    write(store, records)
    found = report(store, interval="day", timezone=zone, group_by=group_by)
    assert found.total.attempts == sum(record.repeat_count for record in records)
    assert found.total.requests == sum(record.repeat_count for record in records if record.final)
    assert found.total.cost_nanos == sum(record.cost_nanos or 0 for record in records)
    assert summed(found, "cost_nanos") == found.total.cost_nanos
    assert summed(found, "attempts") == found.total.attempts


@pytest.mark.parametrize("dimension", [name for name in DIMENSIONS if name != "tag"])
def test_a_filter_selects_the_rows_of_its_group(books: Store, dimension: str) -> None:
    grouped = report(books, group_by=(dimension,))
    for row in grouped.rows:
        value = row.dimensions["key_id" if dimension == "key" else dimension] or ""
        assert report(books, filters={dimension: (value,)}).total == row.measures


def test_tags_count_once_each(books: Store) -> None:
    records = some(seed=11, count=200, days=DAYS)
    grouped = report(books, group_by=("tag",))
    found = {row.dimensions["tag"]: row.measures.attempts for row in grouped.rows}
    for tag in ("batch", "nightly"):
        expected = sum(r.repeat_count for r in records if r.tags and tag in r.tags)
        assert found[tag] == expected
        assert report(books, filters={"tag": (tag,)}).total.attempts == expected
    untagged = sum(record.repeat_count for record in records if not record.tags)
    assert found[None] == untagged
    assert report(books, filters={"tag": ("",)}).total.attempts == untagged


def test_an_asterisk_in_a_model_is_any_text_and_nothing_else_is_special(books: Store) -> None:
    every = {
        row.dimensions["model"]: row.measures.attempts for row in report(books, group_by=("model",)).rows
    }
    for dimension in ("model", "requested_model"):
        found = report(books, filters={dimension: ("GPT-4o*",)}, group_by=("model",))
        assert found.rows
        assert all((row.dimensions["model"] or "").startswith("gpt-4o") for row in found.rows)
        assert not report(books, filters={dimension: ("model%",)}).total.attempts
        assert not report(books, filters={dimension: ("model_with_signs*",)}).total.attempts
    found = report(books, filters={"model": ("model_with%*", "gpt-4o")})
    expected = sum(n for name, n in every.items() if name and (name.startswith("model_") or name == "gpt-4o"))
    assert found.total.attempts == expected


def test_a_key_shows_the_name_it_has_today(books: Store) -> None:
    with books.write() as tx:
        tx.execute(
            virtual_key.insert().values(
                id="key_a", name="renamed", project="p", created_at=START, updated_at=START
            )
        )
    rows = report(books, group_by=("project", "key")).rows
    named = {row.dimensions["key_id"]: row.dimensions["key_name"] for row in rows}
    assert named == {"key_a": "renamed", "key_b": None, "key_ü": None, None: None}


def test_a_record_that_comes_between_two_statements_is_left_out(
    books: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums and histograms of records are two statements; a store that moves on between them is no error."""
    whole = queries.record_usage

    def without_the_last_group(*args: Any, **options: Any) -> Any:
        return whole(*args, **options).where(request_record.c.session == "session-1")

    monkeypatch.setattr(queries, "record_usage", without_the_last_group)
    (row,) = report(books, group_by=("session",)).rows
    assert row.dimensions == {"session": "session-1"}
    assert row.measures.p50_duration_ms is not None


def test_nothing_reported_is_none_and_not_zero(store: Store) -> None:
    found = report(store, interval="day")
    assert [row.measures for row in found.rows] == [found.total] * (DAYS + 1)
    total = found.total
    assert (total.requests, total.attempts, total.bytes_in) == (0, 0, 0)
    unknown: dict[str, object] = {
        name: getattr(total, name) for name in Measures.__struct_fields__ if getattr(total, name) is None
    }
    assert unknown.keys() >= {
        "error_rate", "coverage", "input_tokens", "cost_nanos", "cost_usd", "p95_duration_ms", "ttft_ms",
    }  # fmt: skip


def test_figures_of_known_records(store: Store) -> None:
    """Ten requests written out, with figures one can add up by hand."""
    started = to_micros(START)

    def record(number: int, **fields: Any) -> RequestRecord:
        at = started + number * 1_000_000
        identifier = uuid7(at, number.to_bytes(8, "big"))
        common = {"id": identifier, "request_id": identifier, "attempt": 1, "started_at": at, "key_id": "k"}
        return RequestRecord(**{**common, **fields})

    answered = {"upstream": "openai", "usage_source": "provider", "cost_status": "priced"}
    records = [
        record(number, **answered, input_tokens=10, output_tokens=1, cost_nanos=1_500_000, duration_ms=100.0)
        for number in range(6)
    ]
    records.append(record(6, upstream="openai", outcome="upstream_error", cost_nanos=0, cost_status="free"))
    records.append(record(7, upstream="openai", usage_source="estimated", input_tokens=5, output_tokens=0))
    records.append(record(8, outcome="rejected_budget", cost_nanos=0, cost_status="free", repeat_count=3))
    records.append(
        record(9, **answered, cost_nanos=1, outcome="client_disconnect", input_tokens=1, output_tokens=0)
    )
    write(store, records)
    total = report(store).total
    assert total.requests == total.attempts == 12
    assert (total.errors, total.refused_requests, total.disconnected_requests) == (1, 3, 1)
    assert total.error_rate == pytest.approx(1 / 12)
    assert (total.input_tokens, total.output_tokens, total.cache_read_input_tokens) == (66, 6, None)
    assert (total.cost_nanos, total.cost_usd) == (9_000_001, "0.009000001")
    assert (total.unpriced_requests, total.estimated_requests) == (1, 1)
    assert total.coverage == pytest.approx(8 / 9)
    assert total.cost_status == {
        "priced": 7, "partial": 0, "assumed": 0, "provider": 0, "unpriced": 1, "free": 4,
    }  # fmt: skip
    assert total.duration_ms == 100.0
    assert total.p50_duration_ms == pytest.approx(100, rel=0.13)
    assert (total.ttft_ms, total.p50_ttft_ms) == (None, None)
    assert report(store, percentiles=False).total.p50_duration_ms is None


def test_a_range_is_widened_to_quarters_and_says_so(books: Store) -> None:
    found = report(books, since=START + timedelta(minutes=7), until=START + timedelta(minutes=31))
    assert (found.since, found.until) == (START, START + timedelta(minutes=45))


def test_every_outcome_is_classified_once() -> None:
    neither = {"ok", "client_disconnect"}
    assert sorted((*ERRORS, *REFUSALS, *neither)) == sorted(OUTCOMES)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"group_by": ("colour",)}, "group_by"),
        ({"group_by": ("key", "key")}, "group_by"),
        ({"filters": {"usage_raw": ("x",)}}, "filters"),
        ({"filters": {"model": ("a\x00b",)}}, "model"),
        ({"filters": {"end_user": ("\ud800",)}}, "end_user"),
        ({"timezone": "Moon/Crater"}, "timezone"),
        ({"since": UNTIL}, "until"),
    ],
)
def test_bad_questions_are_refused(sqlite_store: Store, query: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        report(sqlite_store, **query)
    assert caught.value.field == field


def test_rollups_are_read_by_their_key_and_not_whole(sqlite_store: Store) -> None:
    """One range scan of the primary key for each span."""
    spans = [
        Span(START, START + timedelta(minutes=15)),
        Span(START + timedelta(hours=1), START + timedelta(hours=3)),
        Span(START + timedelta(days=1), START + timedelta(days=3)),
    ]
    for name, base in (("key", "usage_rollup"), ("model", "model_rollup")):
        statement = queries.rollup_usage(spans, group_by=(name,), filters={})
        spelled = statement.compile(sqlite_store.engine, compile_kwargs={"literal_binds": True})
        with sqlite_store.read() as tx:
            plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {spelled}").all()
        steps = [row[3] for row in plan]
        for table in (base, f"{base}_hour", f"{base}_day"):
            assert any(f"SEARCH {table} USING PRIMARY KEY (bucket>? AND bucket<?)" in step for step in steps)


def test_record_dimensions_are_columns_or_tags() -> None:
    assert set(RECORD_ONLY) & set(ROLLUP) == set()
