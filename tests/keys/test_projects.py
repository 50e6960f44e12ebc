"""Projects in the store: made, changed, archived, restored, and made by the keys that name them."""

import random
from datetime import timedelta

import pytest

from service.audit.trail import AuditFilter
from service.errors import ConflictError, InvalidInputError, NotFoundError
from service.keys.projects import NewProject, ProjectChanges, ProjectRegistry, count_keys
from service.keys.registry import KeyRegistry
from service.keys.values import KeyChanges, Limits, NewKey
from service.store.engine import Store
from service.store.revision import read_revision
from tests.support.audit import TESTER, TRAIL
from tests.support.clock import HandClock


@pytest.fixture
def projects(clock: HandClock) -> ProjectRegistry:
    return ProjectRegistry(now=clock.now, random_bytes=random.Random(3).randbytes, trail=TRAIL)


def revision(store: Store) -> int:
    with store.read() as tx:
        return read_revision(tx)


def actions(store: Store) -> list[str]:
    with store.read() as tx:
        found = TRAIL.list(tx, AuditFilter(target_kind="project"), limit=99)
    return [entry.action for entry in reversed(found)]


def test_a_project_is_kept_as_it_was_given(store: Store, projects: ProjectRegistry, clock: HandClock) -> None:
    with store.write() as tx:
        made = projects.create(
            tx, NewProject(name="search", metadata={"a": 1}, limits=Limits(rpm=5)), by=TESTER
        )
    with store.read() as tx:
        assert projects.find(tx, made.id) == projects.find(tx, "search") == made
    assert (made.name, made.metadata, made.limits) == ("search", {"a": 1}, {"rpm": 5})
    assert (made.created_at, made.archived_at) == (clock.now(), None)


def test_an_id_goes_before_a_name_that_looks_like_one(store: Store, projects: ProjectRegistry) -> None:
    with store.write() as tx:
        first = projects.create(tx, NewProject(name="first"), by=TESTER)
        projects.create(tx, NewProject(name=first.id), by=TESTER)
    with store.read() as tx:
        assert projects.find(tx, first.id) == first


def test_names_are_unique(store: Store, projects: ProjectRegistry) -> None:
    with store.write() as tx:
        projects.create(tx, NewProject(name="search"), by=TESTER)
    with pytest.raises(ConflictError, match="'search' already"), store.write() as tx:
        projects.create(tx, NewProject(name="search"), by=TESTER)


def test_a_key_makes_its_project_once(store: Store, registry: KeyRegistry, projects: ProjectRegistry) -> None:
    with store.write() as tx:
        key = registry.create(tx, NewKey(name="a", project="search"), by=TESTER).key
        registry.create(tx, NewKey(name="b", project="search"), by=TESTER)
        registry.update(tx, key.id, changes=KeyChanges(project="other"), by=TESTER)
        registry.update(tx, key.id, changes=KeyChanges(name="c"), by=TESTER)
        assert count_keys(tx, ["search", "other", "none"]) == {"search": 1, "other": 1}
        registry.revoke(tx, key.id, by=TESTER)
        assert count_keys(tx, ["search", "other"]) == {"search": 1}
        assert {found.name for found in projects.list(tx, limit=9)} == {"search", "other"}
    assert actions(store) == ["project.create"] * 2


def test_an_archived_project_takes_no_keys(
    store: Store, registry: KeyRegistry, projects: ProjectRegistry
) -> None:
    with store.write() as tx:
        made = projects.ensure(tx, "search", by=TESTER)
        projects.archive(tx, made.id, by=TESTER)
        key = registry.create(tx, NewKey(name="a", project="other"), by=TESTER).key
    with pytest.raises(ConflictError, match="is archived"), store.write() as tx:
        registry.create(tx, NewKey(name="b", project="search"), by=TESTER)
    with pytest.raises(ConflictError, match="is archived"), store.write() as tx:
        registry.update(tx, key.id, changes=KeyChanges(project="search"), by=TESTER)
    with store.write() as tx:
        projects.restore(tx, made.id, by=TESTER)
        registry.update(tx, key.id, changes=KeyChanges(project="search"), by=TESTER)


def test_what_changes_relays_is_a_new_revision_and_what_changes_nothing_is_none(
    store: Store, projects: ProjectRegistry, clock: HandClock
) -> None:
    with store.write() as tx:
        made = projects.ensure(tx, "search", by=TESTER)
    before = revision(store)
    clock.advance(timedelta(seconds=1))
    with store.write() as tx:
        changed = projects.update(tx, made.id, changes=ProjectChanges(limits=Limits(tpm=3)), by=TESTER)
        same = projects.update(tx, made.id, changes=ProjectChanges(limits=Limits(tpm=3)), by=TESTER)
        projects.update(tx, made.id, changes=ProjectChanges(), by=TESTER)
        archived = projects.archive(tx, made.id, by=TESTER)
        assert projects.archive(tx, made.id, by=TESTER) == archived
        projects.restore(tx, made.id, by=TESTER)
        restored = projects.restore(tx, made.id, by=TESTER)
    assert same == changed
    assert (changed.limits, changed.updated_at) == ({"tpm": 3}, clock.now())
    assert (archived.archived_at, restored.archived_at) == (clock.now(), None)
    assert revision(store) == before + 3
    assert actions(store) == ["project.create", "project.update", "project.archive", "project.restore"]


def test_an_update_is_audited_with_what_it_changed(store: Store, projects: ProjectRegistry) -> None:
    with store.write() as tx:
        made = projects.create(tx, NewProject(name="search", limits=Limits(rpm=1)), by=TESTER)
        changes = ProjectChanges(limits=Limits(rpm=2), metadata=None)
        projects.update(tx, made.id, changes=changes, by=TESTER)
        [entry, _made] = TRAIL.list(tx, AuditFilter(target=made.id), limit=9)
    assert (entry.before, entry.after) == ({"limits": {"rpm": 1}}, {"limits": {"rpm": 2}})
    assert (entry.actor, entry.target.name) == (TESTER, "search")


def test_pages_are_newest_first(store: Store, projects: ProjectRegistry, clock: HandClock) -> None:
    made = []
    for number in range(5):
        with store.write() as tx:
            made.append(projects.create(tx, NewProject(name=f"p{number}"), by=TESTER))
        clock.advance(timedelta(seconds=1))
    with store.write() as tx:
        projects.archive(tx, made[4].id, by=TESTER)
        first = projects.list(tx, limit=3, archived=False)
        rest = projects.list(tx, limit=3, archived=False, after=(first[-1].created_at, first[-1].id))
    assert [*first, *rest] == made[3::-1]


@pytest.mark.parametrize("name", ["", " a", "a\n", "a" * 201])
def test_a_name_is_a_label(store: Store, projects: ProjectRegistry, name: str) -> None:
    with pytest.raises(InvalidInputError) as caught, store.write() as tx:
        projects.create(tx, NewProject(name=name), by=TESTER)
    assert caught.value.field == "name"


@pytest.mark.parametrize("name", ["", "prj_x", "\x00", "\ud800", "x' OR 1=1"])
def test_what_is_not_there_is_not_found(store: Store, projects: ProjectRegistry, name: str) -> None:
    for call in (projects.archive, projects.restore):
        with pytest.raises(NotFoundError), store.write() as tx:
            call(tx, name, by=TESTER)
    with pytest.raises(NotFoundError), store.read() as tx:
        projects.find(tx, name)
