"""A key's name is as good as its id where a person asks; a name that nobody has is said."""

import os
from datetime import UTC, datetime

import pytest

from service.audit.actor import Actor
from service.audit.trail import AuditTrail
from service.errors import InvalidInputError
from service.keys.registry import KeyRegistry
from service.keys.secrets import Peppers
from service.keys.values import NewKey
from service.reporting.key_names import with_key_ids
from service.store.engine import Store


def now() -> datetime:
    return datetime(2026, 3, 1, tzinfo=UTC)


def test_names_become_the_ids_of_every_key_that_has_them(store: Store) -> None:
    trail = AuditTrail(bytes(32), now=now)
    registry = KeyRegistry(Peppers.of(bytes(32)), trail=trail, now=now, random_bytes=os.urandom)
    by = Actor.system("test")
    with store.write() as tx:
        made = {
            label: registry.create(tx, NewKey(name=name), by=by).key.id
            for label, name in (("one", "twin"), ("two", "twin"), ("other", "other"))
        }
    with store.read() as tx:
        found = with_key_ids(tx, {"key": ("twin", made["other"], "other"), "model": ("m",)})
        assert set(found["key"]) == set(made.values())
        assert len(found["key"]) == 3
        assert found["model"] == ("m",)
        assert with_key_ids(tx, {"key": ("key_gone",)}) == {"key": ("key_gone",)}
        assert with_key_ids(tx, {"model": ("m",)}) == {"model": ("m",)}
        with pytest.raises(InvalidInputError, match="'nobody'"):
            with_key_ids(tx, {"key": ("nobody",)})
