"""Who may call: judged in memory, one answer for every wrong key."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, insert

from service.keys.admin_registry import AdminKeyRegistry
from service.keys.registry import IssuedKey, KeyRegistry
from service.keys.secrets import Peppers
from service.keys.snapshot import AdminGrant, KeyGrant, KeyRefusal, KeySnapshot, load_keys
from service.keys.token import TokenParts, mint, parse
from service.keys.values import KeyChanges, Limits, NewKey
from service.settings import Secret
from service.store.engine import Store
from service.store.project_tables import project
from tests.support.audit import TESTER
from tests.support.clock import HandClock

CONFIGURED = "4fd1bb2e9ac07d35e8f61a90c2b7d4e3"


def loaded(store: Store, peppers: Peppers, *, configured: str | None = None) -> KeySnapshot:
    with store.read() as tx:
        secret = None if configured is None else Secret(configured)
        return load_keys(tx, peppers=peppers, configured_admin=secret)


def created(store: Store, registry: KeyRegistry, new: NewKey | None = None) -> IssuedKey:
    with store.write() as tx:
        return registry.create(tx, new or NewKey(name="app"), by=TESTER)


def refused(found: KeyGrant | KeyRefusal) -> tuple[str, str | None]:
    assert isinstance(found, KeyRefusal)
    return found.reason, found.key_id


def test_a_valid_key(store: Store, registry: KeyRegistry, peppers: Peppers, clock: HandClock) -> None:
    new = NewKey(name="app", project="p", models=["gpt-*"], metadata={"a": 1}, limits=Limits(rpm=3))
    issued = created(store, registry, new)
    grant = loaded(store, peppers).authenticate(issued.token, now=clock.now())
    assert isinstance(grant, KeyGrant)
    assert (grant.key_id, grant.name, grant.project) == (issued.key.id, "app", "p")
    assert (grant.metadata, grant.limits, grant.project_limits) == ({"a": 1}, Limits(rpm=3), None)
    assert grant.allows("gpt-4o")
    assert not grant.allows("o1")


def test_limits_of_the_project_are_beside_those_of_the_key(
    store: Store, registry: KeyRegistry, peppers: Peppers, clock: HandClock
) -> None:
    issued = created(store, registry, NewKey(name="app", project="p", limits=Limits(tpm=9)))
    row = {"id": "prj_1", "name": "p", "limits": {"rpm": 5, "concurrency": 2}}
    other = {"id": "prj_2", "name": "other", "limits": {"rpm": 1}}
    with store.write() as tx:
        tx.execute(delete(project))
        for each in (row, other):
            tx.execute(insert(project).values(**each, created_at=clock.now(), updated_at=clock.now()))
    grant = loaded(store, peppers).authenticate(issued.token, now=clock.now())
    assert isinstance(grant, KeyGrant)
    assert (grant.limits, grant.project_limits) == (Limits(tpm=9), Limits(rpm=5, concurrency=2))


def test_wrong_keys(store: Store, registry: KeyRegistry, peppers: Peppers, clock: HandClock) -> None:
    issued = created(store, registry)
    parts = parse(issued.token)
    assert parts is not None
    snapshot = loaded(store, peppers)
    stranger = mint(lambda length: b"\x01" * length)
    guessed = TokenParts("tk", parts.public_id, stranger.secret)
    as_admin = TokenParts("tka", parts.public_id, parts.secret)
    for bearer, reason in [
        ("", "missing"),
        ("sk-live", "malformed"),
        (issued.token[:-1], "malformed"),
        (as_admin.text, "malformed"),
        (stranger.text, "unknown"),
        (guessed.text, "unknown"),
    ]:
        assert refused(snapshot.authenticate(bearer, now=clock.now())) == (reason, None)
    assert snapshot.authenticate_admin(issued.token) is None


def test_another_pepper_knows_no_key(store: Store, registry: KeyRegistry, clock: HandClock) -> None:
    issued = created(store, registry)
    snapshot = loaded(store, Peppers.of(b"another root secret"))
    assert refused(snapshot.authenticate(issued.token, now=clock.now())) == ("unknown", None)


def test_a_key_expires_while_the_snapshot_stands(
    store: Store, registry: KeyRegistry, peppers: Peppers, clock: HandClock
) -> None:
    end = clock.now() + timedelta(hours=1)
    issued = created(store, registry, NewKey(name="a", expires_at=end))
    snapshot = loaded(store, peppers)
    moment = timedelta(microseconds=1)
    assert isinstance(snapshot.authenticate(issued.token, now=end - moment), KeyGrant)
    assert refused(snapshot.authenticate(issued.token, now=end)) == ("expired", issued.key.id)


def test_a_revoked_key_is_known_but_refused(
    store: Store, registry: KeyRegistry, peppers: Peppers, clock: HandClock
) -> None:
    issued = created(store, registry)
    with store.write() as tx:
        registry.revoke(tx, issued.key.id, by=TESTER)
    snapshot = loaded(store, peppers)
    earlier = clock.now() - timedelta(days=1)  # a relay whose clock is behind
    assert refused(snapshot.authenticate(issued.token, now=earlier)) == ("revoked", issued.key.id)


def test_both_secrets_work_during_the_overlap(
    store: Store, registry: KeyRegistry, peppers: Peppers, clock: HandClock
) -> None:
    issued = created(store, registry)
    with store.write() as tx:
        rotated = registry.rotate(tx, issued.key.id, overlap=timedelta(hours=1), by=TESTER)
    snapshot = loaded(store, peppers)
    assert len(snapshot) == 2
    during, after = clock.now() + timedelta(minutes=59), clock.now() + timedelta(minutes=60)
    assert isinstance(snapshot.authenticate(issued.token, now=during), KeyGrant)
    assert isinstance(snapshot.authenticate(rotated.token, now=after), KeyGrant)
    assert refused(snapshot.authenticate(issued.token, now=after)) == ("expired", issued.key.id)


def test_the_key_s_own_end_counts_when_it_comes_first(
    store: Store, registry: KeyRegistry, peppers: Peppers, clock: HandClock
) -> None:
    issued = created(store, registry)
    end = clock.now() + timedelta(minutes=5)
    with store.write() as tx:
        registry.rotate(tx, issued.key.id, overlap=timedelta(hours=1), by=TESTER)
        registry.update(tx, issued.key.id, changes=KeyChanges(expires_at=end), by=TESTER)
    found = loaded(store, peppers).authenticate(issued.token, now=end)
    assert refused(found) == ("expired", issued.key.id)


@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_stored_admin_keys(
    store: Store, admin_registry: AdminKeyRegistry, peppers: Peppers, role: str
) -> None:
    with store.write() as tx:
        issued = admin_registry.create(
            tx, name="ops", role="admin" if role == "admin" else "viewer", by=TESTER
        )
    snapshot = loaded(store, peppers)
    assert snapshot.authenticate_admin(issued.token) == AdminGrant(
        issued.key.role, "ops", issued.key.public_id
    )
    assert issued.key.role == role
    with store.write() as tx:
        admin_registry.revoke(tx, issued.key.public_id, by=TESTER)
    assert loaded(store, peppers).authenticate_admin(issued.token) is None


def test_the_configured_admin_key(store: Store, peppers: Peppers, clock: HandClock) -> None:
    snapshot = loaded(store, peppers, configured=CONFIGURED)
    assert snapshot.authenticate_admin(CONFIGURED) == AdminGrant(
        "admin", "TOLLKEEPER_ADMIN_KEY", "configured"
    )
    assert refused(snapshot.authenticate(CONFIGURED, now=clock.now())) == ("malformed", None)
    for wrong in ("", CONFIGURED[:-1], CONFIGURED + "0", mint(lambda n: b"\x01" * n, kind="tka").text):
        assert snapshot.authenticate_admin(wrong) is None
    assert loaded(store, peppers).authenticate_admin(CONFIGURED) is None


def test_an_admin_key_opens_no_data_plane(
    store: Store, admin_registry: AdminKeyRegistry, peppers: Peppers, clock: HandClock
) -> None:
    with store.write() as tx:
        issued = admin_registry.create(tx, name="ops", role="admin", by=TESTER)
    found = loaded(store, peppers).authenticate(issued.token, now=clock.now())
    assert refused(found) == ("malformed", None)
