"""Captured content."""

revision = "0008_content"
down_revision = "0007_dimensions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
