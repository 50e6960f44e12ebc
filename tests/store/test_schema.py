"""Migrations: up, down and up again; what they make is what the code describes; foreign stores are refused."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from service.errors import StoreSchemaError
from service.store import schema
from service.store.engine import Store
from service.store.tables import metadata


def test_revisions_are_those_of_the_migrations_folder() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.migrations_folder()))
    config.set_main_option("path_separator", "os")
    found = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(found)) == schema.REVISIONS


def test_up_down_up(empty_store: Store) -> None:
    assert schema.migrate(empty_store) == (None, schema.HEAD)
    for revision in reversed(schema.REVISIONS[:-1]):
        assert schema.migrate(empty_store, revision=revision)[1] == revision
    assert schema.migrate(empty_store, revision="base") == (schema.REVISIONS[0], None)
    with empty_store.read() as tx:
        assert inspect(tx).get_table_names() == ["alembic_version"]
    assert schema.migrate(empty_store) == (None, schema.HEAD)
    schema.require_head(empty_store)


def test_migrating_twice_changes_nothing(store: Store) -> None:
    assert schema.migrate(store) == (schema.HEAD, schema.HEAD)


def test_migrated_schema_is_the_one_of_the_tables(store: Store) -> None:
    with store.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_check_constraints_are_those_of_the_tables(store: Store) -> None:
    """Alembic compares no CHECK, so their names are compared here."""
    with store.read() as tx:
        for table in metadata.sorted_tables:
            described = {
                str(constraint.name)
                for constraint in table.constraints
                if constraint.__visit_name__ in ("check_constraint", "table_or_column_check_constraint")
            }
            found = {str(check["name"]) for check in inspect(tx).get_check_constraints(table.name)}
            assert (table.name, found) == (table.name, described)


def test_an_empty_store_is_refused(empty_store: Store) -> None:
    with pytest.raises(StoreSchemaError, match="is empty; run: tollkeeper migrate"):
        schema.require_head(empty_store)


def test_an_older_store_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "HEAD", "9999_next")
    with pytest.raises(StoreSchemaError, match="this version needs 9999_next; run: tollkeeper migrate"):
        schema.require_head(store)


def test_a_newer_store_is_refused_and_left_alone(store: Store) -> None:
    with store.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999_next'"))
    with pytest.raises(StoreSchemaError, match="newer than this version of Tollkeeper"):
        schema.require_head(store)
    with pytest.raises(StoreSchemaError, match="newer than this version of Tollkeeper"):
        schema.migrate(store)
    with store.read() as tx:
        assert schema.current_revision(tx) == "9999_next"


def test_a_failed_migration_leaves_nothing_behind(
    empty_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []

    def current_revision(tx: object) -> None:
        calls.append(tx)
        if len(calls) > 1:
            raise RuntimeError("after the last step")

    monkeypatch.setattr(schema, "current_revision", current_revision)
    with pytest.raises(RuntimeError, match="after the last step"):
        schema.migrate(empty_store)
    with empty_store.read() as tx:
        assert inspect(tx).get_table_names() == []
