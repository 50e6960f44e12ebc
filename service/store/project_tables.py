"""The table of projects. `virtual_key.project`, records, prices and budgets hold a project's name."""

from sqlalchemy import Column, String, Table, UniqueConstraint

from service.store.metadata import metadata
from service.store.types import JsonText, UtcMicros

project = Table(
    "project",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("metadata", JsonText),
    Column("limits", JsonText),
    Column("capture", JsonText),
    Column("created_at", UtcMicros, nullable=False),
    Column("updated_at", UtcMicros, nullable=False),
    Column("archived_at", UtcMicros),
    UniqueConstraint("name"),
    comment="Projects; the keys of an archived one are refused. The name is in every record and never changes.",
)
