"""`/admin/v1/projects`."""

from datetime import timedelta
from typing import Any

import pytest

from service.audit.trail import AuditFilter
from service.keys.snapshot import KeyGrant, KeyRefusal, KeySnapshot
from service.keys.values import Limits
from service.store.revision import read_revision
from tests.admin.conftest import Api, error_of


def made(api: Api, **fields: Any) -> dict[str, Any]:
    answer = api.call("POST", "/projects", json={"name": "search", **fields})
    assert answer.status_code == 201, answer.text
    project: dict[str, Any] = answer.json()
    return project


def revision(api: Api) -> int:
    with api.store.read() as tx:
        return read_revision(tx)


def test_a_project_is_kept_as_it_was_given(api: Api) -> None:
    project = made(api, metadata={"cost_centre": 7}, limits={"rpm": 600, "tpm": 90_000, "concurrency": 4})
    assert project["id"].startswith("prj_")
    assert project == {
        "id": project["id"],
        "name": "search",
        "metadata": {"cost_centre": 7},
        "limits": {"rpm": 600, "tpm": 90_000, "concurrency": 4},
        "capture": None,
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": "2026-03-01T12:00:00Z",
        "archived_at": None,
        "keys": 0,
    }
    assert api.get(f"/projects/{project['id']}") == api.get("/projects/search") == project


def test_its_keys_are_its_members(api: Api) -> None:
    project = made(api)
    first = api.create(project="search")
    api.create(project="search")
    api.create(project="other")
    assert api.call("DELETE", f"/keys/{first['id']}").status_code == 200
    assert api.get(f"/projects/{project['id']}")["keys"] == 1
    assert {one["name"]: one["keys"] for one in api.get("/projects")["data"]} == {"search": 1, "other": 1}


def test_names_are_unique_and_a_key_makes_its_project(api: Api) -> None:
    api.create(project="search")
    refused = api.call("POST", "/projects", json={"name": "search"})
    assert (refused.status_code, error_of(refused)["code"]) == (409, "conflict")
    [only] = api.get("/projects")["data"]
    with api.store.read() as tx:
        entries = api.context.trail.list(tx, AuditFilter(target=only["id"]), limit=9)
    assert [(entry.action, entry.after) for entry in entries] == [
        ("project.create", {"capture": None, "limits": None, "metadata": None, "name": "search"})
    ]
    assert entries[0].actor.kind == "admin_key"


def test_patch_changes_what_it_names_and_relays_hear_of_it(api: Api) -> None:
    project = made(api, metadata={"a": 1}, limits={"rpm": 5})
    before = revision(api)
    answer = api.call("PATCH", f"/projects/{project['id']}", json={"limits": {"tpm": 9}})
    assert (answer.status_code, answer.json()["limits"], answer.json()["metadata"]) == (
        200,
        {"tpm": 9},
        {"a": 1},
    )
    assert revision(api) == before + 1
    answer = api.call("PATCH", "/projects/search", json={"metadata": None, "limits": None})
    assert (answer.json()["limits"], answer.json()["metadata"]) == (None, None)
    again = api.call("PATCH", "/projects/search", json={"limits": None})
    assert again.json() == answer.json()
    assert revision(api) == before + 2


def snapshot(api: Api) -> KeySnapshot:
    found = api.context.refresh()
    assert isinstance(found, KeySnapshot)
    return found


def test_limits_reach_the_relays(api: Api) -> None:
    key = api.create(project="search")["key"]
    answer = api.call("PATCH", "/projects/search", json={"limits": {"rpm": 5}})
    assert answer.status_code == 200
    grant = snapshot(api).authenticate(key, now=api.clock.now())
    assert isinstance(grant, KeyGrant)
    assert (grant.limits, grant.project_limits) == (None, Limits(rpm=5))


def test_keys_of_an_archived_project_are_refused_until_it_is_restored(api: Api) -> None:
    token = api.create(project="search")["key"]
    api.clock.advance(timedelta(minutes=1))
    for _ in range(2):
        answer = api.call("DELETE", "/projects/search")
        assert (answer.status_code, answer.json()["archived_at"]) == (200, "2026-03-01T12:01:00Z")
        api.clock.advance(timedelta(minutes=1))
    assert api.get("/projects", archived=False)["data"] == []
    assert len(api.get("/projects")["data"]) == 1
    refusal = snapshot(api).authenticate(token, now=api.clock.now())
    assert isinstance(refusal, KeyRefusal)
    assert refusal.reason == "revoked"
    refused = api.call("POST", "/keys", json={"name": "b", "project": "search"})
    assert (refused.status_code, error_of(refused)["code"]) == (409, "conflict")
    for _ in range(2):
        assert api.call("POST", "/projects/search/restore").json()["archived_at"] is None
    assert isinstance(snapshot(api).authenticate(token, now=api.clock.now()), KeyGrant)
    with api.store.read() as tx:
        entries = api.context.trail.list(tx, AuditFilter(target="search", target_kind="project"), limit=9)
    assert [entry.action for entry in entries] == ["project.restore", "project.archive", "project.create"]


def test_pages_hold_each_project_once(api: Api) -> None:
    names = [made(api, name=f"p{number}")["name"] for number in range(5)]
    seen, cursor = [], None
    while True:
        page = api.get("/projects", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [project["name"] for project in page["data"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == names


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": " a"}, "name"),
        ({"name": "a\u0000"}, "name"),
        ({"name": "a" * 201}, "name"),
        ({"name": 1}, "name"),
        ({"name": "a", "limits": {"rpm": 0}}, "limits.rpm"),
        ({"name": "a", "limits": {"tpm": 2**31}}, "limits.tpm"),
        ({"name": "a", "limits": {"concurrency": 1.5}}, "limits.concurrency"),
        ({"name": "a", "limits": {"rps": 1}}, "limits.rps"),
        ({"name": "a", "metadata": "x"}, "metadata"),
        ({"name": "a", "metadata": {"x": "y" * 5000}}, "metadata"),
        ({"name": "a", "id": "prj_1"}, "id"),
        ({"name": "a", "archived_at": None}, "archived_at"),
    ],
)
def test_what_cannot_be_is_refused_by_name(sqlite_api: Api, body: Any, param: str) -> None:
    answer = sqlite_api.call("POST", "/projects", json=body)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)


@pytest.mark.parametrize("field", ["name", "id", "archived_at", "keys"])
def test_read_only_fields_cannot_be_set(sqlite_api: Api, field: str) -> None:
    made(sqlite_api)
    answer = sqlite_api.call("PATCH", "/projects/search", json={field: "x"})
    assert (answer.status_code, error_of(answer)["param"]) == (400, field)


@pytest.mark.parametrize("project", ["prj_absent", "%00", "nobody", "%E2%80%A8", "a" * 5000, "' OR 1=1 --"])
def test_a_project_that_is_not_there(api: Api, project: str) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/restore", None),
        ("PATCH", "", {"limits": None}),
    ):
        answer = api.call(method, f"/projects/{project}{path}", json=body)
        assert answer.status_code == 404
        error_of(answer)
