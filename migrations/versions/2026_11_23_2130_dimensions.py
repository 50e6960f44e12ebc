"""Rollups by end user and by tag."""

revision = "0007_dimensions"
down_revision = "0006_alerts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
