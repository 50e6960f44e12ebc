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
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from service.store import (  # noqa: F401  (the same metadata)
    alert_tables,
    audit_tables,
    budget_tables,
    content_tables,
    dimension_tables,
    idempotency_tables,
    model_rollup_tables,
    project_tables,
)
from service.store.measure_columns import (
    COST_STATUSES,
    ROLLUP_BINS,
    ROLLUP_BYTES,
    ROLLUP_COUNTS,
    ROLLUP_SUMS,
    TOKEN_COLUMNS,
    USAGE_SOURCES,
)
from service.store.metadata import metadata as metadata  # noqa: PLC0414  (re-exported: whoever wants it wants the tables)
from service.store.metadata import one_of
from service.store.types import JsonText, RecordId, UtcMicros

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
    one_of("outcome", OUTCOMES),
    one_of("usage_source", USAGE_SOURCES),
    one_of("cost_status", COST_STATUSES),
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
    one_of("kind", LEDGER_KINDS),
    one_of("cost_status_before", COST_STATUSES),
    one_of("cost_status_after", COST_STATUSES),
    comment="Later changes of a record's cost. A record costs its own cost_nanos plus its deltas.",
)

ROLLUP_DIMENSIONS = ("key_id", "project", "upstream", "provider", "model", "outcome")


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
