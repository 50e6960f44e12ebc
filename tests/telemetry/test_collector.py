"""A collector that is away, hangs or refuses: the relay's side stays small, says so once, and counts what is lost."""

import io
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from service import logs
from service.settings import RelaySettings, Settings, TelemetrySettings
from service.telemetry.collector import BATCH, QUEUE, CollectorLink, SpanQueue
from service.telemetry.counters import Counters
from service.telemetry.otlp import connect, parse_headers
from service.telemetry.pipeline import Telemetry, telemetry_for
from tests.support.relay import until
from tests.telemetry.receiver import Receiver
from tests.telemetry.test_series import record


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as opened:
        yield opened


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    """What is logged, as JSON lines."""
    stream = io.StringIO()
    logs.configure(stream=stream, style="json")
    for name in [one for one in logging.root.manager.loggerDict if one.startswith("opentelemetry.")]:
        logging.getLogger(name).disabled = False  # as a linter that ran in this process has left them
    yield stream
    structlog.reset_defaults()


def events(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def settings(endpoint: str, folder: Path) -> Settings:
    return Settings(
        relay=RelaySettings(data_dir=folder),
        telemetry=TelemetrySettings(
            enabled=True, otlp_endpoint=endpoint, metrics_interval_s=3600.0, prometheus="off"
        ),
    )


def linked(
    endpoint: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *, timeout_s: float = 0.3
) -> tuple[SpanQueue, CollectorLink]:
    """A queue and a link whose exporter waits for *timeout_s* only."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(timeout_s))
    return connect(
        settings(endpoint, folder),
        counters=Counters(None),
        figures=dict,
        micros=lambda: 0,
        monotonic=time.monotonic,
    )


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return int(gone.getsockname()[1])


def test_the_queue_is_bounded_and_counts_what_it_drops() -> None:
    queue = SpanQueue(ratio=1.0)
    for _ in range(5):
        queue.put([record() for _ in range(1_000)])
    assert len(queue) == QUEUE
    assert queue.dropped == 5_000 - QUEUE
    assert len(queue.take()) == BATCH
    queue.put([record()] * (BATCH + 3))
    assert len(queue) == QUEUE
    assert queue.dropped == 5_000 - QUEUE + 3


def test_a_hanging_collector_holds_nobody_up_and_no_more_than_the_queue(
    receiver: Receiver, tmp_path: Path
) -> None:
    receiver.hold()
    made = telemetry_for(settings(receiver.endpoint, tmp_path), micros=lambda: 0, monotonic=time.monotonic)
    assert isinstance(made, Telemetry)
    made.start()
    queue = made._queue
    assert queue is not None
    made.observe([record() for _ in range(BATCH)])
    with receiver.arrived:  # the thread hangs in the first export from now on
        assert receiver.arrived.wait_for(lambda: receiver.traces, 30)
    for _ in range(10):
        made.observe([record() for _ in range(1_000)])
        assert len(queue) <= QUEUE
    assert len(queue) == QUEUE
    figures = made.figures()
    assert figures["tollkeeper.spans_dropped"] == 10_000 - QUEUE
    assert figures["tollkeeper.spans_exported"] == 0
    receiver.may_answer.set()
    made.stop()
    assert len(receiver.spans()) == BATCH + QUEUE
    assert made.figures()["tollkeeper.spans_exported"] == BATCH + QUEUE


@pytest.mark.parametrize("behaviour", ["away", "refusing", "hanging"])
def test_failure_is_said_once_with_its_reason_and_so_is_the_recovery(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: io.StringIO, behaviour: str
) -> None:
    monkeypatch.setattr("service.telemetry.collector.PAUSE_S", 0.01)
    monkeypatch.setattr("service.telemetry.collector.LINGER_S", 0.01)
    endpoint = f"http://127.0.0.1:{closed_port()}" if behaviour == "away" else receiver.endpoint
    if behaviour == "refusing":
        receiver.status = 500
    if behaviour == "hanging":
        receiver.hold()
    queue, link = linked(endpoint, tmp_path, monkeypatch)
    link.start()
    for number in range(1, 4):
        queue.put([record()] * 2)
        assert until(lambda number=number: link.lost == 2 * number)  # type: ignore[misc]
    said = events(log)
    assert [event["event"] for event in said if event["logger"] == "tollkeeper"] == [
        "telemetry_export_failed"
    ]
    assert [event for event in said if event["logger"].startswith("opentelemetry.")] != []
    assert len(said) <= 4
    if behaviour != "away":
        receiver.status = 200
        receiver.may_answer.set()
        queue.put([record()])
        assert until(lambda: link.exported == 1)
        assert [event["event"] for event in events(log) if event["logger"] == "tollkeeper"] == [
            "telemetry_export_failed",
            "telemetry_export_recovered",
        ]
        assert events(log)[-1]["spans_lost"] == 6
    link.stop(timeout_s=10)
    assert not link._thread.is_alive()


def test_what_never_started_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, link = linked("http://127.0.0.1:9", tmp_path, monkeypatch)
    link.stop(timeout_s=10)
    assert link.metrics_failed == 0


def test_a_failing_export_of_metrics_is_counted(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.status = 400
    _, link = linked(receiver.endpoint, tmp_path, monkeypatch)
    link.start()
    link.stop(timeout_s=10)
    assert link.metrics_failed == 1


def test_stopping_does_not_wait_for_a_collector_that_hangs(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.hold()
    queue, link = linked(receiver.endpoint, tmp_path, monkeypatch, timeout_s=60)
    link.start()
    queue.put([record()])
    queue.filled.set()
    with receiver.arrived:
        assert receiver.arrived.wait_for(lambda: receiver.traces, 30)
    link.stop(timeout_s=0.05)
    assert link._thread.is_alive()
    assert link._thread.daemon
    receiver.may_answer.set()
    link._thread.join(30)
    assert not link._thread.is_alive()


def test_a_record_that_cannot_be_told_does_not_end_the_thread(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    monkeypatch.setattr("service.telemetry.collector.PAUSE_S", 0.01)
    queue, link = linked(receiver.endpoint, tmp_path, monkeypatch, timeout_s=10)
    link.start()
    queue.put([record(started_at=None)])
    queue.filled.set()
    assert until(lambda: link.lost == 1)
    queue.put([record()])
    queue.filled.set()
    assert until(lambda: link.exported == 1)
    queue.put([record(started_at=None)])
    link.stop(timeout_s=10)
    assert link.lost == 2
    assert "telemetry_failed" in {event["event"] for event in events(log)}


def test_putting_from_several_threads_loses_no_count() -> None:
    queue = SpanQueue(ratio=1.0, limit=100)
    one = record()

    def put() -> None:
        for _ in range(5_000):
            queue.put([one])

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(queue) + queue.dropped == 20_000


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("a=b", {"a": "b"}),
        ("Authorization=Basic%20dTpw, x=1=2,", {"authorization": "Basic dTpw", "x": "1=2"}),
        ("a=", {"a": ""}),
    ],
)
def test_headers_of_one_variable(text: str, headers: dict[str, str]) -> None:
    assert parse_headers(text) == headers
