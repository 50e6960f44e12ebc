"""`/admin/v1/keys`."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from service.errors import StoreUnavailableError
from service.keys.token import parse
from service.store.revision import read_revision
from tests.admin.conftest import Api, error_of


def test_create_shows_the_key_once(api: Api) -> None:
    created = api.create(
        name="batch",
        project="search",
        models=["gpt-*"],
        metadata={"team": 1},
        limits={"rpm": 60, "concurrency": 2},
        expires_at="2027-01-01T01:00:00+01:00",
    )
    token = created.pop("key")
    assert parse(token) is not None
    assert created.pop("budgets") == []
    assert created == api.get(f"/keys/{created['id']}")
    assert created == {
        "id": created["id"],
        "name": "batch",
        "project": "search",
        "status": "active",
        "models": ["gpt-*"],
        "metadata": {"team": 1},
        "limits": {"rpm": 60, "concurrency": 2},
        "expires_at": "2027-01-01T00:00:00Z",
        "revoked_at": None,
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": "2026-03-01T12:00:00Z",
    }
    assert token.split("_")[2] not in api.call("GET", "/keys").text


def test_pages_hold_each_key_once(api: Api) -> None:
    names = [api.create(name=f"k{number}")["name"] for number in range(5)]
    seen, cursor = [], None
    while True:
        page = api.get("/keys", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [key["name"] for key in page["data"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == names
    assert api.get("/keys", limit=5)["next"] is None


def test_patch_changes_what_it_names_and_null_clears(api: Api) -> None:
    created = api.create(models=["a"], metadata={"x": 1})
    answer = api.call("PATCH", f"/keys/{created['id']}", json={"name": "new", "models": None})
    assert answer.status_code == 200
    assert answer.json() == api.get(f"/keys/{created['id']}")
    assert (answer.json()["name"], answer.json()["models"], answer.json()["metadata"]) == (
        "new",
        None,
        {"x": 1},
    )


def test_delete_revokes_and_the_key_stays_visible(api: Api) -> None:
    created = api.create()
    for _ in range(2):
        answer = api.call("DELETE", f"/keys/{created['id']}")
        assert (answer.status_code, answer.json()["status"]) == (200, "revoked")
    assert api.get("/keys")["data"][0]["status"] == "revoked"
    refused = api.call("PATCH", f"/keys/{created['id']}", json={"name": "b"})
    assert (refused.status_code, error_of(refused)["code"]) == (409, "conflict")


def test_status_follows_the_clock(api: Api) -> None:
    created = api.create(expires_at="2026-03-01T13:00:00Z")
    assert created["status"] == "active"
    api.clock.advance(timedelta(hours=1))
    assert api.get(f"/keys/{created['id']}")["status"] == "expired"


@pytest.mark.parametrize("body", [None, {}, {"overlap": "12h"}])
def test_rotate_gives_a_new_text_to_the_same_key(api: Api, body: Any) -> None:
    created = api.create()
    answer = api.call("POST", f"/keys/{created['id']}/rotate", **({} if body is None else {"json": body}))
    assert answer.status_code == 200
    assert answer.json()["id"] == created["id"]
    assert answer.json()["key"] != created["key"]


BAD_BODIES = [
    ({}, "name"),
    ({"name": None}, "name"),
    ({"name": 1}, "name"),
    ({"name": ""}, "name"),
    ({"name": "a\u0000b"}, "name"),
    ({"name": "a", "id": "key_mine"}, "id"),
    ({"name": "a", "key": "tk_mine"}, "key"),
    ({"name": "a", "created_at": "2020-01-01T00:00:00Z"}, "created_at"),
    ({"name": "a", "models": "gpt-4o"}, "models"),
    ({"name": "a", "models": [1]}, "models[0]"),
    ({"name": "a", "limits": {"rpm": "60"}}, "limits.rpm"),
    ({"name": "a", "limits": {"rpm": -1}}, "limits.rpm"),
    ({"name": "a", "limits": {"rps": 1}}, "limits.rps"),
    ({"name": "a", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ({"name": "a", "expires_at": "2030-01-01T00:00:00"}, "expires_at"),
    ({"name": "a", "expires_at": "30d"}, "expires_at"),
    ({"name": "a", "metadata": []}, "metadata"),
    ({"name": "a", "budgets": [{"limit_usd": "1"}]}, "budgets[0].window"),
    ({"name": "a", "budgets": ["10usd/month", {"limit_usd": "0", "window": "day"}]}, "budgets[1].limit_usd"),
    ({"name": "a", "budgets": [{"limit_usd": "NaN", "window": "day"}]}, "budgets[0].limit_usd"),
    ({"name": "a", "budgets": [{"limit_usd": 1, "window": "day"}]}, "budgets[0].limit_usd"),
    ({"name": "a", "budgets": [{"limit_usd": "1", "window": "day", "mode": "warn"}]}, "budgets[0].mode"),
    (
        {"name": "a", "budgets": [{"limit_usd": "1", "window": "day", "scope": {"kind": "global"}}]},
        "budgets[0].scope",
    ),
    ({"name": "a", "budgets": ["10eur/month"]}, "budgets[0]"),
    ({"name": "a", "budgets": ["1usd/day"] * 21}, "budgets"),
    ({"name": "a", "budgets": "1usd/day"}, "budgets"),
]


@pytest.mark.parametrize(("body", "param"), BAD_BODIES)
def test_what_cannot_be_is_refused_by_name(sqlite_api: Api, body: Any, param: str) -> None:
    answer = sqlite_api.call("POST", "/keys", json=body)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)
    assert error_of(answer)["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"a"', b"[" * 100_000, b'{"name": "a"} x', b'{"a":1e999}'],
)
def test_bodies_that_are_no_object(sqlite_api: Api, content: bytes) -> None:
    answer = sqlite_api.call("POST", "/keys", content=content)
    assert (answer.status_code, error_of(answer)["code"]) == (400, "invalid_value")


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (b'{"name": "a", "name": "b"}', "name"),
        (b'{"name": "a", "limits": {"rpm": 1, "\\u0072pm": 2}}', "rpm"),
        (b'{"name": "a", "budgets": [{"limit_usd": "1", "window": "day", "window": "month"}]}', "window"),
        (b'{"name": "a", "metadata": {"team": [1e5, {"x": 1, "x": 1}]}}', "x"),
    ],
)
def test_members_of_one_name_are_refused(sqlite_api: Api, content: bytes, param: str) -> None:
    before = sqlite_api.get("/keys")
    answer = sqlite_api.call("POST", "/keys", content=content)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)
    assert error_of(answer)["message"] == f"the body has 2 members named `{param}`; send one"
    assert sqlite_api.get("/keys") == before


def test_one_name_may_stand_in_several_objects(sqlite_api: Api) -> None:
    metadata = {"a": {"a": 10**40}, "b": [{"a": 1}, {"a": "\u007f"}]}
    assert sqlite_api.create(metadata=metadata)["metadata"]["b"] == metadata["b"]


def test_a_long_body_is_refused(sqlite_api: Api) -> None:
    answer = sqlite_api.call("POST", "/keys", content=b" " * (1 << 20) + b"{}")
    assert (answer.status_code, error_of(answer)["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    "field", ["id", "status", "revoked_at", "created_at", "updated_at", "budgets", "key"]
)
def test_read_only_fields_cannot_be_set(sqlite_api: Api, field: str) -> None:
    created = sqlite_api.create()
    answer = sqlite_api.call("PATCH", f"/keys/{created['id']}", json={field: None})
    assert (answer.status_code, error_of(answer)["param"]) == (400, field)


@pytest.mark.parametrize(
    "key_id", ["key_absent", "%00", "key_%00", "..", "%E2%80%A8", "a" * 5000, "key_' OR 1=1 --"]
)
def test_a_key_that_is_not_there(api: Api, key_id: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
        answer = api.call(method, f"/keys/{key_id}{path}")
        assert answer.status_code in (404, 405)
        error_of(answer)
    answer = api.call("PATCH", f"/keys/{key_id}", json={"name": "x"})
    assert answer.status_code in (404, 405)
    error_of(answer)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "1.5"}, "limit"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "zz"}, "cursor"),
        ({"cursor": "é"}, "cursor"),
        ({"cursor": "W10="}, "cursor"),
        ({"cursor": "WzEsIngiLDNd"}, "cursor"),
        ({"cursor": "Wy0xLCJ4Il0"}, "cursor"),
        ({"cursor": "A" * 5000}, "cursor"),
    ],
)
def test_pages_that_cannot_be(sqlite_api: Api, query: dict[str, str], param: str) -> None:
    answer = sqlite_api.call("GET", "/keys", params=query)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)


def test_a_created_key_is_not_lost_to_an_outage_that_follows(sqlite_api: Api) -> None:
    """The answer that shows the key must come, even if this process cannot take the change over just now."""

    def away() -> None:
        raise StoreUnavailableError("away")

    with sqlite_api.store.write() as tx:
        before = read_revision(tx)
    broken = msgspec.structs.replace(sqlite_api.context, refresh=away)
    broken.take_over()
    sqlite_api.create()
    with sqlite_api.store.write() as tx:
        assert read_revision(tx) == before + 1


def test_a_key_and_its_budgets_are_made_together_or_not_at_all(api: Api) -> None:
    rule = {"limit_usd": "2.50", "window": "week", "timezone": "Asia/Tokyo", "anchor_day": 3, "mode": "soft"}
    created = api.create(budgets=["10usd/month", rule])
    listed = api.get("/budgets", scope_kind="key", scope_id=created["id"])["data"]
    assert sorted(budget["id"] for budget in created["budgets"]) == sorted(budget["id"] for budget in listed)
    month, week = created["budgets"]
    assert (month["limit_usd"], month["window"], month["mode"]) == ("10.00", "month", "hard")
    assert week | rule == week
    assert week["scope"] == {"kind": "key", "id": created["id"]}
    assert (month["spent_usd"], month["remaining_usd"]) == ("0.00", "10.00")
    refused = api.call(
        "POST", "/keys", json={"name": "b", "project": "new", "budgets": ["1usd/day", "0usd/day"]}
    )
    assert (refused.status_code, error_of(refused)["param"]) == (400, "budgets[1]")
    assert len(api.get("/keys")["data"]) == 1
    assert [project["name"] for project in api.get("/projects")["data"]] == ["default"]


def test_the_keys_of_a_project(api: Api) -> None:
    for name, project in (("a", "x"), ("b", "y"), ("c", "x")):
        api.create(name=name, project=project)
    assert [key["name"] for key in api.get("/keys", project="x")["data"]] in (["a", "c"], ["c", "a"])
    assert api.get("/keys", project="none")["data"] == []
    answer = api.call("GET", "/keys", params={"project": "a\x00"})
    assert (answer.status_code, error_of(answer)["param"]) == (400, "project")
