"""When a key was last used is when its newest record began; a key that never was is not there."""

from datetime import UTC, datetime

from service.reporting.last_used import last_used
from service.reporting.rows import RequestFilter, list_requests
from service.store.engine import Store
from service.store.tables import virtual_key
from tests.support.records import some, write


def test_the_newest_record_of_each_key(store: Store) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    made = {"project": "p", "created_at": now, "updated_at": now}
    with store.write() as tx:
        tx.execute(virtual_key.insert(), [{"id": f"key_{name}", "name": name, **made} for name in "abz"])
    write(store, some(seed=5, count=80, days=2))
    with store.read() as tx:
        rows = list_requests(tx, RequestFilter(), limit=1000).data
        found = last_used(tx)
    expected = {
        key: max(row["started_at"] for row in rows if row["key_id"] == key) for key in ("key_a", "key_b")
    }
    assert found == expected
