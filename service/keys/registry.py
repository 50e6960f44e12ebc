"""Virtual keys in the store: create, list, show, update, rotate, revoke.

Methods take the caller's transaction and never commit. Each change is audited, and bumps the configuration revision,
in the same transaction, so that every relay takes it over. A key's secret leaves this module once, as the return
value of `create` and `rotate`.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, insert, or_, select, tuple_, update

from service.audit.actor import Actor, Target
from service.audit.trail import AuditTrail
from service.audit.values import difference
from service.errors import ConflictError, InvalidInputError, NotFoundError
from service.keys.ids import sortable_id
from service.keys.projects import ProjectRegistry
from service.keys.secrets import Peppers
from service.keys.token import RandomBytes, TokenParts, digest, mint
from service.keys.values import KeyChanges, NewKey, VirtualKey, limits_as_stored
from service.store.revision import bump_revision, lock_revision
from service.store.tables import key_secret, virtual_key

MAX_OVERLAP = timedelta(days=90)
_KEY_COLUMNS = virtual_key.c
_ID = re.compile(r"key_[0-9A-Za-z]{1,36}", re.ASCII)  # the store cannot be asked for every text


class IssuedKey(msgspec.Struct, frozen=True):
    """A virtual key and its text, which nothing can show again."""

    key: VirtualKey
    token: str

    def __repr__(self) -> str:
        return f"IssuedKey({self.key.id})"


class KeyRegistry:
    """The virtual keys of a store. *now* is the wall clock (UTC)."""

    def __init__(
        self, peppers: Peppers, *, trail: AuditTrail, now: Callable[[], datetime], random_bytes: RandomBytes
    ) -> None:
        self._peppers = peppers
        self._trail = trail
        self._now = now
        self._random_bytes = random_bytes
        self._projects = ProjectRegistry(now=now, random_bytes=random_bytes, trail=trail)

    def create(self, tx: Connection, new: NewKey, *, by: Actor) -> IssuedKey:
        """A new key with its first secret."""
        now = self._now()
        new.checked(now)
        lock_revision(tx)
        self._projects.ensure(tx, new.project, by=by)
        key = VirtualKey(
            id=sortable_id("key_", now=now, random_bytes=self._random_bytes),
            name=new.name,
            project=new.project,
            models=new.models,
            metadata=new.metadata,
            limits=limits_as_stored(new.limits),
            expires_at=None if new.expires_at is None else new.expires_at.astimezone(UTC),
            revoked_at=None,
            created_at=now,
            updated_at=now,
        )
        tx.execute(insert(virtual_key).values(msgspec.structs.asdict(key)))
        token = self._issue(tx, key.id, now=now)
        after = {**_facts(key), "public_id": token.public_id}
        self._trail.record(tx, by=by, action="key.create", target=_target(key), before=None, after=after)
        return IssuedKey(key, token.text)

    def list(
        self,
        tx: Connection,
        *,
        limit: int,
        after: tuple[datetime, str] | None = None,
        project: str | None = None,
    ) -> list[VirtualKey]:
        """Newest first, of one *project* or of all; *after* is `created_at` and `id` of the last key shown."""
        order = (_KEY_COLUMNS.created_at, _KEY_COLUMNS.id)
        query = select(virtual_key).order_by(*(column.desc() for column in order)).limit(limit)
        if project is not None:
            query = query.where(_KEY_COLUMNS.project == project)
        if after is not None:
            query = query.where(tuple_(*order) < tuple_(*after, types=[column.type for column in order]))
        return [_key(row) for row in tx.execute(query).mappings()]

    def get(self, tx: Connection, key_id: str) -> VirtualKey:
        """The key with this id."""
        return _get(tx, key_id)

    def find(self, tx: Connection, id_or_name: str) -> VirtualKey:
        """The key with this id, or the only one with this name; a revoked one if no other has it."""
        if not id_or_name.isprintable():
            raise NotFoundError(f"no key has the id or name {id_or_name[:100]!r}")
        named = or_(_KEY_COLUMNS.id == id_or_name, _KEY_COLUMNS.name == id_or_name)
        found = [_key(row) for row in tx.execute(select(virtual_key).where(named).limit(100)).mappings()]
        exact = [key for key in found if key.id == id_or_name]
        candidates = exact or [key for key in found if key.revoked_at is None] or found
        if not candidates:
            raise NotFoundError(f"no key has the id or name {id_or_name!r}; see: tollkeeper keys list")
        if len(candidates) > 1:
            ids = ", ".join(key.id for key in candidates[:5])
            raise ConflictError(f"{len(candidates)} keys are named {id_or_name!r}; use an id: {ids}")
        return candidates[0]

    def update(self, tx: Connection, key_id: str, *, changes: KeyChanges, by: Actor) -> VirtualKey:
        """Change what *changes* names."""
        now = self._now()
        values = changes.checked(now)
        key = self._living(tx, key_id)
        if not values:
            return key
        if "project" in values:
            self._projects.ensure(tx, values["project"], by=by)
        if "limits" in values:
            values["limits"] = limits_as_stored(values["limits"])
        tx.execute(update(virtual_key).where(_KEY_COLUMNS.id == key_id).values(**values, updated_at=now))
        bump_revision(tx)
        changed = _get(tx, key_id)
        was, is_now = difference(_facts(key), _facts(changed))
        self._trail.record(tx, by=by, action="key.update", target=_target(changed), before=was, after=is_now)
        return changed

    def rotate(
        self, tx: Connection, key_id: str, *, by: Actor, overlap: timedelta = timedelta(0)
    ) -> IssuedKey:
        """A new secret; the ones before it work for *overlap* more, if they would have worked so long."""
        if not timedelta(0) <= overlap <= MAX_OVERLAP:
            raise InvalidInputError(f"overlap must be 0 to {MAX_OVERLAP.days} days", field="overlap")
        now = self._now()
        key = self._living(tx, key_id)
        ends = now + overlap
        outlasting = or_(key_secret.c.expires_at.is_(None), key_secret.c.expires_at > ends)
        tx.execute(
            update(key_secret).where(key_secret.c.key_id == key_id, outlasting).values(expires_at=ends)
        )
        tx.execute(update(virtual_key).where(_KEY_COLUMNS.id == key_id).values(updated_at=now))
        token = self._issue(tx, key_id, now=now)
        after = {"public_id": token.public_id, "older_end_at": ends}
        self._trail.record(tx, by=by, action="key.rotate", target=_target(key), before=None, after=after)
        return IssuedKey(msgspec.structs.replace(key, updated_at=now), token.text)

    def revoke(self, tx: Connection, key_id: str, *, by: Actor) -> VirtualKey:
        """End the key for good; doing so twice changes nothing."""
        lock_revision(tx)
        key = _get(tx, key_id)
        now = self._now()
        living = (_KEY_COLUMNS.id == key_id) & _KEY_COLUMNS.revoked_at.is_(None)
        changed = tx.execute(update(virtual_key).where(living).values(revoked_at=now, updated_at=now))
        if changed.rowcount:
            bump_revision(tx)
            was, is_now = {"revoked_at": None}, {"revoked_at": now}
            self._trail.record(tx, by=by, action="key.revoke", target=_target(key), before=was, after=is_now)
        return _get(tx, key_id)

    def _living(self, tx: Connection, key_id: str) -> VirtualKey:
        """The key, while no other transaction changes one."""
        lock_revision(tx)
        key = _get(tx, key_id)
        if key.revoked_at is not None:
            raise ConflictError(f"the key {key_id} is revoked and cannot be changed; create another")
        return key

    def _issue(self, tx: Connection, key_id: str, *, now: datetime) -> TokenParts:
        token = mint(self._random_bytes)
        row = {
            "public_id": token.public_id,
            "key_id": key_id,
            "digest": digest(self._peppers.virtual, token.secret),
            "created_at": now,
        }
        tx.execute(insert(key_secret).values(row))
        bump_revision(tx)
        return token


def _target(key: VirtualKey) -> Target:
    return Target("key", key.id, key.name)


def _facts(key: VirtualKey) -> dict[str, Any]:
    """What the audit log says of a key."""
    facts = msgspec.structs.asdict(key)
    del facts["id"], facts["created_at"], facts["updated_at"]
    return facts


def _get(tx: Connection, key_id: str) -> VirtualKey:
    if not _ID.fullmatch(key_id):
        raise NotFoundError(f"no key has the id {key_id[:100]!r}")
    row = tx.execute(select(virtual_key).where(_KEY_COLUMNS.id == key_id)).mappings().first()
    if row is None:
        raise NotFoundError(f"no key has the id {key_id!r}")
    return _key(row)


def _key(row: RowMapping) -> VirtualKey:
    fields: dict[str, Any] = dict(row)
    return VirtualKey(**fields)
