"""The tables, as SQLAlchemy Core values. Migrations spell the same schema out; a test keeps them equal.

`request_record` has the columns that `docs/glossary.md` defines, under the names that API and exports use.
NULL means "not reported". Amounts are integer nano-USD. Only packages that write or query import this module.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from service.store.histogram import DURATION_BINS, TTFT_BINS
from service.store.types import JsonText, RecordId, UtcMicros

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

store_fact = Table(
    "store_fact",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    comment="One row a fact about this store: secret fingerprint, revision of the configuration.",
)

virtual_key = Table(
    "virtual_key",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("project", String(200), nullable=False),
    Column("models", JsonText),
    Column("metadata", JsonText),
    Column("limits", JsonText),
    Column("expires_at", UtcMicros),
    Column("revoked_at", UtcMicros),
    Column("created_at", UtcMicros, nullable=False),
    Column("updated_at", UtcMicros, nullable=False),
)

key_secret = Table(
    "key_secret",
    metadata,
    Column("public_id", String(40), primary_key=True),
    Column("key_id", ForeignKey("virtual_key.id"), nullable=False, index=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("created_at", UtcMicros, nullable=False),
    Column("expires_at", UtcMicros),
    comment="Secrets of virtual keys, as HMAC digests; rotation leaves two alive for a while.",
)

admin_key = Table(
    "admin_key",
    metadata,
    Column("public_id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("created_at", UtcMicros, nullable=False),
    Column("revoked_at", UtcMicros),
    CheckConstraint("role IN ('admin', 'viewer')", name="role"),
)

OUTCOMES = (
    "ok",
    "client_disconnect",
    "upstream_error",
    "midstream_error",
    "truncated",
    "timeout",
    "rejected_auth",
    "rejected_request",
    "rejected_rate_limit",
    "rejected_budget",
    "rejected_unavailable",
    "interrupted",
)
USAGE_SOURCES = ("provider", "partial", "estimated", "none")
COST_STATUSES = ("priced", "partial", "assumed", "provider", "unpriced", "free")
TOKEN_COLUMNS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "audio_input_tokens",
    "image_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
    "audio_output_tokens",
    "image_output_tokens",
)


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


request_record = Table(
    "request_record",
    metadata,
    Column("id", RecordId, primary_key=True),
    Column("request_id", RecordId, nullable=False, index=True),
    Column("attempt", SmallInteger, nullable=False),
    Column("final", Boolean(create_constraint=False), nullable=False),
    Column("repeat_count", Integer, nullable=False),
    Column("client_address", Text),
    Column("user_agent", Text),
    Column("key_id", Text),
    Column("key_name", Text),
    Column("project", Text),
    Column("end_user", Text),
    Column("session", Text),
    Column("tags", JsonText),
    Column("upstream", Text),
    Column("provider", Text),
    Column("requested_model", Text),
    Column("upstream_model", Text),
    Column("response_model", Text),
    Column("response_id", Text),
    Column("upstream_request_id", Text),
    Column("stream", Boolean(create_constraint=False)),
    Column("started_at", UtcMicros, nullable=False),
    Column("ttft_ms", Double),
    Column("duration_ms", Double),
    Column("overhead_ms", Double),
    Column("http_status", SmallInteger),
    Column("outcome", String(24), nullable=False),
    Column("error_type", Text),
    Column("error_code", Text),
    Column("finish_reasons", JsonText),
    *(Column(name, BigInteger) for name in TOKEN_COLUMNS),
    Column("usage_source", String(16), nullable=False),
    Column("usage_low", BigInteger),
    Column("usage_high", BigInteger),
    Column("usage_flags", JsonText),
    Column("usage_raw", Text),
    Column("cost_nanos", BigInteger),
    Column("cost_status", String(16), nullable=False),
    Column("provider_cost_nanos", BigInteger),
    Column("estimate_nanos", BigInteger),
    Column("price_id", Text),
    Column("cost_lines", JsonText),
    Column("service_tier", Text),
    Column("bytes_in", BigInteger),
    Column("bytes_out", BigInteger),
    Column("chunks", Integer),
    _one_of("outcome", OUTCOMES),
    _one_of("usage_source", USAGE_SOURCES),
    _one_of("cost_status", COST_STATUSES),
    CheckConstraint("cost_nanos >= 0", name="cost_nanos"),
    CheckConstraint("repeat_count >= 1", name="repeat_count"),
    *(CheckConstraint(f"{name} >= 0", name=name) for name in TOKEN_COLUMNS),
)
Index(None, request_record.c.key_id, request_record.c.id)

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", RecordId, primary_key=True),
    Column("received_at", UtcMicros, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("error", Text, nullable=False),
    comment="Records that the store refused, whole, with the reason; `doctor` names them.",
)

price_card = Table(
    "price_card",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("source", String(32), nullable=False),
    Column("source_version", String(64), nullable=False),
    Column("scope", String(16), nullable=False),
    Column("scope_id", String(200)),
    Column("provider", String(64)),
    Column("model", String(200), nullable=False),
    Column("effective_from", UtcMicros),
    Column("effective_to", UtcMicros),
    Column("card", Text, nullable=False),
    Column("created_at", UtcMicros, nullable=False),
    comment="Immutable price cards; a change is a new card.",
)
Index(None, price_card.c.provider, price_card.c.model)

LEDGER_KINDS = ("reprice", "correction", "reconciliation")
ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("id", RecordId, primary_key=True),
    Column("record_id", RecordId, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("rating_version", Integer, nullable=False),
    Column("delta_nanos", BigInteger, nullable=False),
    Column("cost_status_before", String(16), nullable=False),
    Column("cost_status_after", String(16), nullable=False),
    Column("price_id", Text),
    Column("lines", JsonText),
    Column("reason", Text),
    Column("created_at", UtcMicros, nullable=False),
    UniqueConstraint("record_id", "rating_version"),
    _one_of("kind", LEDGER_KINDS),
    _one_of("cost_status_before", COST_STATUSES),
    _one_of("cost_status_after", COST_STATUSES),
    comment="Later changes of a record's cost. A record costs its own cost_nanos plus its deltas.",
)

ROLLUP_DIMENSIONS = ("key_id", "project", "upstream", "provider", "model", "outcome")
REPORTED_CLASSES = ("cache_read_input_tokens", "cache_write_input_tokens", "reasoning_output_tokens")
ROLLUP_SUMS = (*TOKEN_COLUMNS, "cost_nanos", "provider_cost_nanos", "duration_micros", "ttft_micros")
ROLLUP_BYTES = ("bytes_in", "bytes_out")
ROLLUP_COUNTS = (
    "requests",
    "attempts",
    "streams",
    *(f"{name}_reported" for name in REPORTED_CLASSES),
    *(f"cost_{status}" for status in COST_STATUSES),
    *(f"usage_{source}" for source in USAGE_SOURCES),
    "duration_count",
    "ttft_count",
)
ROLLUP_BINS = (*DURATION_BINS, *TTFT_BINS)
ROLLUP_MEASURES = (*ROLLUP_SUMS, *ROLLUP_BYTES, *ROLLUP_COUNTS, *ROLLUP_BINS)


def _rollup(name: str, comment: str) -> Table:
    """A rollup: dimensions are '' where the record has NULL; a sum is NULL where no record reported it."""
    return Table(
        name,
        metadata,
        Column("bucket", UtcMicros, primary_key=True),
        *(Column(dimension, Text, primary_key=True) for dimension in ROLLUP_DIMENSIONS),
        *(Column(measure, BigInteger) for measure in ROLLUP_SUMS),
        *(Column(measure, BigInteger, nullable=False) for measure in ROLLUP_BYTES),
        *(Column(measure, Integer, nullable=False) for measure in ROLLUP_COUNTS),
        *(Column(measure, Integer) for measure in ROLLUP_BINS),
        comment=comment,
        sqlite_with_rowid=False,
    )


usage_rollup = _rollup("usage_rollup", "Every measure by UTC quarter of an hour of started_at.")
usage_rollup_hour = _rollup("usage_rollup_hour", "usage_rollup by UTC hour, for days of any time zone.")
usage_rollup_day = _rollup("usage_rollup_day", "usage_rollup by UTC day, for long ranges.")

MAX_AMOUNT = 10**18
"""Nano-USD (a thousand million USD): no limit is higher, so that sums of a few of them still fit into a BIGINT."""
SCOPE_KINDS = ("global", "project", "key", "end_user", "model")
WINDOWS = ("hour", "day", "week", "month", "total")
BUDGET_MODES = ("hard", "soft")
LEASE_STATES = ("active", "quarantined", "closed")

budget = Table(
    "budget",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("scope_kind", String(16), nullable=False),
    Column("scope_id", String(200)),
    Column("models", JsonText),
    Column("limit_nanos", BigInteger, nullable=False),
    Column("window_kind", String(8), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("anchor_day", SmallInteger, nullable=False),
    Column("mode", String(8), nullable=False),
    Column("thresholds", JsonText, nullable=False),
    Column("raise_nanos", BigInteger),
    Column("raise_until", UtcMicros),
    Column("created_at", UtcMicros, nullable=False),
    Column("updated_at", UtcMicros, nullable=False),
    Column("deleted_at", UtcMicros),
    _one_of("scope_kind", SCOPE_KINDS),
    _one_of("window_kind", WINDOWS),
    _one_of("mode", BUDGET_MODES),
    CheckConstraint(f"limit_nanos BETWEEN 1 AND {MAX_AMOUNT}", name="limit_nanos"),
    CheckConstraint(f"raise_nanos BETWEEN 1 AND {MAX_AMOUNT}", name="raise_nanos"),
    CheckConstraint("(raise_nanos IS NULL) = (raise_until IS NULL)", name="raise"),
    CheckConstraint("(scope_kind = 'global') = (scope_id IS NULL)", name="scope_id"),
    CheckConstraint("anchor_day BETWEEN 1 AND 31", name="anchor_day"),
    comment="Budgets; a deleted one stays for its history.",
)

budget_period = Table(
    "budget_period",
    metadata,
    Column("budget_id", ForeignKey("budget.id"), primary_key=True),
    Column("subject", String(200), primary_key=True),
    Column("starts_at", UtcMicros, primary_key=True),
    Column("ends_at", UtcMicros),
    Column("committed_nanos", BigInteger, nullable=False),
    Column("direct_nanos", BigInteger, nullable=False),
    Column("wanted", Integer, nullable=False),
    CheckConstraint("direct_nanos >= 0", name="direct_nanos"),
    CheckConstraint("committed_nanos >= direct_nanos", name="committed_nanos"),
    comment="One row a period: committed = direct + the reserve of every lease. `wanted` counts refusals.",
)

budget_lease = Table(
    "budget_lease",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("budget_id", String(40), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("starts_at", UtcMicros, nullable=False),
    Column("holder", String(120), nullable=False),
    Column("granted_nanos", BigInteger, nullable=False),
    Column("spent_nanos", BigInteger, nullable=False),
    Column("burned_nanos", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("expires_at", UtcMicros, nullable=False),
    Column("quarantined_at", UtcMicros),
    Column("created_at", UtcMicros, nullable=False),
    ForeignKeyConstraint(
        ["budget_id", "subject", "starts_at"],
        ["budget_period.budget_id", "budget_period.subject", "budget_period.starts_at"],
    ),
    _one_of("state", LEASE_STATES),
    CheckConstraint("granted_nanos >= 0", name="granted_nanos"),
    CheckConstraint("spent_nanos >= 0", name="spent_nanos"),
    CheckConstraint("burned_nanos >= 0", name="burned_nanos"),
    comment="Slices of a period that relays spend in memory; see docs/decisions/0004-budget-leases.md.",
)
Index(None, budget_lease.c.budget_id, budget_lease.c.subject, budget_lease.c.starts_at)
Index(None, budget_lease.c.holder, budget_lease.c.state)

rate_limit = Table(
    "rate_limit",
    metadata,
    Column("name", String(260), primary_key=True),
    Column("wanted", Integer, nullable=False),
    comment="One row a rate limit in use: its lock. `wanted` counts refusals.",
)

rate_permit = Table(
    "rate_permit",
    metadata,
    Column("name", ForeignKey("rate_limit.name"), primary_key=True),
    Column("holder", String(120), primary_key=True),
    Column("permits", BigInteger, nullable=False),
    Column("expires_at", UtcMicros, nullable=False),
    CheckConstraint("permits >= 0", name="permits"),
    comment="How much of a rate limit each relay may use in any minute.",
)
