"""Admin keys in the store: create, list, revoke. Methods take the caller's transaction, as in `registry`."""

from collections.abc import Callable
from datetime import datetime

import msgspec
from sqlalchemy import Connection, insert, select, update

from service.errors import InvalidInputError, NotFoundError
from service.keys.secrets import Peppers
from service.keys.token import RandomBytes, digest, mint
from service.keys.values import AdminKey, Role, check_name
from service.store.revision import bump_revision
from service.store.tables import admin_key


class IssuedAdminKey(msgspec.Struct, frozen=True):
    """An admin key and its text, which nothing can show again."""

    key: AdminKey
    token: str

    def __repr__(self) -> str:
        return f"IssuedAdminKey({self.key.public_id})"


class AdminKeyRegistry:
    """The admin keys of a store, beside the configured one."""

    def __init__(self, peppers: Peppers, *, now: Callable[[], datetime], random_bytes: RandomBytes) -> None:
        self._peppers = peppers
        self._now = now
        self._random_bytes = random_bytes

    def create(self, tx: Connection, *, name: str, role: Role) -> IssuedAdminKey:
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
        return IssuedAdminKey(key, token.text)

    def list(self, tx: Connection) -> list[AdminKey]:
        """All of them, oldest first; there are few."""
        names = AdminKey.__struct_fields__
        query = select(*(admin_key.c[name] for name in names))
        rows = tx.execute(query.order_by(admin_key.c.created_at, admin_key.c.public_id)).mappings()
        return [AdminKey(**dict(row)) for row in rows]

    def revoke(self, tx: Connection, public_id: str) -> None:
        """End the admin key for good; doing so twice changes nothing."""
        this = admin_key.c.public_id == public_id
        living = this & admin_key.c.revoked_at.is_(None)
        if tx.execute(update(admin_key).where(living).values(revoked_at=self._now())).rowcount:
            bump_revision(tx)
        elif tx.execute(select(admin_key.c.public_id).where(this)).first() is None:
            raise NotFoundError(f"no admin key has the id {public_id!r}")
