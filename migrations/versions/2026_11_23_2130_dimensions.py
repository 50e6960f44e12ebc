"""Rollups of usage by end user and by tag, and rollups without key and project."""

import sqlalchemy as sa
from alembic import op

revision = "0007_dimensions"
down_revision = "0006_alerts"
branch_labels = None
depends_on = None

MICROS = sa.BigInteger()
DAY_MICROS = 86_400_000_000
SUMS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "audio_input_tokens",
    "image_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
    "audio_output_tokens",
    "image_output_tokens",
    "cost_nanos",
    "provider_cost_nanos",
    "duration_micros",
    "ttft_micros",
)
COUNTS = (
    "requests",
    "attempts",
    "streams",
    "cache_read_input_tokens_reported",
    "cache_write_input_tokens_reported",
    "reasoning_output_tokens_reported",
    "cost_priced",
    "cost_partial",
    "cost_assumed",
    "cost_provider",
    "cost_unpriced",
    "cost_free",
    "usage_provider",
    "usage_partial",
    "usage_estimated",
    "usage_none",
    "duration_count",
    "ttft_count",
)
BINS = tuple(f"{latency}_bin_{index:02}" for latency in ("duration", "ttft") for index in range(44))
SINCE = "dimension_rollups_since"
MODEL_ROLLUPS = {
    "": "usage_rollup without key and project.",
    "_hour": "model_rollup by UTC hour.",
    "_day": "model_rollup by UTC day.",
}
NOW_MICROS = {
    "sqlite": "CAST(strftime('%s', 'now') AS INTEGER) * 1000000",
    "postgresql": "CAST(floor(extract(epoch FROM now())) AS BIGINT) * 1000000",
}


def upgrade() -> None:
    create_rollup("dimension_rollup_hour", comment="Usage by end user and by tag, by UTC hour.")
    create_rollup("dimension_rollup_day", comment="dimension_rollup_hour by UTC day.")
    leave_out_what_was_before()
    for ending, comment in MODEL_ROLLUPS.items():
        create_model_rollup(f"model_rollup{ending}", comment=comment)
        sum_up(f"usage_rollup{ending}", into=f"model_rollup{ending}")


def create_rollup(name: str, *, comment: str) -> None:
    op.create_table(
        name,
        sa.Column("dimension", sa.Text(), nullable=False),
        sa.Column("bucket", MICROS, nullable=False),
        sa.Column("own", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in SUMS),
        sa.Column("bytes_in", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        *(sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False) for name in COUNTS),
        sa.Column("errors", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("refused", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("disconnects", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("metered", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("unpriced", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("uncovered", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("dimension IN ('end_user', 'tag')", name=op.f(f"ck_{name}_dimension")),
        sa.PrimaryKeyConstraint("dimension", "bucket", "own", "value", name=op.f(f"pk_{name}")),
        comment=comment,
    )


def create_model_rollup(name: str, *, comment: str) -> None:
    op.create_table(
        name,
        sa.Column("bucket", MICROS, nullable=False),
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in SUMS),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in COUNTS),
        *(sa.Column(name, sa.Integer(), nullable=True) for name in BINS),
        sa.PrimaryKeyConstraint(
            "bucket", "upstream", "provider", "model", "outcome", name=op.f(f"pk_{name}")
        ),
        comment=comment,
        sqlite_with_rowid=False,
    )


def sum_up(table: str, *, into: str) -> None:
    keys = "bucket, upstream, provider, model, outcome"
    measures = (*SUMS, "bytes_in", "bytes_out", *COUNTS, *BINS)
    sums = ", ".join(f"SUM({name})" for name in measures)
    op.execute(
        f"INSERT INTO {into} ({keys}, {', '.join(measures)}) SELECT {keys}, {sums} FROM {table} GROUP BY {keys}"  # noqa: S608  (names of this file)
    )


def leave_out_what_was_before() -> None:
    """Say from which day on the rollups hold everything, where records are older than they are."""
    connection = op.get_bind()
    newest = connection.scalar(sa.text("SELECT started_at FROM request_record ORDER BY id DESC LIMIT 1"))
    if newest is None:
        return
    now = connection.scalar(sa.text(f"SELECT {NOW_MICROS[connection.dialect.name]}"))
    since = (max(newest, now) // DAY_MICROS + 1) * DAY_MICROS
    op.execute(
        sa.text("INSERT INTO store_fact (name, value) VALUES (:name, :value)").bindparams(
            name=SINCE, value=str(since)
        )
    )


def downgrade() -> None:
    for ending in reversed(MODEL_ROLLUPS):
        op.drop_table(f"model_rollup{ending}")
    op.execute(sa.text("DELETE FROM store_fact WHERE name = :name").bindparams(name=SINCE))
    op.drop_table("dimension_rollup_day")
    op.drop_table("dimension_rollup_hour")
