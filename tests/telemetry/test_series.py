"""Counts: nothing lost, nothing twice, and few labels whatever comes."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.ledger.record import Outcome, RequestRecord
from service.telemetry import names
from service.telemetry.layout import BOOKS, FAMILIES, TIMES, TOKEN_CLASSES, signature
from service.telemetry.names import OTHER
from service.telemetry.series import LONGEST_LABEL, Rows, error_type, tokens_by_class
from tests.ledger.making import ended, opening
from tests.support.records import several

CELL = {counter.instrument.name: counter.at for counter in BOOKS.counters}
MODEL_AT = BOOKS.keys.index(names.REQUEST_MODEL)


def record(**facts: Any) -> RequestRecord:
    made = ended(opening())
    made.response_model = made.upstream_model
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def rows_of(*records: RequestRecord, **bounds: int) -> Rows:
    rows = Rows(**bounds)
    rows.add(records)
    return rows


def total(rows: Rows, metric: str) -> int:
    return sum(cells[CELL[metric]] for cells in rows.of[BOOKS].values())


@given(several(days=1, at_most=12))
def test_sums_over_all_rows_are_the_sums_over_all_records(records: list[RequestRecord]) -> None:
    rows = rows_of(*records, rows=3, models=2)
    finals = [one for one in records if one.final]
    assert total(rows, "tollkeeper.requests") == sum(one.repeat_count for one in finals)
    assert total(rows, "tollkeeper.retries") == len(records) - len(finals)
    assert total(rows, "tollkeeper.cost_usd") == sum(one.cost_nanos or 0 for one in records)
    assert total(rows, "tollkeeper.unpriced_requests") == sum(
        one.cost_status == "unpriced" for one in records
    )
    assert total(rows, "tollkeeper.estimated_requests") == sum(
        one.usage_source == "estimated" for one in records
    )
    tokens = [counter.at for counter in BOOKS.counters if counter.instrument is names.TOKENS_USED]
    assert sum(cells[at] for cells in rows.of[BOOKS].values() for at in tokens) == sum(
        (one.input_tokens or 0) + (one.output_tokens or 0) for one in records
    )
    for histogram, field, unit in zip(
        TIMES.histograms,
        ("duration_ms", "ttft_ms", "input_tokens", "output_tokens", "overhead_ms"),
        (1000, 1000, 1, 1, 1000),
        strict=True,
    ):
        seen = [getattr(one, field) for one in records if one.upstream and getattr(one, field) is not None]
        cells = list(rows.of[TIMES].values())
        assert sum(sum(row[histogram.at : histogram.sum_at]) for row in cells) == len(seen)
        assert sum(row[histogram.sum_at] for row in cells) == sum(round(value * unit) for value in seen)


@pytest.mark.parametrize(
    ("value_ms", "bucket"),
    [(0.0, 0), (10.0, 0), (10.001, 1), (81_920.0, 13), (81_920.5, 14), (655_360.0, 16), (1e9, 17)],
)
def test_a_value_is_in_the_first_bucket_that_is_not_below_it(value_ms: float, bucket: int) -> None:
    rows = rows_of(record(duration_ms=value_ms))
    (cells,) = rows.of[TIMES].values()
    duration = TIMES.histograms[0]
    assert [at for at in range(duration.at, duration.sum_at) if cells[at]] == [bucket]


def test_classes_of_tokens_do_not_overlap() -> None:
    counted = record(
        input_tokens=100,
        cache_read_input_tokens=60,
        cache_write_input_tokens=15,
        output_tokens=30,
        reasoning_output_tokens=10,
    )
    assert dict(zip(TOKEN_CLASSES, tokens_by_class(counted), strict=True)) == {
        "uncached_input": 25,
        "cache_read_input": 60,
        "cache_write_input": 15,
        "visible_output": 20,
        "reasoning_output": 10,
    }
    assert tokens_by_class(record(input_tokens=1, cache_read_input_tokens=2, output_tokens=None))[0] == 0


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({}, ""),
        ({"outcome": "upstream_error", "http_status": 429, "error_code": "their_own"}, "429"),
        ({"outcome": "upstream_error", "error_code": "upstream_unreachable"}, "upstream_unreachable"),
        ({"outcome": "upstream_error", "http_status": None}, "upstream_error"),
        ({"outcome": "upstream_error", "http_status": 200, "error_code": "their_own"}, "upstream_error"),
        ({"outcome": "timeout", "http_status": 504, "error_code": "upstream_timeout"}, "upstream_timeout"),
        ({"outcome": "midstream_error", "error_type": "their own words"}, "midstream_error"),
        ({"outcome": "client_disconnect"}, "client_disconnect"),
        ({"outcome": "rejected_budget", "upstream": None, "error_code": "budget_exceeded"}, "budget_exceeded"),
        ({"outcome": "rejected_request", "upstream": None, "error_code": None}, "rejected_request"),
    ],
)  # fmt: skip
def test_errors_have_few_names(facts: dict[str, Any], word: str) -> None:
    assert error_type(record(**facts)) == word


def test_a_refusal_is_a_request_but_no_attempt_on_an_upstream() -> None:
    refused = record(outcome="rejected_auth", upstream=None, error_code="invalid_api_key", repeat_count=7)
    rows = rows_of(refused)
    assert rows.of[TIMES] == {}
    assert total(rows, "tollkeeper.requests") == 7


def models(rows: Rows) -> set[str]:
    return {key[MODEL_AT] for key in rows.of[BOOKS]}


def test_a_model_has_a_name_once_an_upstream_has_answered_for_it() -> None:
    failed: Outcome = "upstream_error"
    rows = Rows()
    rows.add([record(upstream_model="made-up", response_model=None, outcome=failed, http_status=404)])
    assert models(rows) == {OTHER}
    rows.add([record(upstream_model="gpt-5")])
    rows.add([record(upstream_model="gpt-5", response_model=None, outcome=failed, http_status=500)])
    assert models(rows) == {OTHER, "gpt-5"}


def test_a_client_that_invents_models_makes_no_labels() -> None:
    refused: dict[str, Any] = {"outcome": "rejected_request", "upstream": None, "response_model": None}
    rows = rows_of(*(record(requested_model=f"invented-{n}", **refused) for n in range(1000)))
    assert models(rows) == {OTHER}


def test_models_beyond_the_bound_share_one_name() -> None:
    rows = rows_of(*(record(upstream_model=f"m{n}", response_model=f"m{n}") for n in range(9)), models=4)
    assert models(rows) == {"m0", "m1", "m2", "m3", OTHER}
    assert total(rows, "tollkeeper.requests") == 9


def test_rows_beyond_the_bound_lose_projects_and_models_but_no_count() -> None:
    rows = rows_of(*(record(project=f"p{n}") for n in range(50)), rows=10)
    assert len(rows.of[BOOKS]) == 11
    assert total(rows, "tollkeeper.requests") == 50
    overflow = next(key for key in rows.of[BOOKS] if key[0] == OTHER)
    assert overflow[BOOKS.keys.index(names.UPSTREAM)] == "openai"


def test_long_names_are_cut() -> None:
    rows = rows_of(record(upstream_model="m" * 999))
    assert models(rows) == {"m" * LONGEST_LABEL}


def test_restored_rows_go_on_and_their_models_keep_their_names() -> None:
    before = rows_of(record(project="p"), record(upstream_model="x", outcome="timeout", response_model=None))
    rows = Rows()
    for family in FAMILIES:
        for key, cells in before.of[family].items():
            rows.restore(family, key, cells=list(cells))
    rows.add([record(project="p", response_model=None, outcome="timeout")])
    assert total(rows, "tollkeeper.requests") == 3
    assert models(rows) == {"gpt-4o", OTHER}


def test_only_rows_that_grew_are_taken_and_those_given_back_come_again() -> None:
    rows = rows_of(record(project="p"), record(project="q"))
    assert len(list(rows.take_changed())) == 2 + 1
    rows.add([record(project="p")])
    taken = Counter((family.name, key) for family, key, _ in rows.take_changed())
    assert sum(taken.values()) == 2
    assert list(rows.take_changed()) == []
    key = next(iter(rows.of[BOOKS]))
    rows.changed_again(BOOKS, key)
    assert [(family, again) for family, again, _ in rows.take_changed()] == [(BOOKS, key)]


def test_the_signature_follows_the_layout() -> None:
    assert signature() == signature(FAMILIES) != signature((BOOKS,))


@given(st.sampled_from(FAMILIES))
def test_cells_of_a_family_do_not_overlap(family: Any) -> None:
    places = [counter.at for counter in family.counters]
    for histogram in family.histograms:
        places += range(histogram.at, histogram.sum_at + 1)
    assert sorted(places) == list(range(family.width))
