"""Admin keys in the store."""

from datetime import timedelta

import pytest

from service.errors import InvalidInputError, NotFoundError
from service.keys.admin_registry import AdminKeyRegistry
from service.store.engine import Store
from service.store.revision import read_revision
from tests.support.clock import HandClock


def test_create_list_revoke(store: Store, admin_registry: AdminKeyRegistry, clock: HandClock) -> None:
    with store.write() as tx:
        one = admin_registry.create(tx, name="ops", role="admin")
    clock.advance(timedelta(seconds=1))
    with store.write() as tx:
        other = admin_registry.create(tx, name="ops", role="viewer")
        assert read_revision(tx) == 2
        assert admin_registry.list(tx) == [one.key, other.key]
        admin_registry.revoke(tx, one.key.public_id)
        admin_registry.revoke(tx, one.key.public_id)
        assert read_revision(tx) == 3
        assert [key.revoked_at for key in admin_registry.list(tx)] == [clock.now(), None]
    assert one.token.startswith("tka_")
    assert one.token not in repr(one)


def test_what_cannot_be(store: Store, admin_registry: AdminKeyRegistry) -> None:
    with store.write() as tx:
        with pytest.raises(InvalidInputError, match="name must have"):
            admin_registry.create(tx, name="", role="admin")
        with pytest.raises(InvalidInputError, match="role must be"):
            admin_registry.create(tx, name="a", role="owner")  # type: ignore[arg-type]  # as a caller could
        with pytest.raises(NotFoundError):
            admin_registry.revoke(tx, "absent")
