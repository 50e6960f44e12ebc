"""Admin keys in the store: create, list, find, revoke. Methods take the caller's transaction, as in `registry`.

Every change is audited. The configured admin key (TOLLKEEPER_ADMIN_KEY) is not among them: it ends with the setting.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec
from sqlalchemy import Connection, insert, select, update

from service.audit.actor import Actor, Target
from service.audit.trail import AuditTrail
from service.errors import ConflictError, InvalidInputError, NotFoundError
from service.keys.secrets import Peppers
from service.keys.token import RandomBytes, digest, mint
from service.keys.values import AdminKey, Role, check_name
from service.store.revision import bump_revision, lock_revision
from service.store.tables import admin_key


class IssuedAdminKey(msgspec.Struct, frozen=True):
    """An admin key and its text, which nothing can show again."""

    key: AdminKey
    token: str

    def __repr__(self) -> str:
        return f"IssuedAdminKey({self.key.public_id})"


class AdminKeyRegistry:
    """The admin keys of a store, beside the configured one."""

    def __init__(
        self, peppers: Peppers, *, trail: AuditTrail, now: Callable[[], datetime], random_bytes: RandomBytes
    ) -> None:
        self._peppers = peppers
        self._trail = trail
        self._now = now
        self._random_bytes = random_bytes

    def create(self, tx: Connection, *, name: str, role: Role, by: Actor) -> IssuedAdminKey:
        """A new admin key."""
        check_name(name, field="name")
        if role not in ("admin", "viewer"):
            raise InvalidInputError("role must be admin or viewer", field="role")
        token = mint(self._random_bytes, kind="tka")
        key = AdminKey(
            public_id=token.public_id, name=name, role=role, created_at=self._now(), revoked_at=None
        )
        secret = digest(self._peppers.admin, token.secret)
        tx.execute(insert(admin_key).values(**msgspec.structs.asdict(key), digest=secret))
        bump_revision(tx)
        after = {"name": name, "role": role}
        self._trail.record(
            tx, by=by, action="admin_key.create", target=_target(key), before=None, after=after
        )
        return IssuedAdminKey(key, token.text)

    def list(self, tx: Connection) -> list[AdminKey]:
        """All of them, oldest first; there are few."""
        order = (admin_key.c.created_at, admin_key.c.public_id)
        return [AdminKey(**dict(row)) for row in tx.execute(_ALL.order_by(*order)).mappings()]

    def get(self, tx: Connection, public_id: str) -> AdminKey:
        """The admin key with this id."""
        row = None
        if public_id.isprintable():  # the store cannot be asked for every text
            row = tx.execute(_ALL.where(admin_key.c.public_id == public_id)).mappings().first()
        if row is None:
            raise NotFoundError(
                f"no admin key has the id {public_id[:100]!r}; see: tollkeeper admin-keys list"
            )
        return AdminKey(**dict(row))

    def find(self, tx: Connection, id_or_name: str) -> AdminKey:
        """The admin key with this id, or the only one with this name that is not revoked."""
        keys = self.list(tx)
        named = [key for key in keys if key.name == id_or_name and key.revoked_at is None]
        if not any(key.public_id == id_or_name for key in keys) and named:
            if len(named) > 1:
                ids = ", ".join(key.public_id for key in named[:5])
                raise ConflictError(f"{len(named)} admin keys are named {id_or_name!r}; use an id: {ids}")
            return named[0]
        return self.get(tx, id_or_name)

    def revoke(self, tx: Connection, public_id: str, *, by: Actor) -> AdminKey:
        """End the admin key for good; doing so twice changes nothing."""
        lock_revision(tx)
        key = self.get(tx, public_id)
        if key.revoked_at is not None:
            return key
        revoked = msgspec.structs.replace(key, revoked_at=self._now())
        this = admin_key.c.public_id == public_id
        tx.execute(update(admin_key).where(this).values(revoked_at=revoked.revoked_at))
        bump_revision(tx)
        was, is_now = {"revoked_at": None}, {"revoked_at": revoked.revoked_at}
        self._trail.record(
            tx, by=by, action="admin_key.revoke", target=_target(key), before=was, after=is_now
        )
        return revoked


def _target(key: AdminKey) -> Target:
    return Target("admin_key", key.public_id, key.name)


_ALL = select(*(admin_key.c[name] for name in AdminKey.__struct_fields__))
