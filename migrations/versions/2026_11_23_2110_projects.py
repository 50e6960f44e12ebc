"""Projects as rows of their own; every project that a key names becomes one."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0005_projects"
down_revision = "0004_audit"
branch_labels = None
depends_on = None

MICROS = sa.BigInteger()
KEY = sa.table("virtual_key", sa.column("project", sa.String()), sa.column("created_at", MICROS))
PROJECT = sa.table(
    "project",
    sa.column("id", sa.String()),
    sa.column("name", sa.String()),
    sa.column("created_at", MICROS),
    sa.column("updated_at", MICROS),
)


def upgrade() -> None:
    op.create_table(
        "project",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=True),
        sa.Column("limits", sa.Text(), nullable=True),
        sa.Column("created_at", MICROS, nullable=False),
        sa.Column("updated_at", MICROS, nullable=False),
        sa.Column("archived_at", MICROS, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
        sa.UniqueConstraint("name", name=op.f("uq_project_name")),
        comment="Projects; the keys of an archived one are refused. The name is in every record and never changes.",
    )
    first_key = sa.select(KEY.c.project, sa.func.min(KEY.c.created_at)).group_by(KEY.c.project)
    rows = [
        {"id": f"prj_{uuid4().hex}", "name": name, "created_at": since, "updated_at": since}
        for name, since in op.get_bind().execute(first_key)
    ]
    if rows:
        op.bulk_insert(PROJECT, rows)


def downgrade() -> None:
    op.drop_table("project")
