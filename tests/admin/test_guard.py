"""Every route behind an admin key, for every role: no key, a wrong key, a viewer, an admin.

The routes are those that the application has, so a new one is walked without being named here.
"""

import asyncio
from datetime import timedelta
from typing import Any, NoReturn

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from service.admin import guard
from service.admin.wrong_keys import FAILURES_PER_MINUTE
from service.errors import StoreUnavailableError
from service.keys.token import mint
from service.settings.proxies import TrustedProxies
from tests.admin.conftest import ADMIN_KEY, Api, error_of

PARAMETERS = {
    "key_id": "key_absent",
    "request_id": "00000000-0000-7000-8000-000000000000",
    "price_id": "price_absent",
    "project_id": "prj_absent",
    "budget_id": "bud_absent",
}
READING = ("GET", "HEAD", "OPTIONS")
WRONG_KEYS = [None, "", "wrong", ADMIN_KEY[:-1], mint(lambda n: b"\x07" * n, kind="tka").text]


class Absent(dict[str, str]):
    """A value for every path parameter that is not named above."""

    def __missing__(self, _name: str) -> str:
        return "absent"


def routes(app: Litestar) -> list[tuple[str, str]]:
    found = []
    for route in app.routes:
        if not isinstance(route, HTTPRoute) or route.path.startswith("/schema"):
            continue
        path = route.path_format
        for handler in route.route_handlers:
            assert isinstance(handler, HTTPRouteHandler)
            values = Absent(PARAMETERS)
            found += [(str(method), path.format_map(values)) for method in handler.http_methods]
    return sorted(found)


def for_admins_only(app: Litestar) -> set[str]:
    """The paths that viewers may not even read."""
    return {
        route.path_format.format_map(Absent(PARAMETERS))
        for route in app.routes
        if isinstance(route, HTTPRoute)
        and any("admins_only" in handler.opt for handler in route.route_handlers)
    }


def walk(api: Api, *, key: str | None) -> list[tuple[str, str, httpx.Response]]:
    """The answer of every route, a minute apart, so that no limit of wrong keys is reached."""
    found = []
    for method, path in routes(api.client.app):
        api.clock.advance(timedelta(minutes=1))
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        found.append((method, path, api.client.request(method, path, headers=headers)))
    return found


def test_the_walk_sees_the_routes(sqlite_api: Api) -> None:
    walked = routes(sqlite_api.client.app)
    assert {
        ("POST", "/admin/v1/keys"),
        ("DELETE", "/admin/v1/keys/key_absent"),
        ("POST", "/admin/v1/admin-keys"),
        ("DELETE", "/admin/v1/admin-keys/absent"),
        ("GET", "/admin/v1/audit"),
        ("GET", "/admin/v1/check"),
        ("GET", "/admin/v1/upstreams/absent"),
        ("GET", "/v1/organization/costs"),
    } <= set(walked)
    assert f"/admin/v1/requests/{PARAMETERS['request_id']}/content" in for_admins_only(sqlite_api.client.app)
    assert len(walked) >= 60


@pytest.mark.parametrize("key", WRONG_KEYS)
def test_nobody_enters_without_an_admin_key(sqlite_api: Api, key: str | None) -> None:
    for method, path, answer in walk(sqlite_api, key=key):
        assert (method, path, answer.status_code) == (method, path, 401)
        assert error_of(answer)["code"] == "invalid_api_key"
        assert answer.headers["www-authenticate"] == 'Bearer realm="tollkeeper"'


def test_a_virtual_key_is_no_admin_key(sqlite_api: Api) -> None:
    virtual = sqlite_api.create()["key"]
    assert {answer.status_code for _, _, answer in walk(sqlite_api, key=virtual)} == {401}


def test_a_revoked_admin_key_is_none(sqlite_api: Api) -> None:
    issued = sqlite_api.call("POST", "/admin-keys", json={"name": "a", "role": "admin"}).json()
    assert sqlite_api.call("GET", "/keys", key=issued["key"]).status_code == 200
    sqlite_api.call("DELETE", f"/admin-keys/{issued['public_id']}")
    assert {answer.status_code for _, _, answer in walk(sqlite_api, key=issued["key"])} == {401}


def test_a_viewer_reads_and_changes_nothing(sqlite_api: Api) -> None:
    before = sqlite_api.get("/audit")["data"]
    hidden = for_admins_only(sqlite_api.client.app)
    for method, path, answer in walk(sqlite_api, key=sqlite_api.viewer_key):
        if method in READING and path not in hidden:
            assert (method, path, answer.status_code in (200, 204, 400, 404)) == (method, path, True)
        elif method != "OPTIONS":
            assert (method, path, answer.status_code) == (method, path, 403)
            assert error_of(answer)["type"] == "permission_error"
    assert sqlite_api.get("/audit")["data"] == before


def test_an_admin_is_never_refused(sqlite_api: Api) -> None:
    for method, path, answer in walk(sqlite_api, key=ADMIN_KEY):
        allowed = (200, 201, 204, 400, 404)
        assert (method, path, answer.status_code in allowed) == (method, path, True)


def test_who_may_not_is_told_before_the_body_is_looked_at(sqlite_api: Api) -> None:
    assert sqlite_api.call("POST", "/keys", key=None, content=b"{").status_code == 401
    assert sqlite_api.call("POST", "/keys", key=sqlite_api.viewer_key, content=b"{").status_code == 403


def test_no_other_place_of_a_key_is_honoured(sqlite_api: Api) -> None:
    for headers in (
        {"x-api-key": ADMIN_KEY},
        {"cookie": f"authorization={ADMIN_KEY}"},
        {"authorization": ADMIN_KEY},
    ):
        assert sqlite_api.call("GET", "/keys", key=None, headers=headers).status_code == 401
    assert sqlite_api.call("GET", f"/keys?api_key={ADMIN_KEY}", key=None).status_code == 401


@pytest.mark.parametrize("keys", [(ADMIN_KEY, "wrong"), ("wrong", ADMIN_KEY), (ADMIN_KEY, ADMIN_KEY)])
def test_two_keys_are_none(sqlite_api: Api, keys: tuple[str, str]) -> None:
    async def ask() -> httpx.Response:  # the usual client would make one header of two
        transport = httpx.ASGITransport(sqlite_api.client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            headers = [("Authorization", f"Bearer {key}") for key in keys]
            return await client.get("/admin/v1/keys", headers=headers)

    answer = asyncio.run(ask())
    error = error_of(answer)
    assert (answer.status_code, error["type"]) == (401, "authentication_error")
    assert error["message"] == "The request has 2 `Authorization` headers; send one."
    assert answer.headers["www-authenticate"] == 'Bearer realm="tollkeeper"'


def test_answers_are_not_kept(sqlite_api: Api) -> None:
    answer = sqlite_api.call("GET", "/keys")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers


def test_who_made_a_change_is_in_the_audit_log(api: Api) -> None:
    issued = api.call("POST", "/admin-keys", json={"name": "ops", "role": "admin"}).json()
    api.call("POST", "/keys", key=issued["key"], json={"name": "app"})
    (change,) = api.get("/audit", action="key.create")["data"]
    assert change["actor"] == {
        "kind": "admin_key",
        "id": issued["public_id"],
        "name": "ops",
        "address": "testclient",
    }
    (created,) = api.get("/audit", action="admin_key.create", target="ops")["data"]
    assert (created["actor"]["id"], created["actor"]["name"]) == ("configured", "TOLLKEEPER_ADMIN_KEY")


def refused(api: Api, *, times: int, key: str = "wrong") -> list[int]:
    return [api.call("GET", "/keys", key=key).status_code for _ in range(times)]


def test_an_address_may_make_so_many_wrong_requests(sqlite_api: Api) -> None:
    assert refused(sqlite_api, times=FAILURES_PER_MINUTE) == [401] * FAILURES_PER_MINUTE
    answer = sqlite_api.call("GET", "/keys", key="wrong")
    assert (answer.status_code, error_of(answer)["code"]) == (429, "rate_limit_exceeded")
    assert answer.headers["retry-after"] == "60"
    sqlite_api.clock.advance(timedelta(seconds=59.5))
    assert sqlite_api.call("GET", "/keys", key="wrong").headers["retry-after"] == "1"
    assert sqlite_api.call("GET", "/keys").status_code == 200  # a right key is not refused for it
    sqlite_api.clock.advance(timedelta(seconds=1))
    assert refused(sqlite_api, times=1) == [401]


def test_the_audit_log_hears_of_wrong_keys_in_a_bounded_way(api: Api) -> None:
    refused(api, times=2 * FAILURES_PER_MINUTE)
    api.clock.advance(timedelta(minutes=1))
    refused(api, times=2 * FAILURES_PER_MINUTE)
    found = api.get("/audit", action="admin_key.refused")["data"]
    assert [change["after"] for change in found] == [{"wrong_keys": 30}, {"wrong_keys": 1}]
    assert found[0]["actor"] == {
        "kind": "system",
        "id": "admin_api",
        "name": "the admin API",
        "address": "testclient",
    }
    api.clock.advance(timedelta(hours=1))
    refused(api, times=2)
    assert len(api.get("/audit", action="admin_key.refused")["data"]) == 3


def test_a_request_without_a_key_counts_for_nothing(sqlite_api: Api) -> None:
    answers = {sqlite_api.call("GET", "/keys", key=None).status_code for _ in range(FAILURES_PER_MINUTE + 5)}
    assert answers == {401}
    assert sqlite_api.get("/audit", action="admin_key.refused")["data"] == []


def test_a_wrong_key_is_refused_while_the_store_is_away(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> NoReturn:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(sqlite_api.store, "write", away)
    assert refused(sqlite_api, times=1) == [401]


def test_behind_a_trusted_proxy_the_client_is_named_by_it(sqlite_api: Api) -> None:
    context = msgspec.structs.replace(sqlite_api.context, proxies=TrustedProxies(("10.0.0.0/8",)))

    def address(peer: tuple[str, int] | None, *forwarded: bytes) -> str | None:
        headers = [(b"x-forwarded-for", value) for value in forwarded]
        scope: Any = {"type": "http", "headers": headers, "client": peer}
        return guard._address(context, ASGIConnection(scope))

    assert address(("10.1.1.1", 1), b"198.51.100.1, 203.0.113.7") == "203.0.113.7"
    assert address(("10.1.1.1", 1), b"198.51.100.1", b"203.0.113.7") == "203.0.113.7"
    assert address(("192.0.2.1", 1), b"203.0.113.7") == "192.0.2.1"
    assert address(("10.1.1.1", 1)) == "10.1.1.1"
    assert address(None, b"203.0.113.7") is None
