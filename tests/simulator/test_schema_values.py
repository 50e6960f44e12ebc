"""Values written for a JSON Schema are accepted by it."""

import json
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from service.simulator.schema_values import value_for

SCHEMAS: dict[str, dict[str, Any]] = {
    "object": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
    "bounds": {
        "type": "object",
        "properties": {
            "low": {"type": "integer", "maximum": -5},
            "open": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "fives": {"type": "integer", "minimum": 10, "maximum": 40, "multipleOf": 5},
            "share": {"type": "number", "minimum": 0, "maximum": 1},
        },
    },
    "strings": {
        "type": "object",
        "properties": {
            "long": {"type": "string", "minLength": 40, "maxLength": 45},
            "short": {"type": "string", "maxLength": 3},
            "day": {"type": "string", "format": "date"},
            "id": {"type": "string", "format": "uuid"},
        },
    },
    "arrays": {
        "type": "array",
        "items": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2},
        "minItems": 1,
    },
    "empty array": {"type": "array", "maxItems": 0},
    "choices": {"type": "object", "properties": {"unit": {"enum": ["C", "F"]}, "kind": {"const": "report"}}},
    "nullable": {
        "type": "object",
        "properties": {"note": {"type": ["null", "string"]}, "no": {"type": "null"}},
    },
    "any of": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    "one of": {"oneOf": [{"type": "string", "maxLength": 5}, {"type": "integer"}]},
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"b": {"type": "string"}}, "required": ["b"]},
        ]
    },
    "reference": {
        "$defs": {
            "money": {"type": "object", "properties": {"cents": {"type": "integer"}}, "required": ["cents"]}
        },
        "type": "object",
        "properties": {"total": {"$ref": "#/$defs/money"}, "tax": {"$ref": "#/$defs/money"}},
        "required": ["total", "tax"],
    },
    "recursive": {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "label": {"type": "string"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["label", "children"],
            }
        },
        "$ref": "#/$defs/node",
    },
    "no type": {"properties": {"list": {"items": {"type": "integer"}}}, "required": ["list"]},
    "nothing": {},
}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS.keys())
def test_the_schema_accepts_the_value(schema: dict[str, Any]) -> None:
    for seed in range(20):
        value = value_for(schema, rng=Random(seed))
        Draft202012Validator(schema).validate(json.loads(json.dumps(value)))


def test_every_property_is_written() -> None:
    assert set(value_for(SCHEMAS["strings"], rng=Random(1))) == {"long", "short", "day", "id"}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/missing"},
        {"type": ["null", "object"], "properties": {"self": {"$ref": "#"}}, "required": ["self"]},
        {"$ref": "#"},
        {"type": "object", "properties": {"odd": True}},
        {"type": "object", "properties": {"self": {"$ref": "#"}}, "required": ["self"]},
    ],
    ids=["dangling", "endless nullable", "circular", "boolean", "endless"],
)
def test_odd_schemas_end(schema: dict[str, Any]) -> None:
    value_for(schema, rng=Random(1))


def test_the_seed_decides() -> None:
    schema = SCHEMAS["bounds"]
    assert value_for(schema, rng=Random(3)) == value_for(schema, rng=Random(3))
    assert value_for(schema, rng=Random(3)) != value_for(schema, rng=Random(4))
