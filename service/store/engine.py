"""One synchronous engine on SQLite or PostgreSQL, and the two ways to use it: `read` and `write`.

Transactions belong to the caller: ``with store.write() as tx`` commits at the end or rolls back.
A driver's "cannot reach the store" becomes `StoreUnavailableError` here and nowhere else.

SQLite runs in WAL mode. Versions 3.7.0 to 3.51.2 can corrupt a WAL when several connections write and
checkpoint at once (sqlite.org, "WAL-reset bug"), so a process has one writing connection, and a lock file
beside the database is held around every write and every checkpoint, in every process.
"""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.pool import QueuePool

from service.errors import ConfigurationError, StoreSchemaError, StoreUnavailableError

CHECKPOINT_PAGES = 2_000
BUSY_TIMEOUT_MS = 10_000
LOCK_TIMEOUT_S = 30.0
LOCK_POLL_S = 0.002


class Store:
    """The SQL store. Threads share one instance; SQLite writers queue on its lock, for at most *lock_timeout_s*."""

    def __init__(self, url: str, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self.url = parse_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._gate = _SqliteGate(Path(self.url.database or ""), timeout_s=lock_timeout_s)
            self.engine = _sqlite_engine(self.url)
        else:
            self.engine = create_engine(
                self.url,
                hide_parameters=True,  # an error's text is logged; rows are not
                pool_pre_ping=True,
                pool_size=4,
                connect_args={"connect_timeout": 5, "options": "-c statement_timeout=60000"},
            )

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one consistent state of the store."""
        with _unavailable(self), self.engine.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        if self.is_sqlite:
            with _unavailable(self), self._gate.transaction(self.engine) as connection:
                yield connection
        else:
            with _unavailable(self), self.engine.begin() as connection:
                yield connection

    def close(self) -> None:
        """Close every connection; the last one checkpoints, so the lock is held meanwhile."""
        if self.is_sqlite:
            with suppress(StoreUnavailableError):  # whoever holds the lock is frozen: the system closes them
                self._gate.close(self.engine)
        else:
            self.engine.dispose()

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)


def parse_url(text: str) -> URL:
    """`sqlite:///path` or `postgresql://…`, with the driver that Tollkeeper uses."""
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise ConfigurationError(
            "store.url is not a database URL; use sqlite:///tollkeeper.db or postgresql://user@host/name"
        ) from error
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise ConfigurationError("store.url names no SQLite file; use sqlite:///tollkeeper.db")
        return url.set(drivername="sqlite")
    raise ConfigurationError(f"store.url: {backend} is not supported; use sqlite or postgresql")


@contextmanager
def _unavailable(store: Store) -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise StoreUnavailableError(f"the store {store} cannot be used now: {error.orig}") from error
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.DatabaseError) and "not a database" in str(error.orig):
            raise StoreSchemaError(
                f"{store} is not a SQLite database; name another file in store.url"
            ) from error
        if error.connection_invalidated:
            raise StoreUnavailableError(f"the store {store} cannot be used now: {error.orig}") from error
        raise


def _sqlite_engine(url: URL) -> Engine:
    directory = Path(url.database or "").resolve().parent
    if not directory.is_dir():
        raise ConfigurationError(f"store.url: the directory {directory} does not exist; create it")
    engine = create_engine(
        url,
        hide_parameters=True,
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=16,
        connect_args={"isolation_level": None, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 0")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("tollkeeper_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


class _SqliteGate:
    """Who may write now: one thread of one process."""

    def __init__(self, database: Path, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._path = database.with_name(database.name + ".lock")
        self._lock = threading.Lock()
        self._file: int | None = None
        self._writer: Connection | None = None

    @contextmanager
    def transaction(self, engine: Engine) -> Iterator[Connection]:
        with self._held():
            writer = self._writer
            if writer is None or writer.closed or writer.invalidated:
                writer = engine.connect().execution_options(tollkeeper_write=True)
                self._writer = writer
            with writer.begin():
                yield writer
            self._checkpoint(writer)

    def close(self, engine: Engine) -> None:
        with self._held():
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            engine.dispose()
            if self._file is not None:
                os.close(self._file)
                self._file = None

    @contextmanager
    def _held(self) -> Iterator[None]:
        deadline = time.monotonic() + self._timeout_s
        if not self._lock.acquire(timeout=self._timeout_s):
            raise self._taken()
        try:
            if self._file is None:
                try:
                    self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                except OSError as error:
                    raise StoreUnavailableError(
                        f"the lock file {self._path} cannot be written: {error.strerror}"
                    ) from error
            self._lock_file(self._file, deadline=deadline)
            try:
                yield
            finally:
                if self._file is not None:
                    fcntl.flock(self._file, fcntl.LOCK_UN)
        finally:
            self._lock.release()

    def _lock_file(self, file: int, *, deadline: float) -> None:
        """A process that is frozen while it holds the lock must not freeze all others: they try until *deadline*."""
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise self._taken() from None
                time.sleep(LOCK_POLL_S)
            else:
                return

    def _taken(self) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"another process or thread has held {self._path} for {self._timeout_s:g} s; "
            "see with `fuser` who has it open, and end it if it is frozen"
        )

    @staticmethod
    def _checkpoint(writer: Connection) -> None:
        """Move a long WAL into the database, as far as no reader still needs it."""
        raw = writer.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        wal = Path(raw.execute("PRAGMA database_list").fetchone()[2] + "-wal")
        if wal.exists() and wal.stat().st_size > CHECKPOINT_PAGES * 4096:
            raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
