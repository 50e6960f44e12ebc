"""Every name that goes out, pinned: whoever changes one breaks somebody's dashboard and has to say so."""

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes, openai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics, process_metrics
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes

from service.telemetry import names
from service.telemetry.names import Instrument
from service.telemetry.prometheus import metric_name

INSTRUMENTS = [value for value in vars(names).values() if isinstance(value, Instrument)]
PINNED = {
    "gen_ai.client.operation.duration": "gen_ai_client_operation_duration_seconds",
    "gen_ai.client.operation.time_to_first_chunk": "gen_ai_client_operation_time_to_first_chunk_seconds",
    "gen_ai.client.token.usage": "gen_ai_client_token_usage",
    "process.cpu.time": "process_cpu_seconds_total",
    "process.creation.time": "process_start_time_seconds",
    "process.memory.usage": "process_resident_memory_bytes",
    "process.unix.file_descriptor.count": "process_open_fds",
    "tollkeeper.budget_held_usd": "tollkeeper_budget_held_usd",
    "tollkeeper.budget_limit_usd": "tollkeeper_budget_limit_usd",
    "tollkeeper.budget_remaining_usd": "tollkeeper_budget_remaining_usd",
    "tollkeeper.budget_spent_usd": "tollkeeper_budget_spent_usd",
    "tollkeeper.budgets_unshown": "tollkeeper_budgets_unshown",
    "tollkeeper.build_info": "tollkeeper_build_info",
    "tollkeeper.content_failed": "tollkeeper_content_failed_total",
    "tollkeeper.content_left_out": "tollkeeper_content_left_out_total",
    "tollkeeper.content_stored": "tollkeeper_content_stored_total",
    "tollkeeper.cost_usd": "tollkeeper_cost_usd_total",
    "tollkeeper.disconnect_drains": "tollkeeper_disconnect_drains",
    "tollkeeper.estimated_requests": "tollkeeper_estimated_requests_total",
    "tollkeeper.journal_limit": "tollkeeper_journal_limit_bytes",
    "tollkeeper.journal_open_intents": "tollkeeper_journal_open_intents",
    "tollkeeper.journal_size": "tollkeeper_journal_size_bytes",
    "tollkeeper.journal_used": "tollkeeper_journal_used_bytes",
    "tollkeeper.keeper_leads": "tollkeeper_keeper_leads",
    "tollkeeper.metric_exports_failed": "tollkeeper_metric_exports_failed_total",
    "tollkeeper.open_requests": "tollkeeper_open_requests",
    "tollkeeper.open_streams": "tollkeeper_open_streams",
    "tollkeeper.overhead.duration": "tollkeeper_overhead_duration_seconds",
    "tollkeeper.ready": "tollkeeper_ready",
    "tollkeeper.recorder_backlog": "tollkeeper_recorder_backlog",
    "tollkeeper.recorder_lag": "tollkeeper_recorder_lag_seconds",
    "tollkeeper.requests": "tollkeeper_requests_total",
    "tollkeeper.retries": "tollkeeper_retries_total",
    "tollkeeper.spans_dropped": "tollkeeper_spans_dropped_total",
    "tollkeeper.spans_exported": "tollkeeper_spans_exported_total",
    "tollkeeper.store_available": "tollkeeper_store_available",
    "tollkeeper.tokens": "tollkeeper_tokens_total",
    "tollkeeper.unpriced_requests": "tollkeeper_unpriced_requests_total",
    "tollkeeper.workers": "tollkeeper_workers",
}
PINNED_ATTRIBUTES = {
    "ATTEMPT": "tollkeeper.attempt",
    "BUDGET_ID": "tollkeeper.budget.id",
    "BUDGET_MODE": "tollkeeper.budget.mode",
    "BUDGET_SCOPE": "tollkeeper.budget.scope",
    "BUDGET_SUBJECT": "tollkeeper.budget.subject",
    "BUDGET_WINDOW": "tollkeeper.budget.window",
    "CACHE_CREATION_TOKENS": gen_ai_attributes.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
    "CACHE_READ_TOKENS": gen_ai_attributes.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "CONVERSATION_ID": gen_ai_attributes.GEN_AI_CONVERSATION_ID,
    "COST_NANOS": "tollkeeper.cost_nanos",
    "COST_STATUS": "tollkeeper.cost_status",
    "COST_USD": "tollkeeper.cost_usd",
    "ERROR_TYPE": error_attributes.ERROR_TYPE,
    "FINAL": "tollkeeper.final",
    "FINISH_REASONS": gen_ai_attributes.GEN_AI_RESPONSE_FINISH_REASONS,
    "HTTP_STATUS": http_attributes.HTTP_RESPONSE_STATUS_CODE,
    "INPUT_TOKENS": gen_ai_attributes.GEN_AI_USAGE_INPUT_TOKENS,
    "KEY_ID": "tollkeeper.key.id",
    "OPERATION": gen_ai_attributes.GenAiOperationNameValues.CHAT.value,
    "OPERATION_NAME": gen_ai_attributes.GEN_AI_OPERATION_NAME,
    "OTHER": "_OTHER",
    "OUTCOME": "tollkeeper.outcome",
    "OUTPUT_TOKENS": gen_ai_attributes.GEN_AI_USAGE_OUTPUT_TOKENS,
    "OVERHEAD": "tollkeeper.overhead",
    "PROJECT": "tollkeeper.project",
    "PROVIDER_NAME": gen_ai_attributes.GEN_AI_PROVIDER_NAME,
    "REASONING_TOKENS": gen_ai_attributes.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
    "RECORD_ID": "tollkeeper.record.id",
    "REQUESTED_MODEL": "tollkeeper.requested_model",
    "REQUEST_ID": "tollkeeper.request.id",
    "REQUEST_MODEL": gen_ai_attributes.GEN_AI_REQUEST_MODEL,
    "REQUEST_STREAM": gen_ai_attributes.GEN_AI_REQUEST_STREAM,
    "RESPONSE_ID": gen_ai_attributes.GEN_AI_RESPONSE_ID,
    "RESPONSE_MODEL": gen_ai_attributes.GEN_AI_RESPONSE_MODEL,
    "SCHEMA_URL": "https://opentelemetry.io/schemas/1.41.0",
    "SCOPE": "tollkeeper",
    "SERVER_ADDRESS": server_attributes.SERVER_ADDRESS,
    "SERVER_PORT": server_attributes.SERVER_PORT,
    "SERVICE_INSTANCE": "service.instance.id",
    "SERVICE_NAME": "service.name",
    "SERVICE_TIER": openai_attributes.OPENAI_RESPONSE_SERVICE_TIER,
    "SERVICE_VERSION": "service.version",
    "TIME_TO_FIRST_CHUNK": gen_ai_attributes.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK,
    "TOKEN_CLASS": "tollkeeper.token.class",
    "TOKEN_TYPE": gen_ai_attributes.GEN_AI_TOKEN_TYPE,
    "UPSTREAM": "tollkeeper.upstream",
    "UPSTREAM_REQUEST_ID": "tollkeeper.upstream.request_id",
    "USAGE_SOURCE": "tollkeeper.usage_source",
    "WORKER": "tollkeeper.worker",
}


def test_metrics_are_what_they_were() -> None:
    assert {one.name: metric_name(one) for one in INSTRUMENTS} == PINNED


def test_attributes_are_what_they_were() -> None:
    found = {name: value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    assert found == PINNED_ATTRIBUTES


def test_the_conventions_own_metrics_have_its_names() -> None:
    modules = (gen_ai_metrics, process_metrics)
    theirs = {value for module in modules for value in vars(module).values() if isinstance(value, str)}
    ours = {one.name for one in INSTRUMENTS if not one.name.startswith("tollkeeper.")}
    assert ours - theirs == {"process.creation.time"}  # an attribute there; Prometheus wants it as a gauge


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda one: one.name)
def test_a_metric_says_what_it_is(instrument: Instrument) -> None:
    assert instrument.description.endswith(".")
    assert (instrument.kind == "histogram") == bool(instrument.bounds)
    assert list(instrument.bounds) == sorted(set(instrument.bounds))


def test_buckets_are_the_advised_ones_and_go_on_where_those_end() -> None:
    advised = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
    assert names.DURATION.bounds[:14] == names.FIRST_CHUNK.bounds[:14] == advised
    assert names.DURATION.bounds[14:] == (163.84, 327.68, 655.36)
    assert names.TOKEN_USAGE.bounds == (
        *(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864),
    )


def test_providers_of_the_conventions_have_its_names() -> None:
    theirs = {member.value for member in gen_ai_attributes.GenAiProviderNameValues}
    assert set(names.PROVIDERS.values()) - theirs == {"moonshot_ai"}  # of a later version than the library's
