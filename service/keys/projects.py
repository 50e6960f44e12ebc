"""Projects in the store: create, list, show, update, archive, restore. Virtual keys are their members.

A project's name is in every record, price and budget that belongs to it, so it never changes. A key that names a
project which is not there makes it (`ensure`). Keys of an archived project are refused until it is restored.

Methods take the caller's transaction and never commit. Each change is audited, and bumps the configuration revision
where relays have to know, in the same transaction.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, RowMapping, func, insert, or_, select, tuple_, update

from service.audit.actor import Actor, Target
from service.audit.trail import AuditTrail
from service.audit.values import difference
from service.content.policy import Capture, capture_as_stored, check_capture
from service.errors import ConflictError, NotFoundError
from service.keys.ids import sortable_id
from service.keys.token import RandomBytes
from service.keys.values import Limits, check_fields, limits_as_stored
from service.settings.redaction import BUILT_IN
from service.store.project_tables import project as project_table
from service.store.revision import bump_revision, lock_revision
from service.store.tables import virtual_key

_PROJECT = project_table.c
_ID = re.compile(r"prj_[0-9A-Za-z]{1,36}", re.ASCII)


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project. *limits* hold for all its keys together; *capture* says what is kept of content, None nothing."""

    id: str
    name: str
    metadata: dict[str, Any] | None
    limits: dict[str, int] | None
    capture: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None


class NewProject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new project is made of."""

    name: str
    metadata: dict[str, Any] | None = None
    limits: Limits | None = None
    capture: Capture | None = None


class ProjectChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes on a project; UNSET fields stay, None clears."""

    metadata: dict[str, Any] | UnsetType | None = UNSET
    limits: Limits | UnsetType | None = UNSET
    capture: Capture | UnsetType | None = UNSET


class ProjectRegistry:
    """The projects of a store. *now* is the wall clock (UTC); *redactions* what can be redacted of content."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        random_bytes: RandomBytes,
        trail: AuditTrail,
        redactions: Collection[str] = BUILT_IN,
    ) -> None:
        self._now = now
        self._random_bytes = random_bytes
        self._trail = trail
        self._redactions = redactions

    def create(self, tx: Connection, new: NewProject, *, by: Actor) -> Project:
        """A new project."""
        check_fields(msgspec.structs.asdict(new), now=self._now())
        check_capture(new.capture, known=self._redactions)
        lock_revision(tx)
        if find_project(tx, new.name, by_id=False) is not None:
            raise ConflictError(f"a project is named {new.name!r} already; names are unique")
        return self._insert(tx, new, by=by)

    def ensure(self, tx: Connection, name: str, *, by: Actor) -> Project:
        """The project of this name, made if it is not there; an archived one takes no keys."""
        lock_revision(tx)
        found = find_project(tx, name, by_id=False)
        if found is None:
            return self._insert(tx, NewProject(name=name), by=by)
        if found.archived_at is not None:
            raise ConflictError(
                f"the project {name!r} is archived; restore it: tollkeeper projects restore {found.id}"
            )
        return found

    def list(
        self, tx: Connection, *, limit: int, after: tuple[datetime, str] | None = None, archived: bool = True
    ) -> list[Project]:
        """Newest first; *after* is `created_at` and `id` of the last project of the page before."""
        order = (_PROJECT.created_at, _PROJECT.id)
        query = select(project_table).order_by(*(column.desc() for column in order)).limit(limit)
        if not archived:
            query = query.where(_PROJECT.archived_at.is_(None))
        if after is not None:
            query = query.where(tuple_(*order) < tuple_(*after, types=[column.type for column in order]))
        return [_project(row) for row in tx.execute(query).mappings()]

    def find(self, tx: Connection, id_or_name: str) -> Project:
        """The project with this id or name."""
        found = find_project(tx, id_or_name) if id_or_name.isprintable() else None
        if found is None:
            raise NotFoundError(
                f"no project has the id or name {id_or_name[:200]!r}; see: tollkeeper projects list"
            )
        return found

    def update(self, tx: Connection, project_id: str, *, changes: ProjectChanges, by: Actor) -> Project:
        """Change what *changes* names."""
        given = {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not UNSET}
        check_fields(given, now=self._now())
        lock_revision(tx)
        before = self.find(tx, project_id)
        if "limits" in given:
            given["limits"] = limits_as_stored(given["limits"])
        if "capture" in given:
            check_capture(given["capture"], known=self._redactions)
            given["capture"] = capture_as_stored(given["capture"])
        return self._change(tx, before, given, action="project.update", by=by)

    def archive(self, tx: Connection, project_id: str, *, by: Actor) -> Project:
        """Refuse its keys from now on; doing so twice changes nothing."""
        lock_revision(tx)
        before = self.find(tx, project_id)
        if before.archived_at is not None:
            return before
        return self._change(tx, before, {"archived_at": self._now()}, action="project.archive", by=by)

    def restore(self, tx: Connection, project_id: str, *, by: Actor) -> Project:
        """Take an archived project into use again, with its keys."""
        lock_revision(tx)
        before = self.find(tx, project_id)
        return self._change(tx, before, {"archived_at": None}, action="project.restore", by=by)

    def _insert(self, tx: Connection, new: NewProject, *, by: Actor) -> Project:
        now = self._now()
        made = Project(
            id=sortable_id("prj_", now=now, random_bytes=self._random_bytes),
            name=new.name,
            metadata=new.metadata,
            limits=limits_as_stored(new.limits),
            capture=capture_as_stored(new.capture),
            created_at=now,
            updated_at=now,
            archived_at=None,
        )
        tx.execute(insert(project_table).values(msgspec.structs.asdict(made)))
        target = Target("project", made.id, made.name)
        after = {name: getattr(made, name) for name in ("name", "metadata", "limits", "capture")}
        self._trail.record(tx, by=by, action="project.create", target=target, before=None, after=after)
        return made

    def _change(
        self, tx: Connection, before: Project, values: Mapping[str, Any], *, action: str, by: Actor
    ) -> Project:
        earlier, later = difference({name: getattr(before, name) for name in values}, values)
        if not later:
            return before
        changed = update(project_table).where(_PROJECT.id == before.id)
        tx.execute(changed.values(**later, updated_at=self._now()))
        target = Target("project", before.id, before.name)
        self._trail.record(tx, by=by, action=action, target=target, before=earlier, after=later)
        bump_revision(tx)
        return self.find(tx, before.id)


def find_project(tx: Connection, id_or_name: str, *, by_id: bool = True) -> Project | None:
    """The project with this name, or, unless *by_id* is False, this id."""
    named = _PROJECT.name == id_or_name
    if by_id and _ID.fullmatch(id_or_name):
        named = or_(named, _PROJECT.id == id_or_name)
    found = [_project(row) for row in tx.execute(select(project_table).where(named)).mappings()]
    return next((one for one in found if one.id == id_or_name), found[0] if found else None)


def count_keys(tx: Connection, names: Sequence[str]) -> Mapping[str, int]:
    """How many keys of each of these projects are not revoked."""
    column = virtual_key.c.project
    query = select(column, func.count()).where(column.in_(names), virtual_key.c.revoked_at.is_(None))
    return {row[0]: row[1] for row in tx.execute(query.group_by(column))}


def _project(row: RowMapping) -> Project:
    fields: dict[str, Any] = dict(row)
    return Project(**fields)
