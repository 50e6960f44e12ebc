"""Budgets with their periods and leases; permits of rate limits."""

import sqlalchemy as sa
from alembic import op

revision = "0003_budgets"
down_revision = "0002_rollups"
branch_labels = None
depends_on = None

MICROS = sa.BigInteger()


def upgrade() -> None:
    op.create_table(
        "budget",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("scope_kind", sa.String(length=16), nullable=False),
        sa.Column("scope_id", sa.String(length=200), nullable=True),
        sa.Column("models", sa.Text(), nullable=True),
        sa.Column("limit_nanos", sa.BigInteger(), nullable=False),
        sa.Column("window_kind", sa.String(length=8), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("anchor_day", sa.SmallInteger(), nullable=False),
        sa.Column("mode", sa.String(length=8), nullable=False),
        sa.Column("thresholds", sa.Text(), nullable=False),
        sa.Column("raise_nanos", sa.BigInteger(), nullable=True),
        sa.Column("raise_until", MICROS, nullable=True),
        sa.Column("created_at", MICROS, nullable=False),
        sa.Column("updated_at", MICROS, nullable=False),
        sa.Column("deleted_at", MICROS, nullable=True),
        sa.CheckConstraint(
            "scope_kind IN ('global', 'project', 'key', 'end_user', 'model')",
            name=op.f("ck_budget_scope_kind"),
        ),
        sa.CheckConstraint(
            "window_kind IN ('hour', 'day', 'week', 'month', 'total')", name=op.f("ck_budget_window_kind")
        ),
        sa.CheckConstraint("mode IN ('hard', 'soft')", name=op.f("ck_budget_mode")),
        sa.CheckConstraint(
            "limit_nanos BETWEEN 1 AND 1000000000000000000", name=op.f("ck_budget_limit_nanos")
        ),
        sa.CheckConstraint(
            "raise_nanos BETWEEN 1 AND 1000000000000000000", name=op.f("ck_budget_raise_nanos")
        ),
        sa.CheckConstraint("(raise_nanos IS NULL) = (raise_until IS NULL)", name=op.f("ck_budget_raise")),
        sa.CheckConstraint("(scope_kind = 'global') = (scope_id IS NULL)", name=op.f("ck_budget_scope_id")),
        sa.CheckConstraint("anchor_day BETWEEN 1 AND 31", name=op.f("ck_budget_anchor_day")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budget")),
        comment="Budgets; a deleted one stays for its history.",
    )
    op.create_table(
        "budget_period",
        sa.Column("budget_id", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("starts_at", MICROS, nullable=False),
        sa.Column("ends_at", MICROS, nullable=True),
        sa.Column("committed_nanos", sa.BigInteger(), nullable=False),
        sa.Column("direct_nanos", sa.BigInteger(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.CheckConstraint("direct_nanos >= 0", name=op.f("ck_budget_period_direct_nanos")),
        sa.CheckConstraint("committed_nanos >= direct_nanos", name=op.f("ck_budget_period_committed_nanos")),
        sa.ForeignKeyConstraint(["budget_id"], ["budget.id"], name=op.f("fk_budget_period_budget_id_budget")),
        sa.PrimaryKeyConstraint("budget_id", "subject", "starts_at", name=op.f("pk_budget_period")),
        comment="One row a period: committed = direct + the reserve of every lease. `wanted` counts refusals.",
    )
    op.create_table(
        "budget_lease",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("budget_id", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("starts_at", MICROS, nullable=False),
        sa.Column("holder", sa.String(length=120), nullable=False),
        sa.Column("granted_nanos", sa.BigInteger(), nullable=False),
        sa.Column("spent_nanos", sa.BigInteger(), nullable=False),
        sa.Column("burned_nanos", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("expires_at", MICROS, nullable=False),
        sa.Column("quarantined_at", MICROS, nullable=True),
        sa.Column("created_at", MICROS, nullable=False),
        sa.CheckConstraint(
            "state IN ('active', 'quarantined', 'closed')", name=op.f("ck_budget_lease_state")
        ),
        sa.CheckConstraint("granted_nanos >= 0", name=op.f("ck_budget_lease_granted_nanos")),
        sa.CheckConstraint("spent_nanos >= 0", name=op.f("ck_budget_lease_spent_nanos")),
        sa.CheckConstraint("burned_nanos >= 0", name=op.f("ck_budget_lease_burned_nanos")),
        sa.ForeignKeyConstraint(
            ["budget_id", "subject", "starts_at"],
            ["budget_period.budget_id", "budget_period.subject", "budget_period.starts_at"],
            name=op.f("fk_budget_lease_budget_id_subject_starts_at_budget_period"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budget_lease")),
        comment="Slices of a period that relays spend in memory; see docs/decisions/0004-budget-leases.md.",
    )
    op.create_index(
        op.f("ix_budget_lease_budget_id_subject_starts_at"),
        "budget_lease",
        ["budget_id", "subject", "starts_at"],
    )
    op.create_index(op.f("ix_budget_lease_holder_state"), "budget_lease", ["holder", "state"])
    op.create_table(
        "rate_limit",
        sa.Column("name", sa.String(length=260), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_rate_limit")),
        comment="One row a rate limit in use: its lock. `wanted` counts refusals.",
    )
    op.create_table(
        "rate_permit",
        sa.Column("name", sa.String(length=260), nullable=False),
        sa.Column("holder", sa.String(length=120), nullable=False),
        sa.Column("permits", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", MICROS, nullable=False),
        sa.CheckConstraint("permits >= 0", name=op.f("ck_rate_permit_permits")),
        sa.ForeignKeyConstraint(["name"], ["rate_limit.name"], name=op.f("fk_rate_permit_name_rate_limit")),
        sa.PrimaryKeyConstraint("name", "holder", name=op.f("pk_rate_permit")),
        comment="How much of a rate limit each relay may use in any minute.",
    )


def downgrade() -> None:
    op.drop_table("rate_permit")
    op.drop_table("rate_limit")
    op.drop_index(op.f("ix_budget_lease_holder_state"), table_name="budget_lease")
    op.drop_index(op.f("ix_budget_lease_budget_id_subject_starts_at"), table_name="budget_lease")
    op.drop_table("budget_lease")
    op.drop_table("budget_period")
    op.drop_table("budget")
