"""Where the members of a JSON object stand in its text, so that one of them can be changed and no other byte. Pure."""

import json
from json.decoder import scanstring  # type: ignore[attr-defined]  # public in CPython, missing in the stubs

import msgspec

_WHITESPACE = " \t\n\r"
_value_at = json.JSONDecoder().raw_decode


class Member(msgspec.Struct, frozen=True):
    """One member of an object: its name, and where its value starts and ends in the text."""

    name: str
    start: int
    end: int


def members(text: str, start: int = 0) -> list[Member]:
    """The members of the object that begins at or after *start*, in order; *text* is known to be valid JSON."""
    found = []
    position = _skip(text, _skip(text, start) + 1)
    while text[position] != "}":
        name, position = scanstring(text, position + 1)
        value_start = _skip(text, _skip(text, position) + 1)
        _, value_end = _value_at(text, value_start)
        found.append(Member(name, value_start, value_end))
        position = _skip(text, value_end)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return found


def set_member(text: str, name: str, value: str) -> str:
    """The object *text* with its member *name* set to the JSON *value*; everything else stays as it is."""
    present = members(text)
    for member in present:
        if member.name == name:
            return text[: member.start] + value + text[member.end :]
    after_brace = text.index("{") + 1
    comma = "," if present else ""
    return f"{text[:after_brace]}{json.dumps(name)}:{value}{comma}{text[after_brace:]}"


def _skip(text: str, position: int) -> int:
    while text[position] in _WHITESPACE:
        position += 1
    return position
