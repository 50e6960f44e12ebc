"""Virtual keys in the store, on SQLite and PostgreSQL."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from service.errors import ConflictError, InvalidInputError, NotFoundError
from service.keys.registry import KeyRegistry
from service.keys.token import parse
from service.keys.values import KeyChanges, Limits, NewKey
from service.store.audit_tables import audit_entry
from service.store.engine import Store
from service.store.revision import read_revision
from service.store.tables import key_secret
from tests.support.audit import TESTER, audited
from tests.support.clock import HandClock


def revision(store: Store) -> int:
    with store.read() as tx:
        return read_revision(tx)


def test_a_key_reads_back_as_created(store: Store, registry: KeyRegistry, clock: HandClock) -> None:
    new = NewKey(
        name="batch",
        project="search",
        models=["gpt-4o*"],
        expires_at=clock.now() + timedelta(days=30),
        metadata={"team": "é"},
        limits=Limits(rpm=60),
    )
    with store.write() as tx:
        issued = registry.create(tx, new, by=TESTER)
    with store.read() as tx:
        found = registry.get(tx, issued.key.id)
    assert found == issued.key
    assert (found.name, found.project, found.models) == ("batch", "search", ["gpt-4o*"])
    assert (found.metadata, found.limits) == ({"team": "é"}, {"rpm": 60})
    assert (found.expires_at, found.revoked_at) == (new.expires_at, None)


def test_the_secret_is_not_in_the_store(store: Store, registry: KeyRegistry) -> None:
    with store.write() as tx:
        issued = registry.create(tx, NewKey(name="a"), by=TESTER)
    parts = parse(issued.token)
    assert parts is not None
    with store.read() as tx:
        (row,) = tx.execute(select(key_secret)).all()
    assert row.public_id == parts.public_id
    assert parts.secret not in str(tuple(row))
    assert len(row.digest) == 32
    assert issued.token not in repr(issued)


def test_names_are_labels_and_need_not_differ(store: Store, registry: KeyRegistry) -> None:
    with store.write() as tx:
        one, other = (registry.create(tx, NewKey(name="same"), by=TESTER) for _ in range(2))
    assert one.key.id != other.key.id
    with store.read() as tx, pytest.raises(ConflictError, match="2 keys are named 'same'; use an id"):
        registry.find(tx, "same")


def test_find_takes_an_id_or_an_unambiguous_name(store: Store, registry: KeyRegistry) -> None:
    with store.write() as tx:
        old = registry.create(tx, NewKey(name="app"), by=TESTER).key
        old = registry.revoke(tx, old.id, by=TESTER)
        assert registry.find(tx, "app") == old
        new = registry.create(tx, NewKey(name="app"), by=TESTER).key
        shadow = registry.create(tx, NewKey(name=new.id), by=TESTER).key
    with store.read() as tx:
        assert registry.find(tx, "app") == new
        assert registry.find(tx, old.id) == old
        assert registry.find(tx, new.id) == new
        assert registry.find(tx, shadow.id) == shadow
        for absent in ("", "App", "ap%", "key_"):
            with pytest.raises(NotFoundError, match="no key has the id or name"):
                registry.find(tx, absent)


def test_pages_go_from_the_newest_to_the_oldest(
    store: Store, registry: KeyRegistry, clock: HandClock
) -> None:
    with store.write() as tx:
        for number in range(7):
            registry.create(tx, NewKey(name=f"k{number}"), by=TESTER)
            if number % 3 == 0:  # several share one instant
                clock.advance(timedelta(microseconds=1))
    with store.read() as tx:
        everything = registry.list(tx, limit=100)
        pages, after = [], None
        while page := registry.list(tx, limit=2, after=after):
            pages.extend(page)
            after = (page[-1].created_at, page[-1].id)
    assert pages == everything
    assert len({key.id for key in pages}) == 7
    assert [key.created_at for key in pages] == sorted((key.created_at for key in pages), reverse=True)


def test_update_changes_what_is_named(store: Store, registry: KeyRegistry, clock: HandClock) -> None:
    with store.write() as tx:
        key = registry.create(
            tx, NewKey(name="a", models=["m"], limits=Limits(rpm=1), metadata={"x": 1}), by=TESTER
        ).key
    clock.advance(timedelta(hours=1))
    with store.write() as tx:
        changed = registry.update(
            tx, key.id, changes=KeyChanges(name="b", models=None, limits=Limits(tpm=2)), by=TESTER
        )
    assert (changed.name, changed.models, changed.limits) == ("b", None, {"tpm": 2})
    assert (changed.project, changed.metadata, changed.created_at) == ("default", {"x": 1}, key.created_at)
    assert changed.updated_at == clock.now()
    with store.write() as tx:
        assert registry.update(tx, key.id, changes=KeyChanges(limits=None), by=TESTER).limits is None


def test_each_change_bumps_the_revision_once_and_nothing_else_does(
    store: Store, registry: KeyRegistry
) -> None:
    with store.write() as tx:
        key = registry.create(tx, NewKey(name="a"), by=TESTER).key
    assert revision(store) == 1
    with store.write() as tx:
        registry.update(tx, key.id, changes=KeyChanges(name="b"), by=TESTER)
    assert revision(store) == 2
    with store.write() as tx:
        registry.rotate(tx, key.id, by=TESTER)
    assert revision(store) == 3
    with store.write() as tx:
        registry.revoke(tx, key.id, by=TESTER)
    assert revision(store) == 4
    with store.write() as tx:
        assert registry.revoke(tx, key.id, by=TESTER).revoked_at is not None
        registry.find(tx, key.id)
        registry.list(tx, limit=1)
    assert revision(store) == 4


def test_an_empty_update_is_no_change(store: Store, registry: KeyRegistry) -> None:
    with store.write() as tx:
        key = registry.create(tx, NewKey(name="a"), by=TESTER).key
        assert registry.update(tx, key.id, changes=KeyChanges(), by=TESTER) == key
    assert revision(store) == 1


def test_a_rolled_back_change_leaves_no_trace(store: Store, registry: KeyRegistry) -> None:
    with store.write() as tx:
        key = registry.create(tx, NewKey(name="a"), by=TESTER).key
        tx.get_transaction().rollback()  # type: ignore[union-attr]  # a transaction is open here
    assert revision(store) == 0
    with store.read() as tx, pytest.raises(NotFoundError):
        registry.get(tx, key.id)


def test_rotation_ends_older_secrets_after_the_overlap(
    store: Store, registry: KeyRegistry, clock: HandClock
) -> None:
    def ends() -> list[object]:
        with store.read() as tx:
            query = select(key_secret.c.expires_at).order_by(key_secret.c.created_at)
            return [row.expires_at for row in tx.execute(query)]

    start = clock.now()
    with store.write() as tx:
        key = registry.create(tx, NewKey(name="a"), by=TESTER).key
    clock.advance(timedelta(hours=1))
    with store.write() as tx:
        registry.rotate(tx, key.id, overlap=timedelta(hours=2), by=TESTER)
    assert ends() == [start + timedelta(hours=3), None]
    clock.advance(timedelta(hours=1))
    with store.write() as tx:
        registry.rotate(tx, key.id, overlap=timedelta(hours=8), by=TESTER)
    assert ends() == [start + timedelta(hours=3), start + timedelta(hours=10), None]
    with store.write() as tx:
        rotated = registry.rotate(tx, key.id, by=TESTER)
    assert ends()[:3] == [start + timedelta(hours=2)] * 3
    assert rotated.key.updated_at == clock.now()


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=91)])
def test_overlap_has_bounds(store: Store, registry: KeyRegistry, overlap: timedelta) -> None:
    with store.write() as tx:
        key = registry.create(tx, NewKey(name="a"), by=TESTER).key
        with pytest.raises(InvalidInputError, match="overlap must be 0 to 90 days"):
            registry.rotate(tx, key.id, overlap=overlap, by=TESTER)


def test_a_revoked_key_cannot_be_changed(store: Store, registry: KeyRegistry, clock: HandClock) -> None:
    with store.write() as tx:
        key = registry.create(tx, NewKey(name="a"), by=TESTER).key
        registry.revoke(tx, key.id, by=TESTER)
    revoked_at = clock.now()
    clock.advance(timedelta(hours=1))
    with store.write() as tx:
        assert registry.revoke(tx, key.id, by=TESTER).revoked_at == revoked_at
        with pytest.raises(ConflictError, match="is revoked and cannot be changed"):
            registry.update(tx, key.id, changes=KeyChanges(name="b"), by=TESTER)
        with pytest.raises(ConflictError, match="is revoked and cannot be changed"):
            registry.rotate(tx, key.id, by=TESTER)


def test_an_absent_key(store: Store, registry: KeyRegistry) -> None:
    with store.write() as tx:
        with pytest.raises(NotFoundError):
            registry.update(tx, "key_absent", changes=KeyChanges(name="b"), by=TESTER)
        with pytest.raises(NotFoundError):
            registry.rotate(tx, "key_absent", by=TESTER)
        with pytest.raises(NotFoundError):
            registry.revoke(tx, "key_absent", by=TESTER)
    assert revision(store) == 0


def test_every_change_is_audited(store: Store, registry: KeyRegistry, clock: HandClock) -> None:
    ends = clock.now() + timedelta(days=1)
    with store.write() as tx:
        issued = registry.create(tx, NewKey(name="a", models=["m"], expires_at=ends), by=TESTER)
        key = issued.key
        registry.update(tx, key.id, changes=KeyChanges(name="b", models=["m"]), by=TESTER)
        rotated = registry.rotate(tx, key.id, overlap=timedelta(hours=2), by=TESTER)
        registry.revoke(tx, key.id, by=TESTER)
        registry.revoke(tx, key.id, by=TESTER)
    public_ids = [parts.public_id for one in (issued, rotated) if (parts := parse(one.token))]
    created = {
        "name": "a",
        "project": "default",
        "models": ["m"],
        "metadata": None,
        "limits": None,
        "expires_at": "2026-03-02T12:00:00Z",
        "revoked_at": None,
        "public_id": public_ids[0],
    }
    entries = [one for one in audited(store) if one.target.kind == "key"]
    assert [(one.action, one.before, one.after) for one in entries] == [
        ("key.create", None, created),
        ("key.update", {"name": "a"}, {"name": "b"}),
        ("key.rotate", None, {"public_id": public_ids[1], "older_end_at": "2026-03-01T14:00:00Z"}),
        ("key.revoke", {"revoked_at": None}, {"revoked_at": "2026-03-01T12:00:00Z"}),
    ]
    assert {(one.actor, one.target.id) for one in entries} == {(TESTER, key.id)}
    with store.read() as tx:
        stored = str(tx.execute(select(audit_entry)).all())
    for one in (issued, rotated):
        secret = parse(one.token)
        assert secret is not None
        assert secret.secret not in stored


def test_what_is_refused_is_not_audited(store: Store, registry: KeyRegistry) -> None:
    with store.write() as tx:
        key = registry.create(tx, NewKey(name="a"), by=TESTER).key
        registry.update(tx, key.id, changes=KeyChanges(), by=TESTER)
        registry.revoke(tx, key.id, by=TESTER)
        with pytest.raises(ConflictError):
            registry.rotate(tx, key.id, by=TESTER)
        with pytest.raises(NotFoundError):
            registry.update(tx, "key_absent", changes=KeyChanges(name="b"), by=TESTER)
    assert [one.action for one in audited(store) if one.target.kind == "key"] == ["key.create", "key.revoke"]
