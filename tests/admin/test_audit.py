"""`/admin/v1/audit`."""

from datetime import timedelta
from typing import Any

import pytest

from tests.admin.conftest import Api, error_of


def names(api: Api, **query: Any) -> list[str]:
    return [f"{one['action']} {one['target']['name']}" for one in api.get("/audit", **query)["data"]]


def test_an_entry_says_who_did_what_and_what_changed(api: Api) -> None:
    key = api.create(name="a", models=["gpt-*"])
    api.clock.advance(timedelta(minutes=5))
    api.call("PATCH", f"/keys/{key['id']}", json={"name": "b", "models": None})
    change = api.get("/audit", action="key.update")["data"][0]
    assert change.pop("seq") >= 2
    assert change == {
        "at": "2026-03-01T12:05:00Z",
        "actor": {
            "kind": "admin_key",
            "id": "configured",
            "name": "TOLLKEEPER_ADMIN_KEY",
            "address": "testclient",
        },
        "action": "key.update",
        "target": {"kind": "key", "id": key["id"], "name": "b"},
        "before": {"name": "a", "models": ["gpt-*"]},
        "after": {"name": "b", "models": None},
    }


def test_filters(api: Api) -> None:
    api.create(name="a")
    api.clock.advance(timedelta(days=1))
    key = api.create(name="b")
    api.call("POST", "/prices", json={"model": "m", "input_usd_per_mtok": "1", "output_usd_per_mtok": "2"})
    everything = names(api)
    assert "key.create a" in everything
    assert names(api, action="key.create") == ["key.create b", "key.create a"]
    assert names(api, action="key.*", target="a") == ["key.create a"]
    assert names(api, target=key["id"]) == ["key.create b"]
    assert names(api, target_kind="price") == ["price.set m"]
    assert names(api, actor="TOLLKEEPER_ADMIN_KEY", target_kind="key") == ["key.create b", "key.create a"]
    assert names(api, actor="nobody") == names(api, actor_kind="account") == []
    assert names(api, target_kind="key", **{"from": "2026-03-02"}) == ["key.create b"]
    assert names(api, target_kind="key", to="2026-03-02T12:00:00Z") == ["key.create a"]
    assert "key.create b" in names(api, **{"from": "2026-03-02T20:00:00+08:00"})


def test_pages(api: Api) -> None:
    for number in range(7):
        api.create(name=f"k{number}")
    everything = names(api, limit=1000)
    found, query = [], {"limit": 3}
    while True:
        page = api.get("/audit", **query)
        found += [f"{one['action']} {one['target']['name']}" for one in page["data"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert found == everything


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"actr": "a"}, "actr"),
        ({"project": "a"}, "project"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "WzEsImEiXQ"}, "cursor"),
        ({"actor_kind": "robot"}, "actor_kind"),
        ({"from": "yesterday"}, "from"),
        ({"timezone": "Mars"}, "timezone"),
        ({"target": "a\x00"}, "target"),
    ],
)
def test_wrong_parameters_are_refused(sqlite_api: Api, query: dict[str, str], param: str) -> None:
    answer = sqlite_api.call("GET", "/audit", params=query)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_changes_it(sqlite_api: Api, method: str) -> None:
    assert sqlite_api.call(method, "/audit").status_code == 405
