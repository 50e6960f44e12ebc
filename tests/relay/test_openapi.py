"""The published description of the relay's endpoints is valid, English, and the contract's own schemas."""

import json
import re
from pathlib import Path
from typing import Any

from openapi_spec_validator import validate

from service.relay.openapi import merged, relay_document

ROOT = Path(__file__).parents[2]
CONTRACT = json.loads((ROOT / "tests/support/chat-completions.openapi.json").read_bytes())
PROSE = {"description", "title", "x-apifox-orders"}


def _bare(schema: Any, document: dict[str, Any]) -> Any:
    """A schema with references resolved, without the parts that are for people."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            target: Any = document
            for step in schema["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            return _bare(target, document)
        return {
            name: {key: _bare(value, document) for key, value in part.items()}
            if name == "properties"
            else _bare(part, document)
            for name, part in schema.items()
            if name not in PROSE
        }
    if isinstance(schema, list):
        return [_bare(part, document) for part in schema]
    return schema


def _operation(document: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = document["paths"]["/v1/chat/completions"]["post"]
    return operation


def test_document_is_valid_openapi() -> None:
    validate(relay_document())


def test_static_file_is_the_published_document() -> None:
    assert json.loads((ROOT / "docs/openapi/relay.json").read_bytes()) == relay_document()


def test_request_schema_is_the_contracts() -> None:
    ours, theirs = relay_document(), CONTRACT
    path = ("requestBody", "content", "application/json", "schema")
    found = [_at(_operation(document), path) for document in (ours, theirs)]
    assert _bare(found[1], theirs) == _bare(found[0], ours)


def test_answer_and_error_schemas_are_the_contracts() -> None:
    ours, theirs = relay_document(), CONTRACT
    for status in ("200", "400", "429"):
        path = ("responses", status, "content", "application/json", "schema")
        found = [_at(_operation(document), path) for document in (ours, theirs)]
        assert _bare(found[1], theirs) == _bare(found[0], ours), status


def test_every_text_is_english() -> None:
    assert re.findall(r"[^\x00-\x7f…]", json.dumps(relay_document(), ensure_ascii=False)) == []


def test_admin_paths_join_without_changing_the_relays() -> None:
    admin: dict[str, Any] = {
        "paths": {"/admin/v1/keys": {"get": {}}},
        "components": {"schemas": {"Error": {}, "Key": {}}},
    }
    document = merged(admin)
    assert "/admin/v1/keys" in document["paths"]
    assert relay_document()["components"]["schemas"]["Error"] == document["components"]["schemas"]["Error"]
    assert "Key" in document["components"]["schemas"]


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        document = document[step]
    return document
