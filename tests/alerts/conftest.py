"""The town of alerts, on SQLite and on PostgreSQL."""

import pytest

from service.store.engine import Store
from tests.support.alert_town import Town


@pytest.fixture
def town(store: Store) -> Town:
    """Alerts on both stores."""
    return Town(store)


@pytest.fixture
def sqlite_town(sqlite_store: Store) -> Town:
    """Alerts where the kind of store makes no difference."""
    return Town(sqlite_store)
