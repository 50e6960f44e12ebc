"""Alert rules, events, channels and the outbox."""

revision = "0006_alerts"
down_revision = "0005_projects"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
