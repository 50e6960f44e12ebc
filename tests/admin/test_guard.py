"""Every route of the admin API, for every role: no key, a wrong key, a viewer, an admin."""

import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from service.keys.token import mint
from tests.admin.conftest import ADMIN_KEY, Api, error_of

PARAMETERS = {
    "key_id": "key_absent",
    "request_id": "00000000-0000-7000-8000-000000000000",
    "price_id": "price_absent",
    "project_id": "prj_absent",
    "budget_id": "bud_absent",
}


def routes(app: Litestar) -> list[tuple[str, str]]:
    found = []
    for route in app.routes:
        if not isinstance(route, HTTPRoute) or not route.path.startswith("/admin"):
            continue
        path = route.path_format.removeprefix("/admin/v1")
        for handler in route.route_handlers:
            assert isinstance(handler, HTTPRouteHandler)
            found += [(str(method), path.format(**PARAMETERS)) for method in handler.http_methods]
    return found


def test_the_walk_sees_the_routes(sqlite_api: Api) -> None:
    walked = routes(sqlite_api.client.app)
    assert ("POST", "/keys") in walked
    assert ("DELETE", "/keys/key_absent") in walked
    assert ("GET", "/usage") in walked
    assert len(walked) >= 9


@pytest.mark.parametrize(
    "key", [None, "", "wrong", ADMIN_KEY[:-1], mint(lambda n: b"\x07" * n, kind="tka").text]
)
def test_nobody_enters_without_an_admin_key(sqlite_api: Api, key: str | None) -> None:
    for method, path in routes(sqlite_api.client.app):
        answer = sqlite_api.call(method, path, key=key)
        assert (method, path, answer.status_code) == (method, path, 401)
        assert error_of(answer)["code"] == "invalid_api_key"
        assert answer.headers["www-authenticate"] == 'Bearer realm="tollkeeper"'


def test_a_virtual_key_is_no_admin_key(sqlite_api: Api) -> None:
    virtual = sqlite_api.create()["key"]
    for method, path in routes(sqlite_api.client.app):
        assert sqlite_api.call(method, path, key=virtual).status_code == 401


def test_a_viewer_reads_and_changes_nothing(sqlite_api: Api) -> None:
    for method, path in routes(sqlite_api.client.app):
        answer = sqlite_api.call(method, path, key=sqlite_api.viewer_key)
        if method in ("GET", "OPTIONS"):
            assert (method, path, answer.status_code in (200, 204, 404)) == (method, path, True)
        else:
            assert (method, path, answer.status_code) == (method, path, 403)
            assert error_of(answer)["type"] == "permission_error"


def test_an_admin_is_never_refused(sqlite_api: Api) -> None:
    for method, path in routes(sqlite_api.client.app):
        assert sqlite_api.call(method, path).status_code not in (401, 403, 500)


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


def test_answers_are_not_kept(sqlite_api: Api) -> None:
    answer = sqlite_api.call("GET", "/keys")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers
