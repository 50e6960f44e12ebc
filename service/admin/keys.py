"""`/admin/v1/keys`: virtual keys. A key's text is in the answer to POST, and in no other."""

from typing import Annotated

from litestar import delete, get, patch, post
from litestar.params import JSONBody, PathParameter, QueryParameter

from service.admin.context import AdminContext
from service.admin.injection import Admin, By
from service.admin.paging import DEFAULT_PAGE, Page, check_limit, read_cursor, write_cursor
from service.admin.schemas import CreatedKeyView, IssuedKeyView, KeyView, RotateKey
from service.budgets import key_budgets
from service.budgets.key_budgets import NewKeyWithBudgets
from service.keys.registry import IssuedKey
from service.keys.values import KeyChanges, parse_duration
from service.reporting.dimensions import require_storable

CREATED = 201
OK = 200
KeyId = Annotated[str, PathParameter(description="The key's id, as `key_…`.")]


@post("/keys", sync_to_thread=True, status_code=CREATED, summary="Create a virtual key")
def create_key(admin: Admin, by: By, *, data: JSONBody[NewKeyWithBudgets]) -> CreatedKeyView:
    """The answer holds `key`, the text that its holder sends. It cannot be shown again.

    The key's budgets are made with it, or nothing is.
    """
    with admin.store.write() as tx:
        made = key_budgets.create_key(tx, data, keys=admin.keys, budgets=admin.budgets, by=by)
        views = key_budgets.views_of(tx, made.budgets, now=admin.now())
    admin.take_over()
    issued = made.issued
    return CreatedKeyView.of(issued.key, now=admin.now(), key=issued.token, budgets=views)


@get("/keys", sync_to_thread=True, summary="List virtual keys, newest first")
def list_keys(
    admin: Admin,
    *,
    project: Annotated[str | None, QueryParameter(description="Only the keys of this project.")] = None,
    limit: Annotated[int, QueryParameter(description="Rows of a page, 1 to 1000.")] = DEFAULT_PAGE,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
) -> Page[KeyView]:
    """Revoked and expired keys are among them."""
    after = read_cursor(cursor)
    if project is not None:
        require_storable(project, field="project")
    with admin.store.read() as tx:
        found = admin.keys.list(tx, limit=check_limit(limit) + 1, after=after, project=project)
    now = admin.now()
    page = [KeyView.of(key, now=now) for key in found[:limit]]
    more = len(found) > limit
    return Page(page, write_cursor(page[-1].created_at, page[-1].id) if more else None)


@get("/keys/{key_id:str}", sync_to_thread=True, summary="Show a virtual key")
def get_key(admin: Admin, key_id: KeyId) -> KeyView:
    """Without its text, which nothing can show again."""
    with admin.store.read() as tx:
        key = admin.keys.get(tx, key_id)
    return KeyView.of(key, now=admin.now())


@patch("/keys/{key_id:str}", sync_to_thread=True, summary="Change a virtual key")
def update_key(admin: Admin, by: By, *, key_id: KeyId, data: JSONBody[KeyChanges]) -> KeyView:
    """Fields that are absent stay; null clears."""
    with admin.store.write() as tx:
        key = admin.keys.update(tx, key_id, changes=data, by=by)
    admin.take_over()
    return KeyView.of(key, now=admin.now())


@delete("/keys/{key_id:str}", sync_to_thread=True, status_code=OK, summary="Revoke a virtual key")
def revoke_key(admin: Admin, by: By, *, key_id: KeyId) -> KeyView:
    """It stops working on every relay within 2 seconds, for good. Its records stay."""
    with admin.store.write() as tx:
        key = admin.keys.revoke(tx, key_id, by=by)
    admin.take_over()
    return KeyView.of(key, now=admin.now())


@post("/keys/{key_id:str}/rotate", sync_to_thread=True, status_code=OK, summary="Give a key a new text")
def rotate_key(
    admin: Admin, by: By, *, key_id: KeyId, data: JSONBody[RotateKey | None] = None
) -> IssuedKeyView:
    """The answer holds the new `key`; the old text works for `overlap` more."""
    overlap = parse_duration((data or RotateKey()).overlap, field="overlap")
    with admin.store.write() as tx:
        issued = admin.keys.rotate(tx, key_id, overlap=overlap, by=by)
    return _issued(admin, issued)


def _issued(admin: AdminContext, issued: IssuedKey) -> IssuedKeyView:
    admin.take_over()
    return IssuedKeyView.of(issued.key, now=admin.now(), key=issued.token)
