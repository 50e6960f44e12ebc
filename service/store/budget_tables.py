"""The tables of budgets, their leases and rate limits. Amounts are integer nano-USD."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
)

from service.store.metadata import metadata, one_of
from service.store.types import JsonText, UtcMicros

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
    one_of("scope_kind", SCOPE_KINDS),
    one_of("window_kind", WINDOWS),
    one_of("mode", BUDGET_MODES),
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
    one_of("state", LEASE_STATES),
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
