"""The audit log; accounts and sessions of the dashboard."""

import sqlalchemy as sa
from alembic import op

revision = "0004_audit"
down_revision = "0003_budgets"
branch_labels = None
depends_on = None

MICROS = sa.BigInteger()


def upgrade() -> None:
    _audit_tables()
    _account_tables()
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_entry_stays() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'the audit log only grows: % on audit_entry is refused', TG_OP; END$$"
        )
        op.execute(
            "CREATE TRIGGER audit_entry_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_stays()"
        )
        return
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_entry_no_{event.lower()} BEFORE {event} ON audit_entry BEGIN "
            f"SELECT RAISE(ABORT, 'the audit log only grows: {event} on audit_entry is refused'); END"
        )


def _audit_tables() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", MICROS, nullable=False),
        sa.Column("actor_kind", sa.String(length=16), nullable=False),
        sa.Column("actor_id", sa.String(length=200), nullable=False),
        sa.Column("actor_name", sa.String(length=200), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("target_kind", sa.String(length=32), nullable=False),
        sa.Column("target_id", sa.String(length=400), nullable=False),
        sa.Column("target_name", sa.String(length=400), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("previous", sa.LargeBinary(length=32), nullable=False),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint(
            "actor_kind IN ('admin_key', 'account', 'command_line', 'system')",
            name=op.f("ck_audit_entry_actor_kind"),
        ),
        sa.CheckConstraint("seq >= 1", name=op.f("ck_audit_entry_seq")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_entry")),
        comment="Who changed what, one entry a change, chained by HMAC; never updated, never deleted.",
    )
    op.create_index(op.f("ix_audit_entry_at"), "audit_entry", ["at"])
    op.create_index(op.f("ix_audit_entry_actor_id_seq"), "audit_entry", ["actor_id", "seq"])
    op.create_index(op.f("ix_audit_entry_target_id_seq"), "audit_entry", ["target_id", "seq"])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=False),
        sa.Column("seal", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
        comment="One row: the last entry of the audit log, sealed, so that a cut-off end is noticed.",
    )


def _account_tables() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("folded_name", sa.String(length=400), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("oidc_subject", sa.String(length=600), nullable=True),
        sa.Column("created_at", MICROS, nullable=False),
        sa.Column("updated_at", MICROS, nullable=False),
        sa.Column("password_changed_at", MICROS, nullable=True),
        sa.Column("signed_in_at", MICROS, nullable=True),
        sa.Column("disabled_at", MICROS, nullable=True),
        sa.CheckConstraint("role IN ('admin', 'viewer')", name=op.f("ck_account_role")),
        sa.CheckConstraint(
            "password_hash IS NULL OR oidc_subject IS NULL", name=op.f("ck_account_credentials")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("folded_name", name=op.f("uq_account_folded_name")),
        sa.UniqueConstraint("oidc_subject", name=op.f("uq_account_oidc_subject")),
        comment="People who may use the dashboard. Without a password and a subject: not set up yet.",
    )
    op.create_table(
        "account_link",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=True),
        sa.Column("created_at", MICROS, nullable=False),
        sa.Column("expires_at", MICROS, nullable=False),
        sa.Column("used_at", MICROS, nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_account_link_account_id_account")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_account_link")),
        comment="One-time links to set a password; without an account, to make the first one.",
    )
    op.create_index(op.f("ix_account_link_account_id"), "account_link", ["account_id"])
    op.create_table(
        "account_session",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("created_at", MICROS, nullable=False),
        sa.Column("seen_at", MICROS, nullable=False),
        sa.Column("expires_at", MICROS, nullable=False),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("user_agent", sa.String(length=300), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_account_session_account_id_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_session")),
        sa.UniqueConstraint("digest", name=op.f("uq_account_session_digest")),
        comment="Open sessions of the dashboard; one that ends is deleted.",
    )
    op.create_index(op.f("ix_account_session_account_id"), "account_session", ["account_id"])
    op.create_index(op.f("ix_account_session_expires_at"), "account_session", ["expires_at"])
    op.create_table(
        "login_failure",
        sa.Column("subject", sa.LargeBinary(length=32), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("since", MICROS, nullable=False),
        sa.CheckConstraint("failures >= 1", name=op.f("ck_login_failure_failures")),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_login_failure")),
        comment="Failed logins of a name or of an address, as digests, within one window.",
    )
    op.create_index(op.f("ix_login_failure_since"), "login_failure", ["since"])


def downgrade() -> None:
    op.drop_index(op.f("ix_login_failure_since"), table_name="login_failure")
    op.drop_table("login_failure")
    op.drop_index(op.f("ix_account_session_expires_at"), table_name="account_session")
    op.drop_index(op.f("ix_account_session_account_id"), table_name="account_session")
    op.drop_table("account_session")
    op.drop_index(op.f("ix_account_link_account_id"), table_name="account_link")
    op.drop_table("account_link")
    op.drop_table("account")
    op.drop_table("audit_head")
    op.drop_index(op.f("ix_audit_entry_target_id_seq"), table_name="audit_entry")
    op.drop_index(op.f("ix_audit_entry_actor_id_seq"), table_name="audit_entry")
    op.drop_index(op.f("ix_audit_entry_at"), table_name="audit_entry")
    op.drop_table("audit_entry")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_entry_stays()")
