"""What a caller may not set: every field of an answer that no body takes is refused by name, and changes nothing."""

from typing import Any

import msgspec
import pytest

from tests.admin.conftest import Api, error_of


class Resource(msgspec.Struct, frozen=True):
    """A collection, a body that makes one of its things, the id in the answer, and what a change may name."""

    path: str
    body: dict[str, Any]
    id: str = "id"
    change: dict[str, Any] | None = None


RESOURCES = [
    Resource("/keys", {"name": "a"}, change={"name": "b"}),
    Resource("/admin-keys", {"name": "a", "role": "viewer"}, id="public_id"),
    Resource("/projects", {"name": "search"}, change={"metadata": {"team": 1}}),
    Resource(
        "/budgets",
        {"scope": {"kind": "global"}, "limit_usd": "10.00", "window": "month"},
        change={"limit_usd": "20.00"},
    ),
    Resource("/prices", {"model": "m", "input_usd_per_mtok": "1", "output_usd_per_mtok": "2"}),
]
NEVER = {
    "/keys": {"id", "status", "revoked_at", "created_at", "updated_at", "key"},
    "/admin-keys": {"public_id", "created_at", "revoked_at", "key"},
    "/projects": {"id", "created_at", "updated_at", "archived_at"},
    "/budgets": {"id", "spent_usd", "held_usd", "remaining_usd", "resets_at", "created_at", "updated_at"},
    "/prices": {"id", "status", "source", "source_version", "created_at"},
}
SECRETS = ("digest", "secret", "password_hash", "__class__")


def made(api: Api, resource: Resource) -> dict[str, Any]:
    answer = api.call("POST", resource.path, json=resource.body)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.path)
def test_the_fields_below_are_those_of_the_answers(sqlite_api: Api, resource: Resource) -> None:
    assert NEVER[resource.path] - made(sqlite_api, resource).keys() <= {"resets_at"}


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.path)
def test_nothing_read_only_is_taken_by_a_new_one(sqlite_api: Api, resource: Resource) -> None:
    template = made(sqlite_api, resource)
    before = sqlite_api.get(resource.path, limit=100)["data"] if resource.id == "id" else None
    for field in sorted(NEVER[resource.path]) + list(SECRETS):
        body = {**resource.body, field: template.get(field, "x")}
        answer = sqlite_api.call("POST", resource.path, json=body)
        assert (field, answer.status_code, error_of(answer)["param"]) == (field, 400, field)
    if before is not None:
        assert sqlite_api.get(resource.path, limit=100)["data"] == before


@pytest.mark.parametrize(
    "resource", [one for one in RESOURCES if one.change is not None], ids=lambda one: one.path
)
def test_nothing_read_only_is_taken_by_a_change(sqlite_api: Api, resource: Resource) -> None:
    created = made(sqlite_api, resource)
    path = f"{resource.path}/{created[resource.id]}"
    before = sqlite_api.get(path)
    assert resource.change is not None
    for field in sorted(NEVER[resource.path]) + list(SECRETS):
        answer = sqlite_api.call("PATCH", path, json={**resource.change, field: created.get(field, "x")})
        assert (field, answer.status_code, error_of(answer)["param"]) == (field, 400, field)
    assert sqlite_api.get(path) == before
    assert sqlite_api.call("PATCH", path, json=resource.change).status_code == 200


def test_a_name_in_the_path_wins_over_one_in_the_body(sqlite_api: Api) -> None:
    one, other = (sqlite_api.create(name=name) for name in "ab")
    answer = sqlite_api.call("PATCH", f"/keys/{one['id']}", json={"id": other["id"], "name": "c"})
    assert answer.status_code == 400
    assert sqlite_api.get(f"/keys/{other['id']}")["name"] == "b"


def test_who_did_it_cannot_be_said(sqlite_api: Api) -> None:
    for name in ("by", "actor", "admin"):
        assert sqlite_api.call("POST", "/keys", json={"name": "a", name: "somebody"}).status_code == 400
        sqlite_api.call("POST", f"/keys?{name}=somebody", json={"name": "a"})
    actors = {change["actor"]["name"] for change in sqlite_api.get("/audit", action="key.*")["data"]}
    assert actors == {"TOLLKEEPER_ADMIN_KEY"}
