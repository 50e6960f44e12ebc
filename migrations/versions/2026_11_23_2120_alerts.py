"""Alert rules, channels, events, the outbox and its log; gauges; the keeper's leadership."""

import sqlalchemy as sa
from alembic import op

revision = "0006_alerts"
down_revision = "0005_projects"
branch_labels = None
depends_on = None

MICROS = sa.BigInteger()
RECORD_ID = sa.LargeBinary(16).with_variant(sa.Uuid(), "postgresql")


def upgrade() -> None:
    op.create_index(op.f("ix_budget_period_ends_at"), "budget_period", ["ends_at"])
    op.create_table(
        "leadership",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leadership")),
        comment="Who leads. `fence` grows with every change of hands, `beat` with every sign of life; holder '' is nobody.",
    )
    create_definitions()
    create_events()
    create_outbox()


def create_definitions() -> None:
    op.create_table(
        "alert_rule",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("metric", sa.String(length=32), nullable=False),
        sa.Column("group_by", sa.Text(), nullable=False),
        sa.Column("filters", sa.Text(), nullable=False),
        sa.Column("window", sa.String(length=16), nullable=False),
        sa.Column("warning", sa.Double(), nullable=True),
        sa.Column("critical", sa.Double(), nullable=True),
        sa.Column("min_requests", sa.Integer(), nullable=False),
        sa.Column("no_data", sa.String(length=8), nullable=False),
        sa.Column("renotify", sa.String(length=16), nullable=True),
        sa.Column("channels", sa.Text(), nullable=False),
        sa.Column("muted_until", MICROS, nullable=True),
        sa.Column("created_at", MICROS, nullable=False),
        sa.Column("updated_at", MICROS, nullable=False),
        sa.Column("deleted_at", MICROS, nullable=True),
        sa.CheckConstraint("no_data IN ('ok', 'alert')", name=op.f("ck_alert_rule_no_data")),
        sa.CheckConstraint("min_requests >= 0", name=op.f("ck_alert_rule_min_requests")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_rule")),
        comment="Alert rules; a deleted one stays for its events.",
    )
    op.create_table(
        "alert_channel",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("target", sa.String(length=400), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", MICROS, nullable=False),
        sa.Column("updated_at", MICROS, nullable=False),
        sa.Column("deleted_at", MICROS, nullable=True),
        sa.CheckConstraint(
            "kind IN ('apprise', 'webhook', 'pagerduty', 'log')", name=op.f("ck_alert_channel_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_channel")),
        comment="Where alerts go. `sealed` is encrypted; `target` is what may be shown of it.",
    )


def create_events() -> None:
    op.create_table(
        "alert_event",
        sa.Column("id", RECORD_ID, nullable=False),
        sa.Column("rule_id", sa.String(length=40), nullable=False),
        sa.Column("rule_name", sa.String(length=200), nullable=False),
        sa.Column("metric", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=1000), nullable=False),
        sa.Column("period", MICROS, nullable=False),
        sa.Column("claim", sa.String(length=32), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("threshold", sa.Double(), nullable=True),
        sa.Column("starts_at", MICROS, nullable=False),
        sa.Column("ends_at", MICROS, nullable=True),
        sa.Column("seen_at", MICROS, nullable=False),
        sa.Column("fired_at", MICROS, nullable=True),
        sa.Column("clear_at", MICROS, nullable=True),
        sa.Column("resolved_at", MICROS, nullable=True),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.Column("told_at", MICROS, nullable=True),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "severity IN ('info', 'warning', 'critical')", name=op.f("ck_alert_event_severity")
        ),
        sa.CheckConstraint("state IN ('pending', 'firing', 'resolved')", name=op.f("ck_alert_event_state")),
        sa.CheckConstraint("generation >= 0", name=op.f("ck_alert_event_generation")),
        sa.CheckConstraint("told >= 0", name=op.f("ck_alert_event_told")),
        sa.ForeignKeyConstraint(
            ["rule_id"], ["alert_rule.id"], name=op.f("fk_alert_event_rule_id_alert_rule")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_event")),
        sa.UniqueConstraint(
            "rule_id",
            "subject",
            "period",
            "claim",
            "generation",
            name=op.f("uq_alert_event_rule_id_subject_period_claim_generation"),
        ),
        comment="One row for each time a threshold of a rule was crossed by a subject in a period.",
    )
    op.create_index(op.f("ix_alert_event_state_rule_id"), "alert_event", ["state", "rule_id"])
    op.create_table(
        "alert_gauge",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=400), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("measured_at", MICROS, nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", "subject", name=op.f("pk_alert_gauge")),
        comment="What keepers measured outside the books: the backlog of a journal, the drift of the books.",
    )


def create_outbox() -> None:
    op.create_table(
        "alert_delivery",
        sa.Column("id", RECORD_ID, nullable=False),
        sa.Column("event_id", RECORD_ID, nullable=True),
        sa.Column("channel_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", MICROS, nullable=False),
        sa.Column("claimed_by", sa.String(length=200), nullable=True),
        sa.Column("claimed_until", MICROS, nullable=True),
        sa.Column("created_at", MICROS, nullable=False),
        sa.Column("finished_at", MICROS, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('firing', 'resolved', 'report', 'test')", name=op.f("ck_alert_delivery_kind")
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'sending', 'delivered', 'dead')", name=op.f("ck_alert_delivery_state")
        ),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_alert_delivery_attempts")),
        sa.ForeignKeyConstraint(
            ["event_id"], ["alert_event.id"], name=op.f("fk_alert_delivery_event_id_alert_event")
        ),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["alert_channel.id"], name=op.f("fk_alert_delivery_channel_id_alert_channel")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_delivery")),
        sa.UniqueConstraint(
            "event_id",
            "channel_id",
            "kind",
            "number",
            name=op.f("uq_alert_delivery_event_id_channel_id_kind_number"),
        ),
        comment="The outbox: one message for one channel, kept until it is delivered or given up.",
    )
    op.create_index(op.f("ix_alert_delivery_channel_id"), "alert_delivery", ["channel_id"])
    op.create_index(op.f("ix_alert_delivery_state_due_at"), "alert_delivery", ["state", "due_at"])
    op.create_table(
        "alert_attempt",
        sa.Column("delivery_id", RECORD_ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", MICROS, nullable=False),
        sa.Column("duration_ms", sa.Double(), nullable=False),
        sa.Column("ok", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["alert_delivery.id"],
            name=op.f("fk_alert_attempt_delivery_id_alert_delivery"),
        ),
        sa.PrimaryKeyConstraint("delivery_id", "number", name=op.f("pk_alert_attempt")),
        comment="The log of deliveries: every attempt and what came of it.",
    )


def downgrade() -> None:
    op.drop_table("alert_attempt")
    op.drop_index(op.f("ix_alert_delivery_state_due_at"), table_name="alert_delivery")
    op.drop_index(op.f("ix_alert_delivery_channel_id"), table_name="alert_delivery")
    op.drop_table("alert_delivery")
    op.drop_table("alert_gauge")
    op.drop_index(op.f("ix_alert_event_state_rule_id"), table_name="alert_event")
    op.drop_table("alert_event")
    op.drop_table("alert_channel")
    op.drop_table("alert_rule")
    op.drop_table("leadership")
    op.drop_index(op.f("ix_budget_period_ends_at"), table_name="budget_period")
