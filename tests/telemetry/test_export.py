"""Spans and metrics as a collector receives them: decoded from what arrived on the wire."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from service.ledger.record import RequestRecord, uuid_text
from service.settings import RelaySettings, Secret, Settings, TelemetrySettings, UpstreamSettings
from service.telemetry import names
from service.telemetry.figures import GAUGES
from service.telemetry.pipeline import Telemetry, telemetry_for
from tests.ledger.making import T0
from tests.support.records import some
from tests.telemetry.receiver import Receiver, attributes
from tests.telemetry.test_series import record
from tests.telemetry.test_trace_context import GOOD, PARENT

Start = Callable[..., Telemetry]
LONG = 3_600.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_variables_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_EXPORTER_OTLP_HEADERS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def start(receiver: Receiver, tmp_path: Path) -> Iterator[Start]:
    started: list[Telemetry] = []

    def make(*, headers: str | None = None, **wanted: Any) -> Telemetry:
        settings = Settings(
            relay=RelaySettings(data_dir=tmp_path),
            telemetry=TelemetrySettings(
                **{
                    "enabled": True,
                    "otlp_endpoint": receiver.endpoint,
                    "metrics_interval_s": LONG,
                    **wanted,
                }
            ),
            upstreams=(
                UpstreamSettings(name="openai", base_url="https://api.openai.com/v1"),
                UpstreamSettings(name="local", base_url="http://[::1]:8000/v1"),
            ),
            otlp_headers=None if headers is None else Secret(headers),
        )
        made = telemetry_for(settings, micros=lambda: T0, monotonic=time.monotonic)
        assert made is not None
        made.start()
        started.append(made)
        return made

    yield make
    for one in started:
        if not one._stopped.is_set():
            one.stop()


def full_record() -> RequestRecord:
    """A record with every field that a span shows."""
    return record(
        traceparent=GOOD,
        attempt=2,
        project="team-1",
        session="session-1",
        upstream_model="gpt-4o-deployment",
        stream=True,
        http_status=200,
        duration_ms=1234.5,
        ttft_ms=250.0,
        overhead_ms=1.5,
        response_id="chatcmpl-1",
        response_model="gpt-4o-2024-08-06",
        upstream_request_id="req_1",
        finish_reasons=("stop", "length"),
        service_tier="default",
        input_tokens=100,
        cache_read_input_tokens=60,
        cache_write_input_tokens=0,
        output_tokens=7,
        reasoning_output_tokens=3,
        usage_source="provider",
        cost_nanos=1_500_000,
        cost_status="priced",
    )


def test_a_record_becomes_one_client_span_under_its_caller(start: Start, receiver: Receiver) -> None:
    made = full_record()
    telemetry = start()
    telemetry.observe([made])
    telemetry.stop()
    (span,) = receiver.spans()
    assert span.name == "chat gpt-4o-deployment"
    assert span.kind == Span.SPAN_KIND_CLIENT
    assert int.from_bytes(span.trace_id, "big") == PARENT.trace_id
    assert int.from_bytes(span.parent_span_id, "big") == PARENT.span_id
    assert span.span_id == made.id[8:]
    assert span.start_time_unix_nano == T0 * 1000
    assert span.end_time_unix_nano == T0 * 1000 + 1_234_500_000
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert attributes(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-deployment",
        "gen_ai.request.stream": True,
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.finish_reasons": ["stop", "length"],
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.conversation.id": "session-1",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 3,
        "openai.response.service_tier": "default",
        "server.address": "api.openai.com",
        "server.port": 443,
        "http.response.status_code": 200,
        "tollkeeper.request.id": uuid_text(made.request_id),
        "tollkeeper.record.id": uuid_text(made.id),
        "tollkeeper.attempt": 2,
        "tollkeeper.final": True,
        "tollkeeper.outcome": "ok",
        "tollkeeper.project": "team-1",
        "tollkeeper.key.id": "key_a",
        "tollkeeper.upstream": "openai",
        "tollkeeper.upstream.request_id": "req_1",
        "tollkeeper.requested_model": "gpt-4o",
        "tollkeeper.cost_usd": 0.0015,
        "tollkeeper.cost_nanos": 1_500_000,
        "tollkeeper.cost_status": "priced",
        "tollkeeper.usage_source": "provider",
        "tollkeeper.overhead": 0.0015,
    }


def test_what_is_unknown_is_left_out_and_a_failure_is_an_error(start: Start, receiver: Receiver) -> None:
    failed = record(
        outcome="timeout",
        error_code="upstream_timeout",
        upstream="local",
        http_status=504,
        duration_ms=None,
        response_model=None,
        cost_nanos=None,
        cost_status="unpriced",
        input_tokens=None,
        output_tokens=None,
        usage_source="none",
    )
    telemetry = start()
    telemetry.observe([failed])
    telemetry.stop()
    (span,) = receiver.spans()
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert span.trace_id == failed.request_id
    assert span.parent_span_id == b""
    assert span.end_time_unix_nano == span.start_time_unix_nano
    shown = attributes(span)
    assert shown["error.type"] == "upstream_timeout"
    assert (shown["server.address"], shown["server.port"]) == ("::1", 8000)
    absent = {
        names.COST_USD,
        names.COST_NANOS,
        names.INPUT_TOKENS,
        names.RESPONSE_MODEL,
        names.CONVERSATION_ID,
    }
    assert absent.isdisjoint(shown)


def test_no_content_and_nothing_about_people_leaves(start: Start, receiver: Receiver) -> None:
    secrets = {
        "end_user": "ada@example.com",
        "tags": ("secret-tag",),
        "client_address": "192.0.2.77",
        "user_agent": "secret-agent",
        "usage_raw": '{"secret": "usage"}',
        "key_name": "secret key name",
    }
    telemetry = start()
    telemetry.observe([record(**secrets)])
    telemetry.stop()
    sent = "".join(str(request) for request in (*receiver.traces, *receiver.metrics))
    assert "gpt-4o" in sent
    for value in ("ada@example", "secret", "192.0.2.77"):
        assert value not in sent


def test_a_refusal_has_no_span_and_a_caller_s_word_on_sampling_is_followed(
    start: Start, receiver: Receiver
) -> None:
    telemetry = start()
    telemetry.observe(
        [
            record(upstream=None, outcome="rejected_budget"),
            record(traceparent=GOOD[:-1] + "0"),
            record(traceparent=GOOD, response_id="sampled"),
        ]
    )
    telemetry.stop()
    assert [attributes(span)["gen_ai.response.id"] for span in receiver.spans()] == ["sampled"]


def test_no_spans_where_the_share_is_zero(start: Start, receiver: Receiver) -> None:
    telemetry = start(traces_sample_ratio=0.0)
    telemetry.observe([record(), record(traceparent=GOOD)])
    telemetry.stop()
    assert receiver.spans() == []
    assert receiver.metrics != []


def test_who_sends_is_named(start: Start, receiver: Receiver) -> None:
    telemetry = start(headers="authorization=Bearer%20sk-x,X-Team=a%2Cb")
    telemetry.observe([record()])
    telemetry.stop()
    (spans,) = receiver.traces[0].resource_spans
    (metrics,) = receiver.metrics[0].resource_metrics
    named = attributes(spans.resource)
    assert named == attributes(metrics.resource)
    assert (named["service.name"], named["telemetry.sdk.language"]) == ("tollkeeper", "python")
    assert named["service.instance.id"]
    assert spans.scope_spans[0].scope.name == metrics.scope_metrics[0].scope.name == "tollkeeper"
    assert spans.scope_spans[0].scope.version == named["service.version"]
    assert {(headers["authorization"], headers["x-team"]) for headers in receiver.headers} == {
        ("Bearer sk-x", "a,b")
    }


def test_the_operator_s_name_for_the_service_counts(
    start: Start, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "tolls")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
    telemetry = start()
    telemetry.observe([record()])
    telemetry.stop()
    named = attributes(receiver.traces[0].resource_spans[0].resource)
    assert (named["service.name"], named["deployment.environment.name"]) == ("tolls", "staging")


def test_a_process_started_again_sends_under_the_same_name(start: Start, receiver: Receiver) -> None:
    for _ in range(2):
        telemetry = start()
        telemetry.observe([record()])
        telemetry.stop()
    ids = {attributes(one.resource_spans[0].resource)["service.instance.id"] for one in receiver.traces}
    assert len(receiver.traces) == 2
    assert len(ids) == 1


def test_metrics_are_cumulative_since_the_start_of_the_process(start: Start, receiver: Receiver) -> None:
    start().observe([record(project="p")] * 5)
    telemetry = start(prometheus="off")
    records = [record(project="p", cost_nanos=1_500_000_000, input_tokens=70, ttft_ms=30.0) for _ in range(3)]
    telemetry.observe(records)
    telemetry.stop()
    metrics = receiver.latest_metrics()
    cost = metrics["tollkeeper.cost_usd"].sum
    assert cost.is_monotonic
    assert cost.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    (point,) = cost.data_points
    assert point.as_double == 4.5
    assert (point.start_time_unix_nano, point.time_unix_nano) == (T0 * 1000, T0 * 1000)
    assert attributes(point)["tollkeeper.project"] == "p"
    usage = {
        attributes(each)["gen_ai.token.type"]: each
        for each in metrics["gen_ai.client.token.usage"].histogram.data_points
    }
    assert usage["input"].sum == 210
    assert usage["input"].count == 3
    assert list(usage["input"].explicit_bounds) == list(names.TOKEN_USAGE.bounds)
    assert list(usage["input"].bucket_counts) == [0, 0, 0, 0, 3] + [0] * 10
    assert not usage["input"].HasField("min")
    (first_chunk,) = metrics["gen_ai.client.operation.time_to_first_chunk"].histogram.data_points
    assert (first_chunk.count, first_chunk.sum) == (3, pytest.approx(0.09))
    assert metrics["gen_ai.client.operation.duration"].unit == "s"


def test_a_process_that_goes_on_with_a_slot_sends_only_its_own_counts(
    start: Start, receiver: Receiver
) -> None:
    before = start()
    before.observe([record(project="p"), record(project="old")])
    before.stop()
    after = start()
    after.observe([record(project="p"), record(project="new")])
    after.stop()
    points = receiver.latest_metrics(2)["tollkeeper.requests"].sum.data_points
    assert {attributes(point)["tollkeeper.project"]: point.as_int for point in points} == {"p": 1, "new": 1}


def test_gauges_of_the_process_are_exported(start: Start, receiver: Receiver) -> None:
    telemetry = start(prometheus="off")
    telemetry.watch(lambda: {"tollkeeper.recorder_backlog": 5, "unknown": 1})
    telemetry.observe([record()])
    telemetry.stop()
    metrics = receiver.latest_metrics()
    assert metrics["tollkeeper.recorder_backlog"].gauge.data_points[0].as_double == 5
    assert metrics["tollkeeper.spans_exported"].sum.data_points[0].as_double == 1
    assert metrics["process.memory.usage"].gauge.data_points[0].as_double > 1 << 20
    assert "unknown" not in metrics


def test_metrics_go_out_by_themselves(start: Start, receiver: Receiver) -> None:
    telemetry = start(metrics_interval_s=1e-9)
    telemetry.observe([record()])
    assert "tollkeeper.requests" in receiver.latest_metrics(2)


def test_many_records_arrive_whole(start: Start, receiver: Receiver) -> None:
    records = [one for one in some(seed=3, count=1_000, days=1) if one.upstream is not None]
    telemetry = start()
    for at in range(0, len(records), 100):
        telemetry.observe(records[at : at + 100])
    telemetry.stop()
    assert sorted(span.span_id for span in receiver.spans()) == sorted(one.id[8:] for one in records)


def test_every_gauge_has_a_name_of_its_own() -> None:
    assert json.dumps(list(GAUGES)) == json.dumps([instrument.name for instrument in GAUGES.values()])
