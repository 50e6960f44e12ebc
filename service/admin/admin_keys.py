"""`/admin/v1/admin-keys`: the keys of this API. A key's text is in the answer to POST, and in no other."""

from typing import Annotated

import msgspec
from litestar import delete, get, post
from litestar.params import JSONBody, PathParameter

from service.admin.injection import Admin, By
from service.admin.paging import Page
from service.keys.values import AdminKey, Role

CREATED = 201
OK = 200
KeyId = Annotated[str, PathParameter(description="The admin key's public id.")]


class NewAdminKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new admin key is made of."""

    name: str
    role: Role


class IssuedAdminKeyView(AdminKey, frozen=True, kw_only=True):
    """An admin key with its text, which no later answer repeats."""

    key: str


@post("/admin-keys", sync_to_thread=True, status_code=CREATED, summary="Create an admin key")
def create_admin_key(admin: Admin, by: By, *, data: JSONBody[NewAdminKey]) -> IssuedAdminKeyView:
    """The answer holds `key`, the text that its holder sends. It cannot be shown again."""
    with admin.store.write() as tx:
        issued = admin.admin_keys.create(tx, name=data.name, role=data.role, by=by)
    admin.take_over()
    return IssuedAdminKeyView(**msgspec.structs.asdict(issued.key), key=issued.token)


@get("/admin-keys", sync_to_thread=True, summary="List admin keys, oldest first")
def list_admin_keys(admin: Admin) -> Page[AdminKey]:
    """Revoked ones too. The key of the settings, TOLLKEEPER_ADMIN_KEY, is not among them."""
    with admin.store.read() as tx:
        return Page(admin.admin_keys.list(tx), None)


@get("/admin-keys/{public_id:str}", sync_to_thread=True, summary="Show an admin key")
def show_admin_key(admin: Admin, public_id: KeyId) -> AdminKey:
    """Without its text, which nothing can show again."""
    with admin.store.read() as tx:
        return admin.admin_keys.get(tx, public_id)


@delete("/admin-keys/{public_id:str}", sync_to_thread=True, status_code=OK, summary="Revoke an admin key")
def revoke_admin_key(admin: Admin, by: By, *, public_id: KeyId) -> AdminKey:
    """It stops working on every relay within 2 seconds, for good."""
    with admin.store.write() as tx:
        revoked = admin.admin_keys.revoke(tx, public_id, by=by)
    admin.take_over()
    return revoked
