"""A collector: an HTTP server that takes OTLP as the protocol says, decodes it, and behaves as a test wants."""

import gzip
import http.server
import threading
from collections.abc import Mapping
from typing import Any, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PATIENCE_S = 30.0


class Receiver:
    """Takes spans and metrics. *status* is what it answers; while `holding` it answers nothing."""

    def __init__(self) -> None:
        self.status = 200
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.headers: list[Mapping[str, str]] = []
        self.arrived = threading.Condition()
        self.may_answer = threading.Event()
        self.may_answer.set()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def hold(self) -> None:
        """Accept, and never answer."""
        self.may_answer.clear()

    def _take(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        assert request.headers["content-type"] == "application/x-protobuf"
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        with self.arrived:
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            if self.status == 200:
                if request.path == "/v1/traces":
                    self.traces.append(ExportTraceServiceRequest.FromString(body))
                else:
                    assert request.path == "/v1/metrics", request.path
                    self.metrics.append(ExportMetricsServiceRequest.FromString(body))
            self.arrived.notify_all()
        self.may_answer.wait(PATIENCE_S)
        request.send_response(self.status)
        request.send_header("content-length", "0")
        request.end_headers()

    def spans(self, count: int = 0) -> list[Span]:
        """The spans so far, once there are at least *count*."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self._spans()) >= count, PATIENCE_S), self._spans()
            return self._spans()

    def _spans(self) -> list[Span]:
        return [
            span
            for export in self.traces
            for resource in export.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def latest_metrics(self, exports: int = 1) -> dict[str, Metric]:
        """The metrics of the latest export, once there were that many."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.metrics) >= exports, PATIENCE_S)
            (resource,) = self.metrics[-1].resource_metrics
            (scope,) = resource.scope_metrics
            return {metric.name: metric for metric in scope.metrics}


def attributes(found: Any) -> dict[str, Any]:
    """The attributes of a span, a data point or a resource, as plain values."""
    return {pair.key: _value(pair) for pair in found.attributes}


def _value(pair: KeyValue) -> Any:
    kind = pair.value.WhichOneof("value")
    if kind == "array_value":
        return [each.string_value for each in pair.value.array_value.values]
    return getattr(pair.value, str(kind))
