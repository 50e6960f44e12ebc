"""One member of a JSON object changes, and no other byte of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.relay.members import members, set_member

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner), max_leaves=12
)
NAMES = st.sampled_from(["a", "model", "stream_options", 'q"uote', "back\\slash", "ü", "", "{", "]"])
SPACES = st.text(" \t\r\n", max_size=3)


@st.composite
def objects(draw: st.DrawFn) -> str:
    """The text of an object, with duplicates, escapes and white space where JSON allows them."""

    def spaced(text: str) -> str:
        return draw(SPACES) + text + draw(SPACES)

    parts = []
    for name, value in draw(st.lists(st.tuples(NAMES, VALUES), max_size=5)):
        ascii_only = draw(st.booleans())
        indent = draw(st.sampled_from([None, 1]))
        written = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
        parts.append(f"{spaced(json.dumps(name, ensure_ascii=ascii_only))}:{spaced(written)}")
    return spaced("{" + (",".join(parts) or draw(SPACES)) + "}")


@given(text=objects())
def test_every_member_is_found_where_it_stands(text: str) -> None:
    assert [(each.name, json.loads(text[each.start : each.end])) for each in members(text)] == top_level(text)


def top_level(text: str) -> list[tuple[str, Any]]:
    """The members, as another parser sees them: objects below the top keep their last duplicates."""
    decoder = json.JSONDecoder(object_pairs_hook=Pairs)
    return [(name, plain(value)) for name, value in decoder.decode(text.strip(" \t\r\n"))]


class Pairs(list[tuple[str, Any]]):
    """An object."""


def plain(value: Any) -> Any:
    if isinstance(value, Pairs):
        return {name: plain(each) for name, each in value}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value


@given(text=objects(), name=NAMES, value=VALUES)
def test_a_member_is_set_and_no_other_byte_changes(text: str, name: str, value: Any) -> None:
    written = json.dumps(value)
    changed = set_member(text, name, written)
    before, after = top_level(text), top_level(changed)
    names = [each for each, _ in before]
    if name in names:
        at = names.index(name)
        assert after == [*before[:at], (name, value), *before[at + 1 :]]
        member = next(each for each in members(text) if each.name == name)
        assert changed == text[: member.start] + written + text[member.end :]
    else:
        assert after == [(name, value), *before]
        begin = text.index("{") + 1
        added = len(changed) - len(text)
        assert changed[:begin] + changed[begin + added :] == text


@pytest.mark.parametrize("depth", [1, 5, 6, 7, 990, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"]":', "}]")])
def test_no_depth_is_too_deep(depth: int, opening: str, closing: str) -> None:
    nested = f"{opening * depth}0{closing * depth}"
    found = [(each.name, each.end - each.start) for each in members(f'{{"x":{nested},"y":"z"}}')]
    assert found == [("x", len(nested)), ("y", 3)]


def test_numbers_of_any_length_are_skipped() -> None:
    assert [each.name for each in members(f'{{"x":{"1" * 5000},"y":1e999}}')] == ["x", "y"]


def test_what_is_no_json_is_said_to_be_none() -> None:
    with pytest.raises(ValueError, match="no JSON"):
        list(members('{"x":[[1]'))
