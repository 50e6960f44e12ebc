"""The audit log; accounts and sessions of the dashboard."""

revision = "0004_audit"
down_revision = "0003_budgets"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
