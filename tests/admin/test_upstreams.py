"""`/admin/v1/upstreams`."""

import pytest

from tests.admin.conftest import Api, error_of

OPENAI = {
    "name": "openai",
    "host": "api.openai.com",
    "provider": "openai",
    "models": ["*"],
    "model_map": {},
    "priority": 0,
    "weight": 1,
    "has_key": True,
    "on_disconnect": "drain",
    "cost": "computed",
    "timeouts": {"connect_s": 5.0, "first_byte_s": 120.0, "idle_s": 60.0, "total_s": 3600.0},
}


def test_they_are_listed_first_choice_first(sqlite_api: Api) -> None:
    listed = sqlite_api.get("/upstreams")
    assert [upstream["name"] for upstream in listed["data"]] == ["openai", "spare"]
    assert listed["next"] is None
    openai, spare = listed["data"]
    assert openai == OPENAI == sqlite_api.get("/upstreams/openai")
    assert (spare["host"], spare["has_key"], spare["models"]) == ("127.0.0.1:9000", False, ["gpt-*"])


def test_no_key_is_shown(sqlite_api: Api) -> None:
    for path in ("/upstreams", "/upstreams/openai"):
        assert "sk-live" not in sqlite_api.call("GET", path).text


def test_an_absent_one(sqlite_api: Api) -> None:
    answer = sqlite_api.call("GET", "/upstreams/absent")
    assert (answer.status_code, error_of(answer)["code"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_they_live_in_the_settings(sqlite_api: Api, method: str) -> None:
    assert sqlite_api.call(method, "/upstreams").status_code == 405
    assert sqlite_api.call(method, "/upstreams/openai", json={"base_url": "http://evil"}).status_code == 405
