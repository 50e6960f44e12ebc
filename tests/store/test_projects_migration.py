"""Upgrading a store whose keys name projects: each becomes a row, and its keys go on working."""

from sqlalchemy import text

from service.store import schema
from service.store.engine import Store
from service.store.project_tables import project

BEFORE = "0004_audit"
AFTER = "0005_projects"
KEY = (
    "INSERT INTO virtual_key (id, name, project, created_at, updated_at) "
    "VALUES (:id, 'app', :project, :created_at, :created_at)"
)


def test_the_projects_of_keys_become_rows(empty_store: Store) -> None:
    schema.migrate(empty_store, revision=BEFORE)
    keys = (("key_1", "default", 30), ("key_2", "search/é", 20), ("key_3", "search/é", 10))
    with empty_store.write() as tx:
        for key_id, name, created in keys:
            tx.execute(text(KEY), {"id": key_id, "project": name, "created_at": created * 1_000_000})
    schema.migrate(empty_store, revision=AFTER)
    columns = (project.c.name, project.c.created_at, project.c.limits, project.c.archived_at)
    with empty_store.read() as tx:
        rows = tx.execute(project.select().with_only_columns(*columns).order_by(project.c.name)).all()
        ids = tx.scalars(project.select().with_only_columns(project.c.id)).all()
    assert [(row.name, row.created_at.timestamp(), row.limits, row.archived_at) for row in rows] == [
        ("default", 30, None, None),
        ("search/é", 10, None, None),
    ]
    assert len(set(ids)) == 2
    assert all(found.startswith("prj_") and len(found) <= 40 for found in ids)
    schema.migrate(empty_store, revision=BEFORE)
    schema.migrate(empty_store)
    with empty_store.read() as tx:
        assert len(tx.execute(project.select()).all()) == 2


def test_a_store_without_keys_has_no_projects(empty_store: Store) -> None:
    schema.migrate(empty_store, revision=AFTER)
    with empty_store.read() as tx:
        assert tx.scalars(project.select().with_only_columns(project.c.id)).all() == []
