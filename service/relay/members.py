"""Where the members of a JSON object stand in its text, so that one of them can be changed and no other byte. Pure.

Values are skipped, not built: nothing recurses, and memory does not grow with what a client nests.
"""

import json
import re
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]  # public in CPython, missing in the stubs

import msgspec

STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
"""A JSON string, as a regular expression that neither backtracks nor takes memory."""

_SPACE = re.compile(r"[ \t\n\r]*+")
_SCALAR = re.compile(rf"{STRING}|[^\s,\]}}]++", re.DOTALL)
_DEPTH_AT_ONCE = 4
_SIBLINGS_AT_ONCE = 64
_FLAT = rf'[^"\[\]{{}}]*+(?:{STRING}[^"\[\]{{}}]*+)*+'
_CONTENT = _FLAT
for _ in range(_DEPTH_AT_ONCE):
    _CONTENT = rf"{_FLAT}(?>(?:[\[{{]{_CONTENT}[\]}}]{_FLAT}){{0,{_SIBLINGS_AT_ONCE}}})"
_NEXT_MARK = re.compile(rf"{_CONTENT}([\[\]{{}}])", re.DOTALL)
"""The bracket that ends a container, or one that opens another: of more than four levels, or the sixty-fifth."""


class Member(msgspec.Struct, frozen=True):
    """One member of an object: its name, and where its value starts and ends in the text."""

    name: str
    start: int
    end: int


def members(text: str) -> Iterator[Member]:
    """The members of the object *text*, in order; *text* is known to be valid JSON."""
    position = _skip(text, text.index("{") + 1)
    while text[position] != "}":
        name, position = scanstring(text, position + 1)
        value_start = _skip(text, _skip(text, position) + 1)
        value_end = _end_of_value(text, value_start)
        yield Member(name, value_start, value_end)
        position = _skip(text, value_end)
        if text[position] == ",":
            position = _skip(text, position + 1)


def set_member(text: str, name: str, value: str) -> str:
    """The object *text* with its member *name* set to the JSON *value*; everything else stays as it is."""
    comma = ""
    for member in members(text):
        if member.name == name:
            return text[: member.start] + value + text[member.end :]
        comma = ","
    after_brace = text.index("{") + 1
    return f"{text[:after_brace]}{json.dumps(name)}:{value}{comma}{text[after_brace:]}"


def _skip(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    assert space is not None
    return space.end()


def _end_of_value(text: str, start: int) -> int:
    if text[start] not in "[{":
        scalar = _SCALAR.match(text, start)
        assert scalar is not None
        return scalar.end()
    depth, position = 1, start + 1
    while depth:
        mark = _NEXT_MARK.match(text, position)
        if mark is None:
            raise ValueError("the text is no JSON: an array or object does not end")
        depth += 1 if mark[1] in "[{" else -1
        position = mark.end()
    return position
