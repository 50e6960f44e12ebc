"""A believable JSON value for a JSON Schema. Pure, deterministic by the random source.

Understands what structured outputs and function parameters use: type (also a list of types), enum, const,
properties, items, local $ref, anyOf, oneOf, allOf, bounds of numbers, strings and arrays, and the common string
formats. Keywords it does not know are ignored.
"""

import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

_MAX_DEPTH = 12
_WORDS = ("Lisbon", "invoice", "north", "quarterly", "Berlin", "blue", "Ada", "review", "Kyoto", "summary")
_FORMATS = {
    "date": "2026-03-14",
    "date-time": "2026-03-14T09:26:53Z",
    "time": "09:26:53Z",
    "email": "ada@example.com",
    "uri": "https://example.com/report",
    "uuid": "3f2b8c1e-9d47-4a6b-8f10-2c5d7e9a1b34",
    "hostname": "example.com",
    "ipv4": "192.0.2.7",
    "ipv6": "2001:db8::7",
}

Schema = Mapping[str, Any]


def value_for(schema: Schema, *, rng: Random) -> Any:
    """A value that *schema* accepts."""
    return _Writer(schema, rng).value(schema, depth=0)


class _Writer:
    """Writes values for one document, whose root resolves `$ref`."""

    def __init__(self, root: Schema, rng: Random) -> None:
        self._root = root
        self._rng = rng
        self._writers: Mapping[str, Callable[[Schema, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda _schema, _depth: rng.choice((False, True)),
            "null": lambda _schema, _depth: None,
        }

    def value(self, schema: Any, *, depth: int) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._rng.choice(schema["enum"])
        write = self._writers.get(self._type(schema, depth=depth), self._string)
        return write(schema, depth)

    def _resolved(self, schema: Any) -> dict[str, Any]:
        """*schema* without `$ref` and combinations: the first alternative, everything that must hold."""
        merged: dict[str, Any] = dict(schema) if isinstance(schema, Mapping) else {}
        for _ in range(_MAX_DEPTH):
            if "$ref" in merged:
                part = self._target(str(merged.pop("$ref")))
            elif merged.get("anyOf") or merged.get("oneOf"):
                part = (merged.pop("anyOf", None) or merged.pop("oneOf"))[0]
            elif merged.get("allOf"):
                first, *rest = merged.pop("allOf")
                part = {**first, "allOf": rest} if rest else first
            else:
                break
            merged = _merge(merged, part if isinstance(part, Mapping) else {})
        return merged

    def _target(self, reference: str) -> Any:
        found: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            found = found.get(step, {}) if step and isinstance(found, Mapping) else found
        return found

    def _type(self, schema: Schema, *, depth: int) -> str:
        named = schema.get("type")
        if isinstance(named, list):
            if depth >= _MAX_DEPTH and "null" in named:
                return "null"
            named = next((each for each in named if each != "null"), "null")
        if isinstance(named, str):
            return named
        if "properties" in schema:
            return "object"
        return "array" if "items" in schema else "string"

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        required = schema.get("required") or ()
        chosen = (
            list(properties) if depth < _MAX_DEPTH // 2 else [each for each in properties if each in required]
        )
        if depth >= _MAX_DEPTH:
            return {}
        return {name: self.value(properties[name], depth=depth + 1) for name in chosen}

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        fewest = int(schema.get("minItems") or 0)
        most = int(schema.get("maxItems", max(fewest, 3)))
        if depth >= _MAX_DEPTH // 2:
            most = fewest
        count = self._rng.randint(max(fewest, min(1, most)), max(fewest, min(most, fewest + 3)))
        return [self.value(schema.get("items") or {}, depth=depth + 1) for _ in range(count)]

    def _integer(self, schema: Schema, _depth: int) -> int:
        low, high = _bounds(schema, step=1)
        step = schema.get("multipleOf")
        if isinstance(step, int) and step > 0:
            return step * self._rng.randint(math.ceil(low / step), math.floor(high / step))
        return self._rng.randint(math.ceil(low), math.floor(high))

    def _number(self, schema: Schema, _depth: int) -> float:
        low, high = _bounds(schema, step=0.01)
        return min(max(round(self._rng.uniform(low, high), 2), low), high)

    def _string(self, schema: Schema, _depth: int) -> str:
        known = _FORMATS.get(str(schema.get("format")))
        if known is not None:
            return known
        shortest = int(schema.get("minLength") or 0)
        longest = int(schema.get("maxLength", max(shortest, 60)))
        text = self._rng.choice(_WORDS)
        while len(text) < shortest:
            text += " " + self._rng.choice(_WORDS)
        return text[:longest]


def _merge(schema: Schema, part: Schema) -> dict[str, Any]:
    """Both hold: properties and required are united, for other keywords *schema* wins."""
    merged = {**part, **schema}
    if "properties" in part and "properties" in schema:
        merged["properties"] = {**part["properties"], **schema["properties"]}
    if "required" in part and "required" in schema:
        merged["required"] = [*part["required"], *schema["required"]]
    return merged


def _bounds(schema: Schema, *, step: float) -> tuple[float, float]:
    low = schema.get("minimum")
    if low is None and "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + step
    high = schema.get("maximum")
    if high is None and "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - step
    if low is None:
        low = 1 if high is None or high >= 1 else high - 100
    return low, (low + 100 if high is None else high)
