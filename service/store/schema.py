"""Which schema this code needs, which one the store has, and the step from one to the other.

`REVISIONS` lists every migration, oldest first; a test keeps it equal to `migrations/versions`. Alembic
itself is imported only to migrate, so that a relay on an up-to-date store starts without it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from service.errors import StoreSchemaError
from service.store.engine import Store

REVISIONS = (
    "0001_initial",
    "0002_rollups",
    "0003_budgets",
    "0004_audit",
    "0005_projects",
    "0006_alerts",
    "0007_dimensions",
    "0008_content",
    "0009_idempotency",
)
HEAD = REVISIONS[-1]
_MIGRATION_LOCK = 7_203_116


def current_revision(tx: Connection) -> str | None:
    """The store's revision; None for an empty store."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    row = tx.execute(text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])


def require_head(store: Store) -> None:
    """Refuse a store whose schema is not the one this code knows."""
    with store.read() as tx:
        found = current_revision(tx)
    if found == HEAD:
        return
    if found is None:
        raise StoreSchemaError(f"the store {store} is empty; run: tollkeeper migrate")
    if found in REVISIONS:
        raise StoreSchemaError(
            f"the store {store} is at schema {found}, this version needs {HEAD}; run: tollkeeper migrate"
        )
    raise StoreSchemaError(
        f"the store {store} is at schema {found}, which is newer than this version of Tollkeeper "
        f"({HEAD}); upgrade Tollkeeper"
    )


def migrate_if_needed(store: Store) -> tuple[str | None, str | None]:
    """As `migrate`, but without its cost where the store is at head already."""
    with store.read() as tx:
        found = current_revision(tx)
    return (found, found) if found == HEAD else migrate(store)


def migrate(store: Store, *, revision: str = "head") -> tuple[str | None, str | None]:
    """Bring the store to *revision*; returns the revisions before and after. Safe to run twice at once."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("path_separator", "os")
    with _alone(store) as connection:
        before = current_revision(connection)
        if before is not None and before not in REVISIONS:
            raise StoreSchemaError(
                f"the store {store} is at schema {before}, which is newer than this version of Tollkeeper; "
                "upgrade Tollkeeper"
            )
        config.attributes["connection"] = connection
        if revision in (*REVISIONS, "head") and (before is None or _forward(before, revision)):
            command.upgrade(config, revision)
        else:
            command.downgrade(config, revision)
        return before, current_revision(connection)


def _forward(before: str, revision: str) -> bool:
    return revision == "head" or REVISIONS.index(revision) >= REVISIONS.index(before)


def migrations_folder() -> Path:
    """Where the migrations lie, in a checkout and in an installed wheel alike."""
    return Path(__file__).resolve().parents[2] / "migrations"


@contextmanager
def _alone(store: Store) -> Iterator[Connection]:
    with store.write() as connection:
        if not store.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        yield connection
