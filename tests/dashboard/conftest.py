"""A store with four days of records, a clock that stands at their end, and the dashboard's script on them."""

import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

import dashboard.app
from dashboard.context import LOCAL, Context, install
from dashboard.registries import Registries
from dashboard.viewer import Viewer
from service.settings import AccountingSettings, Loaded, RelaySettings, Settings
from service.store.engine import Store
from tests.support.records import START, some, write

DAYS = 4
NOW = START + timedelta(days=DAYS) - timedelta(minutes=3)
SETTINGS = Settings(
    relay=RelaySettings(host="127.0.0.1", port=4123),
    accounting=AccountingSettings(reporting_timezone="Asia/Kathmandu"),
)
LOADED = Loaded(settings=SETTINGS, origins={}, path=None)
ROOT = b"the root secret of these tests, long enough"

LOOKER = Viewer(id="acc_1", name="Looker", role="viewer")
"""Somebody who may look and not change."""

OpenPage = Callable[..., AppTest]


class Clock:
    """A clock that the test sets."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def books(store: Store) -> Store:
    """Three hundred records of four days."""
    write(store, some(seed=11, count=300, days=DAYS))
    return store


@pytest.fixture
def sqlite_books(sqlite_store: Store) -> Store:
    """The same on SQLite, for tests where the kind of store makes no difference."""
    write(sqlite_store, some(seed=11, count=300, days=DAYS))
    return sqlite_store


@pytest.fixture
def installed(clock: Clock) -> Iterator[Callable[..., None]]:
    """Makes a store the one that the script sees; nothing of it stays in the caches."""
    st.cache_resource.clear()
    registries = Registries.of(ROOT, SETTINGS, now=clock, random_bytes=os.urandom, chance=lambda: 0.5)

    def make(store: Store, who: Viewer = LOCAL) -> None:
        st.cache_resource.clear()
        install(Context(store, LOADED, now=clock, registries=registries, who=lambda: who))

    yield make
    st.cache_resource.clear()


@pytest.fixture
def open_page(installed: Callable[..., None]) -> OpenPage:
    """Runs the entry script at the address of a page."""

    def open_at(store: Store, page: str = "overview", *, viewer: Viewer = LOCAL, **query: Any) -> AppTest:
        installed(store, viewer)
        script = AppTest.from_file(Path(dashboard.app.__file__), default_timeout=60)
        script._page_hash = calc_hash(page)
        script.query_params.update(query)
        found = script.run()
        assert not found.exception
        return found

    return open_at
