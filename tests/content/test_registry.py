"""Who sees content, what deletes it, when it expires; on SQLite and PostgreSQL."""

import os
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select, text, update

from service.audit.trail import AuditTrail
from service.content import registry as module
from service.content.captured import ContentFilter, SealedContent, insert_content
from service.content.policy import Capture
from service.content.registry import ContentRegistry
from service.content.vault import Vault
from service.errors import ContentUnreadableError, InvalidInputError, NotFoundError
from service.keys.projects import NewProject, ProjectChanges, ProjectRegistry
from service.store.content_tables import captured_content
from service.store.engine import Store
from tests.content.conftest import Put, put_into
from tests.support.audit import TESTER, audited
from tests.support.clock import HandClock

DAY = timedelta(days=1)


def rows(store: Store) -> list[SealedContent]:
    with store.read() as tx:
        found = tx.execute(select(captured_content).order_by(captured_content.c.captured_at)).mappings()
        return [SealedContent(**row) for row in found]


def read(registry: ContentRegistry, store: Store, identifier: object) -> str:
    with store.write() as tx:
        return registry.read(tx, str(identifier), by=TESTER).content.request.text


def test_read_by_the_id_of_the_request_or_of_the_record(
    registry: ContentRegistry, store: Store, put: Put
) -> None:
    row = put("hello", end_user="joe")
    put("other")
    with store.write() as tx:
        shown = registry.read(tx, str(row.request_id), by=TESTER)
    assert shown.content.request.text == '{"said":"hello"}'
    assert shown.content.answer is not None
    assert shown.content.answer.text == '{"said":"re: hello"}'
    assert (shown.project, shown.key_id, shown.end_user) == ("acme", "key_1", "joe")
    assert (shown.record_id, shown.captured_at, shown.expires_at) == (
        row.record_id,
        row.captured_at,
        row.expires_at,
    )
    assert read(registry, store, row.record_id) == '{"said":"hello"}'


def test_every_reading_is_audited(
    registry: ContentRegistry, store: Store, put: Put, trail: AuditTrail
) -> None:
    row = put("hello", end_user="joe")
    read(registry, store, row.record_id)
    [entry] = audited(store, "content.*", trail=trail)
    assert (entry.action, entry.actor, entry.target.id) == ("content.read", TESTER, str(row.request_id))
    assert entry.after == {"project": "acme", "key_id": "key_1", "end_user": "joe"}
    assert "hello" not in str(entry)


def test_what_is_not_there_is_not_found_and_not_audited(
    registry: ContentRegistry, store: Store, trail: AuditTrail
) -> None:
    with pytest.raises(NotFoundError, match="none was captured"):
        read(registry, store, UUID(int=7))
    with pytest.raises(InvalidInputError, match="'nonsense' is not a request id"):
        read(registry, store, "nonsense")
    assert audited(store, trail=trail) == []


def test_content_of_another_row_is_not_shown(
    registry: ContentRegistry, store: Store, put: Put, trail: AuditTrail
) -> None:
    mine, theirs = put("mine", project="acme"), put("theirs", project="rival")
    with store.write() as tx:
        this = captured_content.c.record_id == mine.record_id
        tx.execute(update(captured_content).where(this).values(sealed=theirs.sealed))
    with pytest.raises(ContentUnreadableError):
        read(registry, store, mine.record_id)
    assert audited(store, trail=trail) == []


def test_the_same_row_twice_is_one(store: Store, put: Put) -> None:
    row = put("hello")
    with store.write() as tx:
        insert_content(tx, [row, row])
    assert rows(store) == [row]


def test_deletion_by_end_user_leaves_everybody_else(
    registry: ContentRegistry, store: Store, put: Put, trail: AuditTrail
) -> None:
    put("a", end_user="joe")
    put("b", end_user="joe", project="rival")
    kept = [put("c", end_user="jo"), put("d"), put("e", end_user="joe ")]
    assert registry.delete(store, ContentFilter(end_user="joe"), by=TESTER) == 2
    assert {row.record_id for row in rows(store)} == {row.record_id for row in kept}
    [entry] = audited(store, "content.delete", trail=trail)
    assert (entry.target.name, entry.actor) == ("end_user=joe", TESTER)
    assert entry.before == {"end_user": "joe", "project": None, "key_id": None, "before": None, "requests": 2}


def test_an_end_user_of_one_tenant_is_not_that_of_another(
    registry: ContentRegistry, store: Store, put: Put
) -> None:
    put("a", end_user="42", project="acme")
    theirs = put("b", end_user="42", project="rival")
    assert registry.delete(store, ContentFilter(end_user="42", project="acme"), by=TESTER) == 1
    assert rows(store) == [theirs]


def test_deletion_by_project_key_and_age(
    registry: ContentRegistry, store: Store, put: Put, clock: HandClock
) -> None:
    put("old")
    clock.advance(DAY)
    noon = clock.now()
    put("exactly then", key_id="key_2")
    put("rival", project="rival")
    assert registry.delete(store, ContentFilter(before=noon), by=TESTER) == 1
    assert registry.delete(store, ContentFilter(key_id="key_2"), by=TESTER) == 1
    assert registry.delete(store, ContentFilter(project="acme"), by=TESTER) == 0
    assert [row.project for row in rows(store)] == ["rival"]


@pytest.mark.parametrize("wanted", [ContentFilter(), ContentFilter(end_user="a\x00")])
def test_a_deletion_says_whose(
    registry: ContentRegistry, store: Store, put: Put, wanted: ContentFilter
) -> None:
    put("a")
    with pytest.raises(InvalidInputError):
        registry.delete(store, wanted, by=TESTER)
    assert len(rows(store)) == 1


def test_a_deletion_of_many_takes_many_transactions(
    registry: ContentRegistry, store: Store, put: Put, trail: AuditTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    for _ in range(8):
        put("a")
    put("b", project="rival")
    assert registry.delete(store, ContentFilter(project="acme"), by=TESTER) == 8
    assert len(rows(store)) == 1
    [entry] = audited(store, "content.delete", trail=trail)
    assert entry.before is not None
    assert entry.before["requests"] == 8


def test_what_has_expired_is_not_shown_and_then_purged(
    registry: ContentRegistry, store: Store, put: Put, clock: HandClock
) -> None:
    short, long = put("short", days=1), put("long", days=2)
    clock.advance(DAY - timedelta(microseconds=1))
    assert registry.purge(store) == 0
    assert read(registry, store, short.record_id) == '{"said":"short"}'
    clock.advance(timedelta(microseconds=1))
    with pytest.raises(NotFoundError):
        read(registry, store, short.record_id)
    assert read(registry, store, long.record_id) == '{"said":"long"}'
    assert registry.purge(store) == 1
    assert rows(store) == [long]


def test_a_shorter_retention_holds_for_what_is_there(
    registry: ContentRegistry, store: Store, put: Put, clock: HandClock, trail: AuditTrail
) -> None:
    projects = ProjectRegistry(now=clock.now, random_bytes=os.urandom, trail=trail)
    with store.write() as tx:
        made = projects.create(tx, NewProject(name="acme", capture=Capture(enabled=True)), by=TESTER)
        projects.create(tx, NewProject(name="rival", capture=Capture(enabled=True)), by=TESTER)
    mine, theirs = put("mine"), put("theirs", project="rival")
    clock.advance(3 * DAY)
    with store.write() as tx:
        less = ProjectChanges(capture=Capture(enabled=False, retention_days=3))
        projects.update(tx, made.id, changes=less, by=TESTER)
    with pytest.raises(NotFoundError):
        read(registry, store, mine.record_id)
    assert registry.purge(store) == 1
    assert rows(store) == [theirs]


def test_a_longer_retention_does_not_bring_back_what_was_promised_to_go(
    registry: ContentRegistry, store: Store, put: Put, clock: HandClock, trail: AuditTrail
) -> None:
    projects = ProjectRegistry(now=clock.now, random_bytes=os.urandom, trail=trail)
    with store.write() as tx:
        capture = Capture(enabled=True, retention_days=90)
        projects.create(tx, NewProject(name="acme", capture=capture), by=TESTER)
    put("mine", days=1)
    clock.advance(DAY)
    assert registry.purge(store) == 1


def test_counts(registry: ContentRegistry, store: Store, put: Put, clock: HandClock) -> None:
    first = put("a")
    clock.advance(DAY)
    second = put("b")
    third = put("c", project="rival")
    with store.read() as tx:
        acme, rival = registry.count(tx)
    assert (acme.project, acme.requests, acme.bytes) == ("acme", 2, len(first.sealed) + len(second.sealed))
    assert (acme.oldest, acme.newest) == (first.captured_at, second.captured_at)
    assert (rival.project, rival.requests, rival.bytes) == ("rival", 1, len(third.sealed))


def test_a_new_key_seals_everything_anew(
    registry: ContentRegistry, store: Store, put: Put, trail: AuditTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 20)
    before = {put(str(number)).record_id: str(number) for number in range(5)}
    sealed = {row.record_id: row.sealed for row in rows(store)}
    assert registry.rotate(store, by=TESTER) == 5
    assert {row.sealed_with for row in rows(store)} == {2}
    assert all(sealed[row.record_id] != row.sealed for row in rows(store))
    assert {key: read(registry, store, key) for key in before} == {
        key: f'{{"said":"{number}"}}' for key, number in before.items()
    }
    late = put("late, by a relay that had not heard of it")
    assert registry.rotate(store, by=TESTER) == 6
    assert {row.sealed_with for row in rows(store)} == {3}
    assert read(registry, store, late.record_id).startswith('{"said":"late')
    assert [entry.after for entry in audited(store, "content.rotate_key", trail=trail)] == [
        {"generation": 2},
        {"generation": 3},
    ]


def test_whether_there_is_content(
    registry: ContentRegistry, store: Store, put: Put, trail: AuditTrail
) -> None:
    row = put("a")
    with store.read() as tx:
        assert registry.has(tx, str(row.request_id))
        assert not registry.has(tx, str(UUID(int=7)))
    assert audited(store, trail=trail) == []


def test_deleted_content_is_not_in_the_file_any_more(
    sqlite_store: Store, registry: ContentRegistry, vault: Vault, clock: HandClock
) -> None:
    row = put_into(sqlite_store, vault, "a" * 10, clock=clock)
    path = Path(str(sqlite_store.url.database))
    _checkpoint(sqlite_store)
    assert row.sealed[-40:] in path.read_bytes()
    registry.delete(sqlite_store, ContentFilter(project="acme"), by=TESTER)
    _checkpoint(sqlite_store)
    assert row.sealed[-40:] not in path.read_bytes()


def _checkpoint(store: Store) -> None:
    with store.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(
            text("PRAGMA wal_checkpoint(TRUNCATE)")
        )
