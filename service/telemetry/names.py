"""Every name that telemetry sends out: attributes, metrics with their units and buckets, spans. Pure.

What the OpenTelemetry GenAI conventions define has their name, as of semantic conventions 1.41, the last release that
holds them; what they do not define, cost first of all, stands under `tollkeeper.`. A test pins all of them: dashboards
and alerts of users depend on every single one. Prometheus sees the names that OpenTelemetry's own translation makes.
"""

from typing import Literal

import msgspec

SCOPE = "tollkeeper"
"""Name of the instrumentation scope and, unless the operator says otherwise, of the service."""
SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.0"
OPERATION = "chat"
OTHER = "_OTHER"
"""Stands for a value that nobody has vouched for, or beyond the bound of values."""

OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
CONVERSATION_ID = "gen_ai.conversation.id"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105  (no password)
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_CREATION_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
SERVICE_TIER = "openai.response.service_tier"
ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
HTTP_STATUS = "http.response.status_code"
SERVICE_NAME = "service.name"
SERVICE_VERSION = "service.version"
SERVICE_INSTANCE = "service.instance.id"

REQUEST_ID = "tollkeeper.request.id"
RECORD_ID = "tollkeeper.record.id"
ATTEMPT = "tollkeeper.attempt"
FINAL = "tollkeeper.final"
OUTCOME = "tollkeeper.outcome"
PROJECT = "tollkeeper.project"
KEY_ID = "tollkeeper.key.id"
UPSTREAM = "tollkeeper.upstream"
UPSTREAM_REQUEST_ID = "tollkeeper.upstream.request_id"
REQUESTED_MODEL = "tollkeeper.requested_model"
COST_USD = "tollkeeper.cost_usd"
COST_NANOS = "tollkeeper.cost_nanos"
COST_STATUS = "tollkeeper.cost_status"
USAGE_SOURCE = "tollkeeper.usage_source"
OVERHEAD = "tollkeeper.overhead"
TOKEN_CLASS = "tollkeeper.token.class"  # noqa: S105  (no password)
WORKER = "tollkeeper.worker"
BUDGET_ID = "tollkeeper.budget.id"
BUDGET_SCOPE = "tollkeeper.budget.scope"
BUDGET_SUBJECT = "tollkeeper.budget.subject"
BUDGET_WINDOW = "tollkeeper.budget.window"
BUDGET_MODE = "tollkeeper.budget.mode"

PROVIDERS = {
    "anthropic": "anthropic",
    "aws": "aws.bedrock",
    "azure": "azure.ai.openai",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "google": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "groq": "groq",
    "mistral": "mistral_ai",
    "moonshotai": "moonshot_ai",
    "openai": "openai",
    "perplexity": "perplexity",
    "x-ai": "x_ai",
    "xai": "x_ai",
}
"""Our providers under the names of the conventions; others keep their own."""


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One metric. *bounds* are the upper ends of a histogram's buckets, in its unit.

    *prometheus* is its name there, where that is not the translation of its OpenTelemetry name.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    description: str
    bounds: tuple[float, ...] = ()
    prometheus: str | None = None


def _counter(name: str, unit: str, description: str) -> Instrument:
    return Instrument(name=name, kind="counter", unit=unit, description=description)


def _gauge(name: str, unit: str, description: str) -> Instrument:
    return Instrument(name=name, kind="gauge", unit=unit, description=description)


def _histogram(name: str, unit: str, description: str, bounds: tuple[float, ...]) -> Instrument:
    return Instrument(name=name, kind="histogram", unit=unit, description=description, bounds=bounds)


SECONDS = (
    *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
    *(163.84, 327.68, 655.36),
)
"""The buckets that the conventions advise end at 82 s, which reasoning models outlast; three more octaves follow."""
TOKENS = tuple(float(4**power) for power in range(14))
SHORT_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)

DURATION = _histogram(
    "gen_ai.client.operation.duration", "s", "Duration of an attempt on an upstream.", SECONDS
)
FIRST_CHUNK = _histogram(
    "gen_ai.client.operation.time_to_first_chunk", "s", "Time until the first event of a stream.", SECONDS
)
TOKEN_USAGE = _histogram(
    "gen_ai.client.token.usage",
    "{token}",
    "Input tokens (cached ones included) and output tokens (reasoning included) of an attempt.",
    TOKENS,
)
OVERHEAD_TIME = _histogram(
    "tollkeeper.overhead.duration", "s", "Time that the relay added to an attempt.", SHORT_SECONDS
)
REQUESTS = _counter(
    "tollkeeper.requests", "{request}", "Requests by outcome; one request counts once, refusals included."
)
RETRIES = _counter("tollkeeper.retries", "{attempt}", "Attempts whose answer no client got.")
TOKENS_USED = _counter(
    "tollkeeper.tokens", "{token}", "Tokens by class; the classes do not overlap, their sum is what was used."
)
COST = _counter("tollkeeper.cost_usd", "{USD}", "Cost in US dollars of everything that has a price.")
UNPRICED = _counter(
    "tollkeeper.unpriced_requests",
    "{request}",
    "Answered attempts whose cost is unknown; no part of the cost.",
)
ESTIMATED = _counter(
    "tollkeeper.estimated_requests",
    "{request}",
    "Attempts whose usage is an estimate, because none was reported.",
)

OPEN_REQUESTS = _gauge("tollkeeper.open_requests", "{request}", "Requests that are being served.")
OPEN_STREAMS = _gauge("tollkeeper.open_streams", "{request}", "Of these, the ones that asked for a stream.")
DRAINS = _gauge(
    "tollkeeper.disconnect_drains", "{request}", "Answers read to their end after their client left."
)
BACKLOG = _gauge(
    "tollkeeper.recorder_backlog", "{record}", "Records in memory that the store does not have yet."
)
LAG = _gauge("tollkeeper.recorder_lag", "s", "Age of the oldest record that waits for the store.")
STORE_UP = _gauge("tollkeeper.store_available", "", "Whether the store took the last batch of records.")
READY = _gauge("tollkeeper.ready", "", "Whether the worker accepts requests.")
JOURNAL_OPEN = _gauge(
    "tollkeeper.journal_open_intents", "{request}", "Attempts begun in the journal and not ended."
)
JOURNAL_USED = _gauge(
    "tollkeeper.journal_used",
    "By",
    "Bytes of the worker's journal with records that the store does not have yet.",
)
JOURNAL_BYTES = _gauge(
    "tollkeeper.journal_size",
    "By",
    "Bytes that journals occupy in the data directory, dead processes' included.",
)
JOURNAL_LIMIT = _gauge(
    "tollkeeper.journal_limit", "By", "Size of a worker's journal at which it refuses requests."
)
SPANS = _counter("tollkeeper.spans_exported", "{span}", "Spans that the collector took.")
SPANS_DROPPED = _counter(
    "tollkeeper.spans_dropped", "{span}", "Spans given up, because the collector was away or too slow."
)
METRICS_FAILED = _counter(
    "tollkeeper.metric_exports_failed", "{export}", "Exports of metrics that the collector did not take."
)
CONTENT_STORED = _counter(
    "tollkeeper.content_stored", "{request}", "Requests whose content was kept, where projects ask for it."
)
CONTENT_LEFT_OUT = _counter(
    "tollkeeper.content_left_out",
    "{request}",
    "Requests whose content found no room in memory, or waited for the store when the relay ended.",
)
CONTENT_FAILED = _counter(
    "tollkeeper.content_failed", "{request}", "Requests whose content could not be read, redacted or stored."
)
KEEPER_LEADS = _gauge("tollkeeper.keeper_leads", "", "Whether this keeper is the one that acts.")
WORKERS = _gauge(
    "tollkeeper.workers", "{process}", "Relay and keeper processes that live in the data directory."
)
BUDGET_LIMIT = _gauge("tollkeeper.budget_limit_usd", "{USD}", "Limit of a budget in its current period.")
BUDGET_SPENT = _gauge("tollkeeper.budget_spent_usd", "{USD}", "What is spent of it.")
BUDGET_HELD = _gauge("tollkeeper.budget_held_usd", "{USD}", "What relays hold of it and may still spend.")
BUDGET_LEFT = _gauge("tollkeeper.budget_remaining_usd", "{USD}", "What is neither spent nor held.")
BUDGETS_UNSHOWN = _gauge(
    "tollkeeper.budgets_unshown", "{budget}", "Budget periods beyond the number that is shown here."
)
BUILD = _gauge("tollkeeper.build_info", "", "Always 1; its labels say what runs.")
CPU = Instrument(
    name="process.cpu.time",
    kind="counter",
    unit="s",
    description="Processor time of the worker.",
    prometheus="process_cpu_seconds_total",
)
MEMORY = Instrument(
    name="process.memory.usage",
    kind="gauge",
    unit="By",
    description="Resident memory of the worker.",
    prometheus="process_resident_memory_bytes",
)
OPEN_FILES = Instrument(
    name="process.unix.file_descriptor.count",
    kind="gauge",
    unit="{file_descriptor}",
    description="Files and sockets that the worker has open.",
    prometheus="process_open_fds",
)
STARTED = Instrument(
    name="process.creation.time",
    kind="gauge",
    unit="s",
    description="When the worker started, in seconds since 1970.",
    prometheus="process_start_time_seconds",
)
