"""The revision of the configuration, and the poller that follows it."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import Connection, insert, select, text

from service.errors import StoreUnavailableError
from service.store.engine import Store
from service.store.revision import RevisionPoller, bump_revision, read_revision
from service.store.tables import store_fact
from tests.support.clock import HandClock


def facts(tx: Connection) -> set[str]:
    return set(tx.execute(select(store_fact.c.name).where(store_fact.c.name.like("t%"))).scalars())


def add(store: Store, name: str, *, bump: bool = True) -> None:
    with store.write() as tx:
        tx.execute(insert(store_fact).values(name=name, value=""))
        if bump:
            bump_revision(tx)


@contextmanager
def away(store: Store) -> Iterator[None]:
    """Nobody can read while this is open: the tables have other names."""
    with store.write() as tx:
        tx.execute(text("ALTER TABLE store_fact RENAME TO elsewhere"))
    yield
    with store.write() as tx:
        tx.execute(text("ALTER TABLE elsewhere RENAME TO store_fact"))


def test_the_first_revision_is_0_and_each_change_counts(store: Store) -> None:
    with store.write() as tx:
        assert read_revision(tx) == 0
        bump_revision(tx)
        bump_revision(tx)
        assert read_revision(tx) == 2


def test_the_revision_passes_ten(store: Store) -> None:
    with store.write() as tx:
        for _ in range(11):
            bump_revision(tx)
        assert read_revision(tx) == 11


def test_no_change_of_many_writers_is_lost(store: Store) -> None:
    def bump() -> None:
        for _ in range(5):
            with store.write() as tx:
                bump_revision(tx)

    threads = [threading.Thread(target=bump) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as tx:
        assert read_revision(tx) == 20


def test_the_value_is_loaded_anew_only_when_the_revision_changed(store: Store) -> None:
    add(store, "t1")
    poller = RevisionPoller(store, facts, clock=HandClock().monotonic)
    assert (poller.value, poller.revision) == ({"t1"}, 1)
    add(store, "t2", bump=False)
    assert poller.refresh_now() == {"t1"}
    add(store, "t3")
    assert poller.value == {"t1"}
    assert poller.refresh_now() == {"t1", "t2", "t3"}
    assert (poller.value, poller.revision) == ({"t1", "t2", "t3"}, 2)


def test_staleness_is_counted_from_the_last_success(store: Store) -> None:
    clock = HandClock()
    poller = RevisionPoller(store, facts, clock=clock.monotonic, stale_after_s=60)
    clock.advance(timedelta(seconds=60))
    assert (poller.stale_for_s, poller.stale) == (60.0, False)
    clock.advance(timedelta(seconds=1))
    assert poller.stale
    poller.refresh_now()
    assert (poller.stale_for_s, poller.stale) == (0.0, False)


def test_an_outage_leaves_the_value_and_is_raised_to_who_asked(sqlite_store: Store) -> None:
    clock = HandClock()
    add(sqlite_store, "t1")
    poller = RevisionPoller(sqlite_store, facts, clock=clock.monotonic)
    with away(sqlite_store):
        clock.advance(timedelta(seconds=5))
        with pytest.raises(StoreUnavailableError):
            poller.refresh_now()
        assert (poller.value, poller.stale_for_s) == ({"t1"}, 5.0)
    poller.refresh_now()
    assert poller.stale_for_s == 0.0


def test_a_poller_needs_the_store_to_begin(sqlite_store: Store) -> None:
    with away(sqlite_store), pytest.raises(StoreUnavailableError):
        RevisionPoller(sqlite_store, facts, clock=HandClock().monotonic)


def test_the_thread_follows_changes_and_survives_what_fails(store: Store) -> None:
    loaded = threading.Semaphore(0)
    failed = threading.Event()
    failures = iter([ValueError("a row that cannot be read"), StoreUnavailableError("away")])

    def load(tx: Connection) -> set[str]:
        found = facts(tx)
        if "t2" in found:
            for failure in itertools.islice(failures, 1):
                raise failure
            failed.set()
        loaded.release()
        return found

    poller = RevisionPoller(store, load, clock=HandClock().monotonic, interval_s=0.001)
    assert loaded.acquire(timeout=30)
    poller.start()
    try:
        add(store, "t1")
        assert loaded.acquire(timeout=30)
        add(store, "t2")
        assert loaded.acquire(timeout=30)
        assert failed.is_set()
    finally:
        poller.stop()
    assert poller.value == {"t1", "t2"}
    add(store, "t3")
    assert not loaded.acquire(timeout=0.05)
