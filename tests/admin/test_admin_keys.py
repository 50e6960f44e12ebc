"""`/admin/v1/admin-keys`."""

from datetime import timedelta

import pytest

from service.keys.token import parse
from tests.admin.conftest import Api, error_of


def test_a_key_is_shown_once_and_works_at_once(api: Api) -> None:
    api.clock.advance(timedelta(minutes=1))
    answer = api.call("POST", "/admin-keys", json={"name": "ops", "role": "viewer"})
    assert answer.status_code == 201
    created = answer.json()
    text = created.pop("key")
    parts = parse(text)
    assert parts is not None
    assert parts.kind == "tka"
    assert created == {
        "public_id": parts.public_id,
        "name": "ops",
        "role": "viewer",
        "created_at": "2026-03-01T12:01:00Z",
        "revoked_at": None,
    }
    assert api.call("GET", "/keys", key=text).status_code == 200
    assert api.call("POST", "/keys", key=text, json={"name": "a"}).status_code == 403
    assert api.get(f"/admin-keys/{parts.public_id}") == created
    listed = api.get("/admin-keys")
    assert [key["name"] for key in listed["data"]] == ["viewer", "ops"]
    assert listed["next"] is None
    assert parts.secret not in str(listed)


def test_revoking_ends_it_at_once(api: Api) -> None:
    created = api.call("POST", "/admin-keys", json={"name": "ops", "role": "admin"}).json()
    path = f"/admin-keys/{created['public_id']}"
    api.clock.advance(timedelta(hours=1))
    for _ in range(2):
        answer = api.call("DELETE", path)
        assert (answer.status_code, answer.json()["revoked_at"]) == (200, "2026-03-01T13:00:00Z")
    assert api.call("GET", "/keys", key=created["key"]).status_code == 401
    assert api.get(path)["revoked_at"] == "2026-03-01T13:00:00Z"
    assert [one["action"] for one in api.get("/audit", target=created["public_id"])["data"]] == [
        "admin_key.revoke",
        "admin_key.create",
    ]


@pytest.mark.parametrize("key_id", ["absent", "configured", "%00"])
def test_an_absent_key(api: Api, key_id: str) -> None:
    for method in ("GET", "DELETE"):
        answer = api.call(method, f"/admin-keys/{key_id}")
        assert (answer.status_code, error_of(answer)["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "a"}, "role"),
        ({"role": "admin"}, "name"),
        ({"name": "", "role": "admin"}, "name"),
        ({"name": "a", "role": "owner"}, "role"),
        ({"name": "a", "role": None}, "role"),
        ({"name": 7, "role": "admin"}, "name"),
        ([], None),
    ],
)
def test_what_cannot_be_is_refused(sqlite_api: Api, body: object, param: str | None) -> None:
    answer = sqlite_api.call("POST", "/admin-keys", json=body)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)
    assert len(sqlite_api.get("/admin-keys")["data"]) == 1
