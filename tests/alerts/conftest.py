"""The town of alerts, on SQLite and on PostgreSQL."""

import pytest

from service.store.engine import Store
from tests.support.alert_town import Town
from tests.support.plain_logs import plain_logs as plain_logs  # noqa: PLC0414  (a fixture of this folder)


@pytest.fixture
def town(store: Store) -> Town:
    """Alerts on both stores."""
    return Town(store)


@pytest.fixture
def sqlite_town(sqlite_store: Store) -> Town:
    """Alerts where the kind of store makes no difference."""
    return Town(sqlite_store)
