"""Fixtures that every test may use: a migrated store, on SQLite and on a real PostgreSQL."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.store.engine import Store
from tests.support.stores import Postgres, copied_sqlite, migrated_sqlite


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A directory that all processes of this test run see."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def postgres(shared_folder: Path) -> Iterator[Postgres]:
    """The PostgreSQL server of this test run."""
    with closing(Postgres(shared_folder)) as server:
        yield server


@pytest.fixture
def sqlite_url(shared_folder: Path, tmp_path: Path) -> str:
    """A migrated SQLite store of its own."""
    return copied_sqlite(migrated_sqlite(shared_folder / "sqlite"), to=tmp_path / "tollkeeper.db")


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """A migrated PostgreSQL database of its own."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """A migrated store, once on SQLite and once on PostgreSQL."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """The open store of `store_url`."""
    with closing(Store(store_url)) as opened:
        yield opened


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    """An open, migrated SQLite store, for tests where the kind of store makes no difference."""
    with closing(Store(sqlite_url)) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An open store without a schema, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        with closing(Store(f"sqlite:///{tmp_path / 'empty.db'}")) as opened:
            yield opened
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.create(migrated=False)
    with closing(Store(url)) as opened:
        yield opened
    server.drop(url)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In continuous integration nothing may be skipped: a test that did not run proves nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
