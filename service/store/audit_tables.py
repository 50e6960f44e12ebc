"""The tables of the audit log and of the dashboard's accounts.

The audit log only grows: triggers, which the migration makes, refuse UPDATE and DELETE on `audit_entry`.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
)

from service.store.metadata import metadata, one_of
from service.store.types import UtcMicros

ACTOR_KINDS = ("admin_key", "account", "command_line", "system")
ACCOUNT_ROLES = ("admin", "viewer")

audit_entry = Table(
    "audit_entry",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcMicros, nullable=False, index=True),
    Column("actor_kind", String(16), nullable=False),
    Column("actor_id", String(200), nullable=False),
    Column("actor_name", String(200), nullable=False),
    Column("address", String(64)),
    Column("action", String(64), nullable=False),
    Column("target_kind", String(32), nullable=False),
    Column("target_id", String(400), nullable=False),
    Column("target_name", String(400), nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("previous", LargeBinary(32), nullable=False),
    Column("mac", LargeBinary(32), nullable=False),
    one_of("actor_kind", ACTOR_KINDS),
    CheckConstraint("seq >= 1", name="seq"),
    comment="Who changed what, one entry a change, chained by HMAC; never updated, never deleted.",
)
Index(None, audit_entry.c.actor_id, audit_entry.c.seq)
Index(None, audit_entry.c.target_id, audit_entry.c.seq)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("mac", LargeBinary(32), nullable=False),
    Column("seal", LargeBinary(32), nullable=False),
    CheckConstraint("id = 1", name="id"),
    comment="One row: the last entry of the audit log, sealed, so that a cut-off end is noticed.",
)

account = Table(
    "account",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("folded_name", String(400), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("password_hash", String(200)),
    Column("oidc_subject", String(600), unique=True),
    Column("created_at", UtcMicros, nullable=False),
    Column("updated_at", UtcMicros, nullable=False),
    Column("password_changed_at", UtcMicros),
    Column("signed_in_at", UtcMicros),
    Column("disabled_at", UtcMicros),
    one_of("role", ACCOUNT_ROLES),
    CheckConstraint("password_hash IS NULL OR oidc_subject IS NULL", name="credentials"),
    comment="People who may use the dashboard. Without a password and a subject: not set up yet.",
)

account_link = Table(
    "account_link",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("account_id", ForeignKey("account.id"), index=True),
    Column("created_at", UtcMicros, nullable=False),
    Column("expires_at", UtcMicros, nullable=False),
    Column("used_at", UtcMicros),
    comment="One-time links to set a password; without an account, to make the first one.",
)

account_session = Table(
    "account_session",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("account_id", ForeignKey("account.id"), nullable=False, index=True),
    Column("created_at", UtcMicros, nullable=False),
    Column("seen_at", UtcMicros, nullable=False),
    Column("expires_at", UtcMicros, nullable=False, index=True),
    Column("address", String(64)),
    Column("user_agent", String(300)),
    comment="Open sessions of the dashboard; one that ends is deleted.",
)

login_failure = Table(
    "login_failure",
    metadata,
    Column("subject", LargeBinary(32), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("since", UtcMicros, nullable=False, index=True),
    CheckConstraint("failures >= 1", name="failures"),
    comment="Failed logins of a name or of an address, as digests, within one window.",
)
