"""OpenTelemetry's own OTLP/HTTP exporters, joined to what this process counts. Imported only where export is on.

Time-out, compression and certificates of the connection follow the standard `OTEL_EXPORTER_OTLP_…` variables, name and
further attributes of the service `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.
"""

import socket
import uuid
from collections.abc import Callable
from importlib.metadata import version
from urllib.parse import unquote, urlsplit

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from service.settings import Settings
from service.telemetry import names
from service.telemetry.collector import CollectorLink, Metrics, SpanQueue, Spans
from service.telemetry.counters import Counters
from service.telemetry.figures import GAUGES
from service.telemetry.metrics import MetricsMaker
from service.telemetry.prometheus import Sample
from service.telemetry.tracing import Server, SpanMaker

_NANOS_PER_MICRO = 1_000
_PORTS = {"http": 80, "https": 443}


def connect(
    settings: Settings,
    *,
    counters: Counters,
    figures: Callable[[], dict[str, float]],
    micros: Callable[[], int],
    monotonic: Callable[[], float],
) -> tuple[SpanQueue, CollectorLink]:
    """The queue of spans and the link that empties it; nothing is sent before the link is started."""
    wanted = settings.telemetry
    folder = settings.relay.data_dir.resolve()
    resource = _resource(f"{socket.gethostname()}:{folder}:{counters.worker}")
    scope = InstrumentationScope(names.SCOPE, version(names.SCOPE), names.SCHEMA_URL)
    maker = MetricsMaker(resource=resource, scope=scope)
    began = micros() * _NANOS_PER_MICRO

    def metrics() -> MetricsData:
        samples = [Sample(GAUGES[name], value) for name, value in figures().items() if name in GAUGES]
        return maker.data(counters.since_start(), samples, period=(began, micros() * _NANOS_PER_MICRO))

    servers = {one.name: server for one in settings.upstreams if (server := _server(one.base_url))}
    base = wanted.otlp_endpoint.rstrip("/")
    headers = None if settings.otlp_headers is None else parse_headers(settings.otlp_headers.reveal())
    queue = SpanQueue(ratio=wanted.traces_sample_ratio)
    link = CollectorLink(
        queue,
        spans=Spans(
            SpanMaker(resource=resource, scope=scope, servers=servers).span,
            OTLPSpanExporter(f"{base}/v1/traces", headers=headers),
        ),
        metrics=Metrics(
            metrics, OTLPMetricExporter(f"{base}/v1/metrics", headers=headers), wanted.metrics_interval_s
        ),
        monotonic=monotonic,
    )
    return queue, link


def parse_headers(text: str) -> dict[str, str]:
    """`name=value,name=value` with percent-encoded values, as OpenTelemetry writes headers in one variable."""
    pairs = (member.partition("=") for member in text.split(",") if member.strip())
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


def _resource(place: str) -> Resource:
    """Who sends: named after its *place*, so that a process started again makes no new time series."""
    instance = str(uuid.uuid5(uuid.NAMESPACE_URL, f"tollkeeper://{place}"))
    found = Resource.create({names.SERVICE_VERSION: version(names.SCOPE), names.SERVICE_INSTANCE: instance})
    if str(found.attributes[names.SERVICE_NAME]).startswith("unknown_service"):
        found = found.merge(Resource({names.SERVICE_NAME: names.SCOPE}))
    return found


def _server(url: str) -> Server | None:
    parts = urlsplit(url)
    if parts.hostname is None:
        return None
    return parts.hostname, parts.port or _PORTS[parts.scheme]
