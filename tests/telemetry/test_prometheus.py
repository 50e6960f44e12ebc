"""The page, read back by a reader that knows only the format."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.ledger.record import RequestRecord
from service.telemetry import names
from service.telemetry.layout import BOOKS, FAMILIES, TIMES
from service.telemetry.prometheus import Sample, metric_name, page
from service.telemetry.series import Rows
from tests.support.records import several
from tests.telemetry.exposition import parse
from tests.telemetry.test_series import record


def page_of(*records: RequestRecord, samples: tuple[Sample, ...] = ()) -> str:
    rows = Rows()
    rows.add(records)
    return page(rows.of, samples)


@given(several(days=1, at_most=8))
def test_whatever_was_recorded_can_be_read_and_adds_up(records: list[RequestRecord]) -> None:
    scrape = parse(page_of(*records))
    assert scrape.value("tollkeeper_requests_total") == sum(one.repeat_count for one in records if one.final)
    timed = [one for one in records if one.upstream and one.duration_ms is not None]
    assert scrape.value("gen_ai_client_operation_duration_seconds_count") == len(timed)
    seconds = sum(round((one.duration_ms or 0) * 1000) for one in timed) / 1_000_000
    assert scrape.value("gen_ai_client_operation_duration_seconds_sum") == pytest.approx(seconds)


@given(st.text(max_size=20))
def test_any_text_survives_as_a_label(project: str) -> None:
    scrape = parse(page_of(record(project=project)))
    expected = {project} - {""}
    assert scrape.labels("tollkeeper_requests_total", "tollkeeper_project") == expected


def test_money_is_exact() -> None:
    nanos = 123_456_789_012_345_678_901
    text = page_of(record(cost_nanos=nanos), record(cost_nanos=100), record(cost_nanos=None))
    assert list(parse(text).text.values()).count("123456789012.345679001") == 1


def test_labels_without_a_value_are_left_out() -> None:
    scrape = parse(page_of(record(project=None)))
    (labels,) = scrape.samples["tollkeeper_requests_total"]
    assert dict(labels) == {
        "tollkeeper_upstream": "openai",
        "gen_ai_provider_name": "openai",
        "gen_ai_request_model": "gpt-4o",
        "gen_ai_response_model": "gpt-4o",
        "tollkeeper_outcome": "ok",
    }


def test_histograms_carry_the_operation_and_input_and_output_apart() -> None:
    scrape = parse(page_of(record(input_tokens=5, output_tokens=70)))
    assert scrape.value("gen_ai_client_token_usage_sum", gen_ai_token_type="input") == 5
    assert scrape.value("gen_ai_client_token_usage_sum", gen_ai_token_type="output") == 70
    assert scrape.value("gen_ai_client_token_usage_bucket", gen_ai_token_type="output", le="64") == 0
    assert scrape.value("gen_ai_client_token_usage_bucket", gen_ai_token_type="output", le="256") == 1
    assert scrape.labels("gen_ai_client_token_usage_count", "gen_ai_operation_name") == {"chat"}


def test_a_histogram_without_a_value_is_not_shown() -> None:
    scrape = parse(page_of(record(ttft_ms=None)))
    assert "gen_ai_client_operation_time_to_first_chunk_seconds_count" not in scrape.samples
    assert scrape.types["gen_ai_client_operation_time_to_first_chunk_seconds"] == "histogram"


def test_samples_of_one_metric_stand_together() -> None:
    samples: Any = (
        Sample(names.BACKLOG, 3, (("tollkeeper.worker", "0"),)),
        Sample(names.READY, 1),
        Sample(names.BACKLOG, 0.5, (("tollkeeper.worker", "1"),)),
    )
    scrape = parse(page_of(samples=samples))
    assert scrape.value("tollkeeper_recorder_backlog", tollkeeper_worker="1") == 0.5
    assert scrape.value("tollkeeper_recorder_backlog") == 3.5
    assert scrape.types["tollkeeper_ready"] == "gauge"


def test_an_empty_page_names_every_metric_of_the_rows() -> None:
    scrape = parse(page({family: {} for family in FAMILIES}, ()))
    instruments = [one.instrument for one in BOOKS.counters] + [one.instrument for one in TIMES.histograms]
    assert set(scrape.types) == {metric_name(one) for one in instruments}
    assert scrape.samples == {}
