"""The OpenAPI document: valid, complete, and served without help from elsewhere."""

from typing import Any

from openapi_spec_validator import validate

from tests.admin.conftest import Api


def document(api: Api) -> dict[str, Any]:
    answer = api.client.get("/schema/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_it_is_valid(sqlite_api: Api) -> None:
    validate(document(sqlite_api))


def test_every_operation_asks_for_the_admin_key_and_says_what_it_does(sqlite_api: Api) -> None:
    paths = document(sqlite_api)["paths"]
    assert {"/admin/v1/keys", "/admin/v1/keys/{key_id}", "/admin/v1/usage", "/admin/v1/requests"} <= set(
        paths
    )
    for path in paths.values():
        for operation in path.values():
            assert operation["security"] == [{"adminKey": []}]
            assert operation["summary"]
            assert operation["description"]


def test_bodies_are_described_without_read_only_fields(sqlite_api: Api) -> None:
    found = document(sqlite_api)
    body = found["paths"]["/admin/v1/keys"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    new_key = found["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    assert set(new_key["properties"]) == {
        "name",
        "project",
        "models",
        "expires_at",
        "metadata",
        "limits",
        "budgets",
    }
    assert new_key["required"] == ["name"]


def test_nothing_is_loaded_from_elsewhere(sqlite_api: Api) -> None:
    for path in ("/schema/swagger", "/schema/redoc", "/schema/elements", "/schema/rapidoc"):
        assert sqlite_api.client.get(path).status_code == 404
    served = sqlite_api.client.get("/schema")
    assert served.headers["content-type"].startswith("application/vnd.oai.openapi+json")
