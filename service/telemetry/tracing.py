"""Finished records into spans: one CLIENT span an attempt, with its own start and end, and never any content.

A span is made after the last byte went out, on the thread that exports it. What clients declare about people (end
user, tags, address) stays in the books.
"""

from collections.abc import Iterator, Mapping

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from service.ledger.record import RequestRecord, uuid_text
from service.telemetry import names
from service.telemetry.series import error_type
from service.telemetry.trace_context import parse, span_id_of, trace_id_of

Server = tuple[str, int]
"""Host and port of an upstream."""

_NANOS_PER_MICRO = 1_000
_NANOS_PER_MS = 1_000_000
_MS_PER_SECOND = 1_000
_NANOS_PER_USD = 1_000_000_000
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_OK, _FAILED = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


class SpanMaker:
    """Makes the spans of one process."""

    def __init__(
        self, *, resource: Resource, scope: InstrumentationScope, servers: Mapping[str, Server]
    ) -> None:
        self._resource = resource
        self._scope = scope
        self._servers = servers

    def span(self, record: RequestRecord) -> ReadableSpan:
        """The span of an attempt."""
        parent = parse(record.traceparent)
        trace_id = trace_id_of(record) if parent is None else parent.trace_id
        start = record.started_at * _NANOS_PER_MICRO
        model = record.upstream_model or record.requested_model
        return ReadableSpan(
            f"{names.OPERATION} {model}" if model else names.OPERATION,
            context=SpanContext(trace_id, span_id_of(record), is_remote=False, trace_flags=_SAMPLED),
            parent=None
            if parent is None
            else SpanContext(trace_id, parent.span_id, is_remote=True, trace_flags=_SAMPLED),
            resource=self._resource,
            attributes={name: value for name, value in self._attributes(record) if value is not None},
            kind=SpanKind.CLIENT,
            status=_OK if record.outcome == "ok" else _FAILED,
            start_time=start,
            end_time=start + round((record.duration_ms or 0) * _NANOS_PER_MS),
            instrumentation_scope=self._scope,
        )

    def _attributes(self, record: RequestRecord) -> Iterator[tuple[str, AttributeValue | None]]:
        provider = record.provider
        host, port = self._servers.get(record.upstream or "", (None, None))
        yield names.OPERATION_NAME, names.OPERATION
        yield names.PROVIDER_NAME, None if provider is None else names.PROVIDERS.get(provider, provider)
        yield names.REQUEST_MODEL, record.upstream_model or record.requested_model
        yield names.REQUEST_STREAM, record.stream
        yield names.SERVER_ADDRESS, host
        yield names.SERVER_PORT, port
        yield names.HTTP_STATUS, record.http_status
        yield names.ERROR_TYPE, error_type(record) or None
        yield names.RESPONSE_ID, record.response_id
        yield names.RESPONSE_MODEL, record.response_model
        yield names.FINISH_REASONS, record.finish_reasons
        yield names.TIME_TO_FIRST_CHUNK, _seconds(record.ttft_ms)
        yield names.CONVERSATION_ID, record.session
        yield names.SERVICE_TIER, record.service_tier
        yield names.INPUT_TOKENS, record.input_tokens
        yield names.OUTPUT_TOKENS, record.output_tokens
        yield names.CACHE_READ_TOKENS, record.cache_read_input_tokens
        yield names.CACHE_CREATION_TOKENS, record.cache_write_input_tokens
        yield names.REASONING_TOKENS, record.reasoning_output_tokens
        yield from _ours(record)


def _ours(record: RequestRecord) -> Iterator[tuple[str, AttributeValue | None]]:
    cost = record.cost_nanos
    yield names.REQUEST_ID, uuid_text(record.request_id)
    yield names.RECORD_ID, uuid_text(record.id)
    yield names.ATTEMPT, record.attempt
    yield names.FINAL, record.final
    yield names.OUTCOME, record.outcome
    yield names.PROJECT, record.project
    yield names.KEY_ID, record.key_id
    yield names.UPSTREAM, record.upstream
    yield names.UPSTREAM_REQUEST_ID, record.upstream_request_id
    yield names.REQUESTED_MODEL, record.requested_model
    yield names.COST_NANOS, cost
    yield names.COST_USD, None if cost is None else cost / _NANOS_PER_USD
    yield names.COST_STATUS, record.cost_status
    yield names.USAGE_SOURCE, record.usage_source
    yield names.OVERHEAD, _seconds(record.overhead_ms)


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / _MS_PER_SECOND
