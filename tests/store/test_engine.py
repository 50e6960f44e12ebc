"""One store for threads and processes: transactions, addresses, outages, and SQLite's one-writer rule."""

import fcntl
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from service.errors import ConfigurationError, StoreUnavailableError
from service.store.engine import CHECKPOINT_PAGES, Store, parse_url
from service.store.tables import store_fact


def names(store: Store) -> list[str]:
    with store.read() as tx:
        return list(tx.execute(select(store_fact.c.name).order_by(store_fact.c.name)).scalars())


def add(store: Store, name: str, value: str = "") -> None:
    with store.write() as tx:
        tx.execute(insert(store_fact).values(name=name, value=value))


def test_a_block_that_ends_is_committed_and_one_that_raises_is_not(store: Store) -> None:
    add(store, "kept")
    both = [{"name": "lost", "value": ""}, {"name": "kept", "value": ""}]
    with pytest.raises(IntegrityError), store.write() as tx:
        tx.execute(insert(store_fact), both)
    assert names(store) == ["kept"]
    add(store, "after")
    assert names(store) == ["after", "kept"]


def test_a_failed_commit_does_not_stop_the_next_writer(store: Store) -> None:
    def fail() -> None:
        with store.write() as tx:
            tx.execute(insert(store_fact).values(name="lost", value=""))
            raise RuntimeError("in the middle")

    for _ in range(3):
        with pytest.raises(RuntimeError, match="in the middle"):
            fail()
    add(store, "kept")
    assert names(store) == ["kept"]


def test_a_reader_sees_no_half_of_a_transaction(store: Store) -> None:
    with store.write() as tx:
        tx.execute(insert(store_fact).values(name="one", value=""))
        assert names(store) == []
        tx.execute(insert(store_fact).values(name="two", value=""))
    assert names(store) == ["one", "two"]


def test_a_reader_on_sqlite_keeps_its_view(sqlite_store: Store) -> None:
    with sqlite_store.read() as tx:
        before = tx.execute(select(store_fact.c.name)).all()
        add(sqlite_store, "later")
        assert tx.execute(select(store_fact.c.name)).all() == before


def test_threads_write_one_after_another(store: Store) -> None:
    def write(number: int) -> None:
        for step in range(5):
            add(store, f"{number}-{step}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(store)) == 30


def test_processes_write_one_after_another(store_url: str) -> None:
    program = (
        "import sys; from sqlalchemy import insert; from service.store.engine import Store; "
        "from service.store.tables import store_fact; store = Store(sys.argv[1]); sys.stdin.read()\n"
        "for step in range(10):\n"
        "  with store.write() as tx: tx.execute(insert(store_fact).values(name=f'{sys.argv[2]}-{step}', value=''))\n"
        "store.close()"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, store_url, str(number)], stdin=subprocess.PIPE)
        for number in range(3)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(60) for process in started] == [0, 0, 0]
    with closing(Store(store_url)) as store:
        assert len(names(store)) == 30


def test_another_process_waits_for_the_lock_file(sqlite_store: Store) -> None:
    program = (
        "import sys; from sqlalchemy import insert; from service.store.engine import Store; "
        "from service.store.tables import store_fact; store = Store(sys.argv[1]); print('ready', flush=True)\n"
        "with store.write() as tx:\n"
        "  print('in', flush=True); tx.execute(insert(store_fact).values(name='theirs', value=''))\n"
        "store.close()"
    )
    with sqlite_store.write() as tx:
        command = [sys.executable, "-c", program, f"sqlite:///{sqlite_store.url.database}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        tx.execute(insert(store_fact).values(name="ours", value=""))
        waiting = Path("/proc/locks").read_text()
        assert process.poll() is None
        assert f"FLOCK  ADVISORY  WRITE {process.pid}" not in waiting.replace("-> FLOCK", "-> waiting")
    assert process.communicate(timeout=60)[0] == "in\n"
    assert names(sqlite_store) == ["ours", "theirs"]


def test_a_frozen_holder_of_the_lock_freezes_nobody_else(sqlite_url: str) -> None:
    with closing(Store(sqlite_url, lock_timeout_s=0.05)) as store:
        add(store, "before")
        with Path(f"{store.url.database}.lock").open("rb") as elsewhere:
            fcntl.flock(elsewhere, fcntl.LOCK_EX)
            with pytest.raises(StoreUnavailableError, match="has held"):
                add(store, "meanwhile")
            assert names(store) == ["before"]
        with store.write(), pytest.raises(StoreUnavailableError), ThreadPoolExecutor() as pool:
            pool.submit(add, store, "another thread").result()
        add(store, "after")
        assert names(store) == ["after", "before"]


def test_a_long_wal_is_checkpointed_and_stays_bounded(sqlite_store: Store) -> None:
    page = "x" * 4000
    for batch in range(3):
        with sqlite_store.write() as tx:
            rows = [{"name": f"{batch}-{number}", "value": page} for number in range(CHECKPOINT_PAGES)]
            tx.execute(insert(store_fact), rows)
    wal = Path(f"{sqlite_store.url.database}-wal")
    assert wal.stat().st_size < 2 * CHECKPOINT_PAGES * 4400


def test_sqlite_is_set_up_for_durability(sqlite_store: Store) -> None:
    with sqlite_store.write() as tx:
        found = [
            tx.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint")
        ]
    assert found == ["wal", 2, 1, 0]


def test_closing_leaves_one_file_to_copy(sqlite_url: str) -> None:
    store = Store(sqlite_url)
    add(store, "kept")
    store.close()
    file = Path(store.url.database or "")
    assert not file.with_name(file.name + "-wal").exists()


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:///a.db", "sqlite"),
        ("postgresql://u@h/n", "postgresql+psycopg"),
        ("postgresql+psycopg2://u@h/n", "postgresql+psycopg"),
    ],
)
def test_addresses(given: str, driver: str) -> None:
    assert parse_url(given).drivername == driver


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("tollkeeper.db", "is not a database URL"),
        ("", "is not a database URL"),
        ("nosuch://x", "nosuch is not supported"),
        ("postgresql://u@h:port/n", "is not a database URL"),
        ("mysql://u@h/n", "mysql is not supported"),
        ("sqlite://", "names no SQLite file"),
        ("sqlite:///:memory:", "names no SQLite file"),
    ],
)
def test_addresses_that_are_refused(given: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        parse_url(given)


def test_a_password_is_not_shown() -> None:
    with closing(Store("postgresql://me:hunter2@127.0.0.1/books")) as store:
        assert "hunter2" not in str(store)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist; create it"):
        Store(f"sqlite:///{tmp_path}/absent/x.db")


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can take the port
        port = reserved.getsockname()[1]
        with (
            closing(Store(f"postgresql://me:hunter2@127.0.0.1:{port}/books")) as store,
            pytest.raises(StoreUnavailableError) as caught,
            store.read(),
        ):
            pass
    assert "cannot be used now" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_connection_that_the_server_ends_in_use_means_no_store(postgres_url: str) -> None:
    with closing(Store(postgres_url)) as store:
        with pytest.raises(StoreUnavailableError, match="terminating connection"), store.write() as tx:
            tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        add(store, "after")
        assert names(store) == ["after"]


def test_a_connection_that_the_server_ended_meanwhile_is_replaced(postgres_url: str) -> None:
    with closing(Store(postgres_url)) as store, closing(Store(postgres_url)) as other:
        with store.read() as tx:
            pid = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with other.write() as tx:
            assert tx.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid}).scalar_one()
        add(store, "after")
        assert names(store) == ["after"]
