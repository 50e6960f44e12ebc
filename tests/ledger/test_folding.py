"""Folding against sums written out the long way, one measure and one bucket at a time."""

from hypothesis import given
from hypothesis import strategies as st

from service.ledger.folding import (
    DAY_MICROS,
    HOUR_MICROS,
    QUARTER_MICROS,
    Folded,
    Key,
    add,
    coarser,
    fold,
    fold_changes,
    merge,
    without_keys,
)
from service.ledger.record import RequestRecord
from service.store.histogram import DURATION_BINS, EDGES_MS, TTFT_BINS
from service.store.measure_columns import ROLLUP_MEASURES, ROLLUP_SUMS, TOKEN_COLUMNS
from tests.support.records import several

AT = {name: index for index, name in enumerate(ROLLUP_MEASURES)}
BATCHES = several(days=1, at_most=12)


def key_of(record: RequestRecord) -> Key:
    model = record.upstream_model
    if model is None and record.upstream is not None:
        model = record.requested_model
    return (
        record.started_at // QUARTER_MICROS * QUARTER_MICROS,
        record.key_id or "",
        record.project or "",
        record.upstream or "",
        record.provider or "",
        model or "",
        record.outcome,
    )


def measured(folded: Folded, key: Key, name: str) -> int | None:
    return folded[key][AT[name]]


@given(BATCHES)
def test_counts_are_weighted_and_final(records: list[RequestRecord]) -> None:
    folded = fold(records)
    assert folded.keys() == {key_of(record) for record in records}
    for key in folded:
        mine = [record for record in records if key_of(record) == key]
        assert measured(folded, key, "attempts") == sum(r.repeat_count for r in mine)
        assert measured(folded, key, "requests") == sum(r.repeat_count for r in mine if r.final)
        assert measured(folded, key, "streams") == sum(r.repeat_count for r in mine if r.final and r.stream)
        for status in ("priced", "partial", "assumed", "provider", "unpriced", "free"):
            expected = sum(r.repeat_count for r in mine if r.cost_status == status)
            assert measured(folded, key, f"cost_{status}") == expected
        for source in ("provider", "partial", "estimated", "none"):
            expected = sum(r.repeat_count for r in mine if r.usage_source == source)
            assert measured(folded, key, f"usage_{source}") == expected


@given(BATCHES)
def test_sums_are_none_where_nothing_was_reported(records: list[RequestRecord]) -> None:
    folded = fold(records)
    for key in folded:
        mine = [record for record in records if key_of(record) == key]
        for name in (*TOKEN_COLUMNS, "cost_nanos", "provider_cost_nanos"):
            reported = [getattr(r, name) for r in mine if getattr(r, name) is not None]
            assert measured(folded, key, name) == (sum(reported) if reported else None)
        for name in ("bytes_in", "bytes_out"):
            assert measured(folded, key, name) == sum(getattr(r, name) or 0 for r in mine)
        for name in ("cache_read_input_tokens", "cache_write_input_tokens", "reasoning_output_tokens"):
            reported = [r for r in mine if getattr(r, name) is not None]
            assert measured(folded, key, f"{name}_reported") == len(reported)


@given(BATCHES)
def test_latencies_are_of_final_attempts_that_reached_an_upstream(records: list[RequestRecord]) -> None:
    folded = fold(records)
    for key in folded:
        mine = [r for r in records if key_of(r) == key and r.final and r.upstream is not None]
        for latency, bins in (("duration", DURATION_BINS), ("ttft", TTFT_BINS)):
            values = [getattr(r, f"{latency}_ms") for r in mine if getattr(r, f"{latency}_ms") is not None]
            assert measured(folded, key, f"{latency}_count") == len(values)
            assert sum(measured(folded, key, name) or 0 for name in bins) == len(values)
            for index, name in enumerate(bins):
                low = EDGES_MS[index - 1] if index else 0
                high = EDGES_MS[index] if index < len(EDGES_MS) else float("inf")
                assert measured(folded, key, name) == sum(low <= value < high for value in values)


@given(BATCHES, st.integers(0, 10))
def test_parts_add_up_to_the_whole(records: list[RequestRecord], cut: int) -> None:
    together = fold(records[:cut])
    merge(together, fold(records[cut:]))
    assert together == fold(records)


@given(several(days=3, at_most=12), st.sampled_from((HOUR_MICROS, DAY_MICROS)))
def test_longer_buckets_hold_what_their_quarters_hold(records: list[RequestRecord], length: int) -> None:
    expected: Folded = {}
    for (bucket, *dimensions), measures in fold(records).items():
        merge(expected, {(bucket // length * length, *dimensions): measures})  # type: ignore[misc]  # a tuple of the same shape
    assert coarser(fold(records), length_micros=length) == expected


@given(several(days=2, at_most=12))
def test_without_keys_holds_what_all_keys_hold(records: list[RequestRecord]) -> None:
    expected: dict[tuple[object, ...], list[int | None]] = {}
    for (bucket, _key_id, _project, *dimensions), measures in fold(records).items():
        merge(expected, {(bucket, *dimensions): measures})
    assert without_keys(fold(records)) == expected


def test_a_model_that_no_upstream_serves_is_not_a_dimension() -> None:
    refused = RequestRecord(
        id=bytes(16), request_id=bytes(16), attempt=1, started_at=0, requested_model="anything at all"
    )
    refused.outcome = "rejected_request"
    assert list(fold([refused])) == [(0, "", "", "", "", "", "rejected_request")]
    refused.upstream = "openai"
    assert list(fold([refused])) == [(0, "", "", "openai", "", "anything at all", "rejected_request")]


def test_a_change_moves_the_cost_and_the_status() -> None:
    row = (QUARTER_MICROS + 1, "k", None, "openai", None, None, "gpt", "ok", 3, 42, "unpriced", "priced")
    key = (QUARTER_MICROS, "k", "", "openai", "", "gpt", "ok")
    folded = fold_changes([row, row])
    assert folded.keys() == {key}
    changed = {
        name: value
        for name, value in zip(ROLLUP_MEASURES, folded[key], strict=True)
        if value not in (0, None)
    }
    assert changed == {"cost_nanos": 84, "cost_unpriced": -6, "cost_priced": 6}


def test_nothing_reported_on_either_side_stays_nothing() -> None:
    assert add([None, 1, None, 2], [None, None, 3, 4]) == [None, 1, 3, 6]


def test_the_sums_come_first() -> None:
    assert ROLLUP_MEASURES[: len(ROLLUP_SUMS)] == ROLLUP_SUMS
    assert ROLLUP_SUMS[: len(TOKEN_COLUMNS)] == TOKEN_COLUMNS
