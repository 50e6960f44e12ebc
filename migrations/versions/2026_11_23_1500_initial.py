"""Keys, request records, dead letters, price cards."""

import sqlalchemy as sa
from alembic import op

revision = "0001_initial"
down_revision = None
branch_labels = None
depends_on = None

MICROS = sa.BigInteger()
RECORD_ID = sa.LargeBinary(16).with_variant(sa.Uuid(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "admin_key",
        sa.Column("public_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", MICROS, nullable=False),
        sa.Column("revoked_at", MICROS, nullable=True),
        sa.CheckConstraint("role IN ('admin', 'viewer')", name=op.f("ck_admin_key_role")),
        sa.PrimaryKeyConstraint("public_id", name=op.f("pk_admin_key")),
    )
    op.create_table(
        "dead_letter",
        sa.Column("id", RECORD_ID, nullable=False),
        sa.Column("received_at", MICROS, nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letter")),
        comment="Records that the store refused, whole, with the reason; `doctor` names them.",
    )
    op.create_table(
        "price_card",
        sa.Column("id", sa.String(length=80), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("source_version", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("scope_id", sa.String(length=200), nullable=True),
        sa.Column("provider", sa.String(length=64), nullable=True),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("effective_from", MICROS, nullable=True),
        sa.Column("effective_to", MICROS, nullable=True),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("created_at", MICROS, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_card")),
        comment="Immutable price cards; a change is a new card.",
    )
    op.create_index(op.f("ix_price_card_provider_model"), "price_card", ["provider", "model"])
    op.create_table(
        "request_record",
        sa.Column("id", RECORD_ID, nullable=False),
        sa.Column("request_id", RECORD_ID, nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("repeat_count", sa.Integer(), nullable=False),
        sa.Column("client_address", sa.Text(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("key_id", sa.Text(), nullable=True),
        sa.Column("key_name", sa.Text(), nullable=True),
        sa.Column("project", sa.Text(), nullable=True),
        sa.Column("end_user", sa.Text(), nullable=True),
        sa.Column("session", sa.Text(), nullable=True),
        sa.Column("tags", sa.Text(), nullable=True),
        sa.Column("upstream", sa.Text(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("requested_model", sa.Text(), nullable=True),
        sa.Column("upstream_model", sa.Text(), nullable=True),
        sa.Column("response_model", sa.Text(), nullable=True),
        sa.Column("response_id", sa.Text(), nullable=True),
        sa.Column("upstream_request_id", sa.Text(), nullable=True),
        sa.Column("stream", sa.Boolean(), nullable=True),
        sa.Column("started_at", MICROS, nullable=False),
        sa.Column("ttft_ms", sa.Double(), nullable=True),
        sa.Column("duration_ms", sa.Double(), nullable=True),
        sa.Column("overhead_ms", sa.Double(), nullable=True),
        sa.Column("http_status", sa.SmallInteger(), nullable=True),
        sa.Column("outcome", sa.String(length=24), nullable=False),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("finish_reasons", sa.Text(), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cache_read_input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cache_write_input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("audio_input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("image_input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("reasoning_output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("audio_output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("image_output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("usage_source", sa.String(length=16), nullable=False),
        sa.Column("usage_low", sa.BigInteger(), nullable=True),
        sa.Column("usage_high", sa.BigInteger(), nullable=True),
        sa.Column("usage_flags", sa.Text(), nullable=True),
        sa.Column("usage_raw", sa.Text(), nullable=True),
        sa.Column("cost_nanos", sa.BigInteger(), nullable=True),
        sa.Column("cost_status", sa.String(length=16), nullable=False),
        sa.Column("provider_cost_nanos", sa.BigInteger(), nullable=True),
        sa.Column("estimate_nanos", sa.BigInteger(), nullable=True),
        sa.Column("price_id", sa.Text(), nullable=True),
        sa.Column("cost_lines", sa.Text(), nullable=True),
        sa.Column("service_tier", sa.Text(), nullable=True),
        sa.Column("bytes_in", sa.BigInteger(), nullable=True),
        sa.Column("bytes_out", sa.BigInteger(), nullable=True),
        sa.Column("chunks", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "cost_status IN ('priced', 'partial', 'assumed', 'provider', 'unpriced', 'free')",
            name=op.f("ck_request_record_cost_status"),
        ),
        sa.CheckConstraint(
            "outcome IN ('ok', 'client_disconnect', 'upstream_error', 'midstream_error', 'truncated', 'timeout', 'rejected_auth', 'rejected_request', 'rejected_rate_limit', 'rejected_budget', 'rejected_unavailable', 'interrupted')",
            name=op.f("ck_request_record_outcome"),
        ),
        sa.CheckConstraint(
            "usage_source IN ('provider', 'partial', 'estimated', 'none')",
            name=op.f("ck_request_record_usage_source"),
        ),
        sa.CheckConstraint("audio_input_tokens >= 0", name=op.f("ck_request_record_audio_input_tokens")),
        sa.CheckConstraint("audio_output_tokens >= 0", name=op.f("ck_request_record_audio_output_tokens")),
        sa.CheckConstraint(
            "cache_read_input_tokens >= 0", name=op.f("ck_request_record_cache_read_input_tokens")
        ),
        sa.CheckConstraint(
            "cache_write_input_tokens >= 0", name=op.f("ck_request_record_cache_write_input_tokens")
        ),
        sa.CheckConstraint("cost_nanos >= 0", name=op.f("ck_request_record_cost_nanos")),
        sa.CheckConstraint("image_input_tokens >= 0", name=op.f("ck_request_record_image_input_tokens")),
        sa.CheckConstraint("image_output_tokens >= 0", name=op.f("ck_request_record_image_output_tokens")),
        sa.CheckConstraint("input_tokens >= 0", name=op.f("ck_request_record_input_tokens")),
        sa.CheckConstraint("output_tokens >= 0", name=op.f("ck_request_record_output_tokens")),
        sa.CheckConstraint(
            "reasoning_output_tokens >= 0", name=op.f("ck_request_record_reasoning_output_tokens")
        ),
        sa.CheckConstraint("repeat_count >= 1", name=op.f("ck_request_record_repeat_count")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request_record")),
    )
    op.create_index(op.f("ix_request_record_key_id_id"), "request_record", ["key_id", "id"])
    op.create_index(op.f("ix_request_record_request_id"), "request_record", ["request_id"])
    op.create_table(
        "store_fact",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_store_fact")),
        comment="One row a fact about this store: secret fingerprint, revision of the configuration.",
    )
    op.create_table(
        "virtual_key",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("project", sa.String(length=200), nullable=False),
        sa.Column("models", sa.Text(), nullable=True),
        sa.Column("metadata", sa.Text(), nullable=True),
        sa.Column("limits", sa.Text(), nullable=True),
        sa.Column("expires_at", MICROS, nullable=True),
        sa.Column("revoked_at", MICROS, nullable=True),
        sa.Column("created_at", MICROS, nullable=False),
        sa.Column("updated_at", MICROS, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_virtual_key")),
    )
    op.create_table(
        "key_secret",
        sa.Column("public_id", sa.String(length=40), nullable=False),
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", MICROS, nullable=False),
        sa.Column("expires_at", MICROS, nullable=True),
        sa.ForeignKeyConstraint(
            ["key_id"], ["virtual_key.id"], name=op.f("fk_key_secret_key_id_virtual_key")
        ),
        sa.PrimaryKeyConstraint("public_id", name=op.f("pk_key_secret")),
        comment="Secrets of virtual keys, as HMAC digests; rotation leaves two alive for a while.",
    )
    op.create_index(op.f("ix_key_secret_key_id"), "key_secret", ["key_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_key_secret_key_id"), table_name="key_secret")
    op.drop_table("key_secret")
    op.drop_table("virtual_key")
    op.drop_table("store_fact")
    op.drop_index(op.f("ix_request_record_request_id"), table_name="request_record")
    op.drop_index(op.f("ix_request_record_key_id_id"), table_name="request_record")
    op.drop_table("request_record")
    op.drop_index(op.f("ix_price_card_provider_model"), table_name="price_card")
    op.drop_table("price_card")
    op.drop_table("dead_letter")
    op.drop_table("admin_key")
