"""Folding by end user and by tag against sums written out the long way."""

from collections.abc import Callable

from hypothesis import given

from service.ledger.dimension_folding import Folded, Key, fold, fold_changes
from service.ledger.folding import HOUR_MICROS, merge
from service.ledger.record import RequestRecord
from service.reporting.measures import ERRORS, REFUSALS
from service.store.measure_columns import DIMENSION_MEASURES, ROLLUP_SUMS, TOKEN_COLUMNS
from tests.support.records import several

AT = {name: index for index, name in enumerate(DIMENSION_MEASURES)}
BATCHES = several(days=1, at_most=10)


def keys_of(record: RequestRecord) -> list[Key]:
    hour = record.started_at // HOUR_MICROS * HOUR_MICROS
    tags = list(record.tags or ()) or [""]
    return [("end_user", hour, record.end_user or ""), *(("tag", hour, tag) for tag in tags)]


def measured(folded: Folded, key: Key, name: str) -> int | None:
    return folded[key][AT[name]]


@given(BATCHES)
def test_every_measure_is_the_sum_of_its_records(records: list[RequestRecord]) -> None:
    folded = fold(records)
    assert folded.keys() == {key for record in records for key in keys_of(record)}
    for key in folded:
        mine = [record for record in records for one in keys_of(record) if one == key]
        final = [record for record in mine if record.final]
        metered = [record for record in mine if record.upstream is not None]

        def weighed(some: list[RequestRecord], holds: Callable[[RequestRecord], object] = bool) -> int:
            return sum(record.repeat_count for record in some if holds(record))

        expected = {
            "requests": weighed(final),
            "attempts": weighed(mine),
            "streams": weighed(final, lambda record: record.stream),
            "errors": weighed(final, lambda record: record.outcome in ERRORS),
            "refused": weighed(final, lambda record: record.outcome in REFUSALS),
            "disconnects": weighed(final, lambda record: record.outcome == "client_disconnect"),
            "metered": weighed(metered),
            "unpriced": weighed(metered, lambda record: record.cost_status == "unpriced"),
            "uncovered": weighed(metered, lambda record: record.cost_status in {"unpriced", "partial"}),
            "cost_priced": weighed(mine, lambda record: record.cost_status == "priced"),
            "usage_estimated": weighed(mine, lambda record: record.usage_source == "estimated"),
            "duration_count": sum(r.upstream is not None and r.duration_ms is not None for r in final),
            "bytes_in": sum(record.bytes_in or 0 for record in mine),
        }
        assert {name: measured(folded, key, name) for name in expected} == expected
        for name in (*TOKEN_COLUMNS, "cost_nanos", "provider_cost_nanos"):
            reported = [value for record in mine if (value := getattr(record, name)) is not None]
            assert measured(folded, key, name) == (sum(reported) if reported else None)


def test_a_change_moves_the_cost_the_status_and_the_coverage() -> None:
    row = (HOUR_MICROS + 1, "anna", ["a", "b"], "openai", 3, 42, "unpriced", "priced")
    folded = fold_changes([row, row])
    assert folded.keys() == {("end_user", HOUR_MICROS, "anna"), *(("tag", HOUR_MICROS, tag) for tag in "ab")}
    for key in folded:
        changed = {name: value for name in DIMENSION_MEASURES if (value := measured(folded, key, name))}
        expected = {"cost_nanos": 84, "cost_unpriced": -6, "cost_priced": 6, "unpriced": -6, "uncovered": -6}
        assert changed == expected


def test_a_change_without_an_upstream_has_no_coverage_to_move() -> None:
    folded = fold_changes([(0, None, None, None, 1, 5, "partial", "priced")])
    for key in folded:
        changed = {name: value for name in DIMENSION_MEASURES if (value := measured(folded, key, name))}
        assert changed == {"cost_nanos": 5, "cost_partial": -1, "cost_priced": 1}


@given(BATCHES)
def test_parts_add_up_to_the_whole(records: list[RequestRecord]) -> None:
    together = fold(records[:3])
    merge(together, fold(records[3:]))
    assert together == fold(records)


def test_the_sums_come_first() -> None:
    assert DIMENSION_MEASURES[: len(ROLLUP_SUMS)] == ROLLUP_SUMS
