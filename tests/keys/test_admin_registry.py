"""Admin keys in the store."""

from datetime import timedelta

import pytest

from service.audit.actor import Target
from service.errors import ConflictError, InvalidInputError, NotFoundError
from service.keys.admin_registry import AdminKeyRegistry
from service.store.engine import Store
from service.store.revision import read_revision
from tests.support.audit import TESTER, audited
from tests.support.clock import HandClock


def test_create_list_revoke(store: Store, admin_registry: AdminKeyRegistry, clock: HandClock) -> None:
    with store.write() as tx:
        one = admin_registry.create(tx, name="ops", role="admin", by=TESTER)
    clock.advance(timedelta(seconds=1))
    with store.write() as tx:
        other = admin_registry.create(tx, name="ops", role="viewer", by=TESTER)
        assert read_revision(tx) == 2
        assert admin_registry.list(tx) == [one.key, other.key]
        admin_registry.revoke(tx, one.key.public_id, by=TESTER)
        admin_registry.revoke(tx, one.key.public_id, by=TESTER)
        assert read_revision(tx) == 3
        assert [key.revoked_at for key in admin_registry.list(tx)] == [clock.now(), None]
    assert one.token.startswith("tka_")
    assert one.token not in repr(one)


def test_what_cannot_be(store: Store, admin_registry: AdminKeyRegistry) -> None:
    with store.write() as tx:
        with pytest.raises(InvalidInputError, match="name must have"):
            admin_registry.create(tx, name="", role="admin", by=TESTER)
        with pytest.raises(InvalidInputError, match="role must be"):
            admin_registry.create(tx, name="a", role="owner", by=TESTER)  # type: ignore[arg-type]  # as a caller could
        with pytest.raises(NotFoundError):
            admin_registry.revoke(tx, "absent", by=TESTER)


def test_find_takes_an_id_or_a_name_in_use(store: Store, admin_registry: AdminKeyRegistry) -> None:
    with store.write() as tx:
        old = admin_registry.create(tx, name="ops", role="admin", by=TESTER).key
        old = admin_registry.revoke(tx, old.public_id, by=TESTER)
        with pytest.raises(NotFoundError, match="no admin key has the id 'ops'"):
            admin_registry.find(tx, "ops")
        new = admin_registry.create(tx, name="ops", role="admin", by=TESTER).key
        assert admin_registry.find(tx, "ops") == new
        assert admin_registry.find(tx, old.public_id) == old
        shadow = admin_registry.create(tx, name=new.public_id, role="viewer", by=TESTER).key
        assert admin_registry.find(tx, new.public_id) == new
        assert admin_registry.find(tx, shadow.public_id) == shadow
        admin_registry.create(tx, name="ops", role="viewer", by=TESTER)
        with pytest.raises(ConflictError, match="2 admin keys are named 'ops'; use an id"):
            admin_registry.find(tx, "ops")
        for absent in ("", "op%", "a\x00b"):
            with pytest.raises(NotFoundError):
                admin_registry.find(tx, absent)


def test_every_change_is_audited(store: Store, admin_registry: AdminKeyRegistry) -> None:
    with store.write() as tx:
        issued = admin_registry.create(tx, name="ops", role="viewer", by=TESTER)
        admin_registry.revoke(tx, issued.key.public_id, by=TESTER)
        admin_registry.revoke(tx, issued.key.public_id, by=TESTER)
    target = Target("admin_key", issued.key.public_id, "ops")
    assert [(one.action, one.actor, one.target, one.before, one.after) for one in audited(store)] == [
        ("admin_key.create", TESTER, target, None, {"name": "ops", "role": "viewer"}),
        ("admin_key.revoke", TESTER, target, {"revoked_at": None}, {"revoked_at": "2026-03-01T12:00:00Z"}),
    ]
