"""Errors: one shape, whatever went wrong, and a defect says nothing about itself."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar, get
from litestar.exceptions import HTTPException
from litestar.testing import TestClient

from service import errors
from service.admin.failures import FAILURES, exception_handlers
from service.logs import configure
from tests.admin.conftest import Api, error_of


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("PUT", "/keys", 405, "method_not_allowed"),
        ("BREW", "/keys", 405, "method_not_allowed"),
    ],
)
def test_paths_and_methods_that_are_not(
    sqlite_api: Api, method: str, path: str, status: int, code: str
) -> None:
    answer = sqlite_api.call(method, path)
    assert (answer.status_code, error_of(answer)["code"]) == (status, code)


def test_405_names_what_is_possible(sqlite_api: Api) -> None:
    assert set(sqlite_api.call("PUT", "/keys").headers["allow"].split(", ")) == {"GET", "OPTIONS", "POST"}


def failing(error: Exception) -> tuple[int, str, dict[str, str]]:
    @get("/fail", sync_to_thread=False)
    def fail() -> None:
        raise error

    app = Litestar([fail], exception_handlers=exception_handlers(), logging_config=None, openapi_config=None)
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/fail")
        error_of(answer)
        return answer.status_code, answer.text, dict(answer.headers)


@pytest.mark.parametrize("kind", FAILURES)
def test_each_row_of_the_table(kind: type[errors.TollkeeperError]) -> None:
    more = {"retry_after_s": 5} if kind is errors.TooManyFailuresError else {}
    status, text, headers = failing(kind("what happened", **more))
    error = json.loads(text)["error"]
    assert (status, error["type"], error["code"]) == (
        FAILURES[kind].status,
        FAILURES[kind].type,
        FAILURES[kind].code,
    )
    assert error["message"] == "what happened"
    assert (headers.get("retry-after") == "5") == (status in (429, 503))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("the password is hunter2"),
        errors.JournalError("the password is hunter2"),
        HTTPException("the password is hunter2", status_code=507),
    ],
)
def test_a_defect_is_logged_and_not_told(error: Exception, capfd: pytest.CaptureFixture[str]) -> None:
    configure(style="json")
    status, text, _headers = failing(error)
    assert (status, json.loads(text)["error"]["code"]) == (500, "internal_error")
    assert "hunter2" not in text
    logged = json.loads(capfd.readouterr().err.splitlines()[0])
    assert logged["event"] == "admin_request_failed"
    assert "hunter2" in logged["exception"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(["name", "project", "models", "expires_at", "metadata", "limits", "budgets", "x"])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(fields, json_values, max_size=5), st.sampled_from(["POST", "PATCH"]))
def test_no_body_breaks_it(sqlite_api: Api, body: object, method: str) -> None:
    path = "/keys" if method == "POST" else f"/keys/{sqlite_api.create()['id']}"
    answer = sqlite_api.call(method, path, json=body)
    assert answer.status_code in (200, 201, 400)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["/usage", "/requests", "/keys"]),
    st.lists(
        st.tuples(
            st.sampled_from(
                ["from", "to", "timezone", "interval", "group_by", "limit", "cursor", "model", "request_id"]
            ),
            st.text(max_size=30) | st.dates().map(str) | st.datetimes().map(str),
        ),
        max_size=4,
    ),
)
def test_no_query_breaks_it(sqlite_api: Api, path: str, query: list[tuple[str, str]]) -> None:
    answer = sqlite_api.call("GET", path, params=query)
    assert answer.status_code in (200, 400)
