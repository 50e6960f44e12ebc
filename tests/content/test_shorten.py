"""What was cut: the beginning of a document is a document."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.content.redact import CUT
from service.content.shorten import mended, without_media

LONG = "word " * 400
DOCUMENT = {
    "model": "gpt-4o",
    "temperature": 0.25,
    "stream": True,
    "messages": [
        {"role": "system", "content": 'quoted "text" \\ and { [ , : ] } ü\u2028'},
        {"role": "user", "content": [{"type": "text", "text": LONG}, {}]},
    ],
    "stop": [],
    "n": None,
}


def contains(whole: Any, part: Any) -> bool:
    """Whether *part* is *whole* with something missing at its end."""
    match part:
        case dict():
            return all(name in whole and contains(whole[name], member) for name, member in part.items())
        case list():
            return len(part) <= len(whole) and all(map(contains, whole, part))
        case str():
            return isinstance(whole, str) and whole.startswith(part.removesuffix(CUT))
        case _:
            return bool(whole == part)


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_every_beginning_of_a_document_is_a_document(indent: int | None, ascii_only: bool) -> None:  # noqa: FBT001  (a parameter)
    text = json.dumps(DOCUMENT, indent=indent, ensure_ascii=ascii_only)
    for length in range(1, len(text)):
        part = json.loads(mended(text[:length]))
        assert contains(DOCUMENT, part), text[:length]
    assert json.loads(mended(text)) == DOCUMENT
    assert json.loads(mended(text + "} rest")) == DOCUMENT


def test_a_string_that_was_cut_is_marked() -> None:
    assert mended('{"a": ["b", "cd') == f'{{"a": ["b", "cd{CUT}"]}}'
    assert mended('{"a": "cd', mark="") == '{"a": "cd"}'


@pytest.mark.parametrize(
    "half", ["\\", "\\u", "\\u00e", "\\ud83d", "\\ud83d\\", "\\ud83d\\u", "\\ud83d\\ude0"]
)
def test_half_an_escape_goes(half: str) -> None:
    assert mended(f'["a{half}', mark="") == '["a"]'
    assert mended('["a\\\\', mark="") == '["a\\\\"]'


def test_a_number_that_may_go_on_goes() -> None:
    assert mended('{"a": 1, "b": 12') == '{"a": 1}'
    assert mended("[1, 12") == "[1]"
    assert mended("[tru") == "[]"


@pytest.mark.parametrize("text", ["", "word", '"text', "12", "}", "]", '{"a": 1]', "[1}"])
def test_what_is_no_beginning_of_a_document_is_nothing(text: str) -> None:
    assert mended(text) == ""


@given(st.text(alphabet='{}[]",:\\ab1 u', max_size=60))
def test_any_text_can_be_asked(text: str) -> None:
    found = mended(text)
    assert found == "" or found[0] in "{[" or text.startswith(found[:1])


IMAGE = "A" * 600


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"url": f"data:image/png;base64,{IMAGE}"}, {"url": "data:image/png;base64,[600 bytes]"}),
        (
            {"input_audio": {"data": IMAGE, "format": "wav"}},
            {"input_audio": {"data": "[600 bytes]", "format": "wav"}},
        ),
        ({"data": [{"b64_json": IMAGE}, {"b64_json": IMAGE}]}, {"data": [{"b64_json": "[600 bytes]"}] * 2}),
        ({"data": "A" * 20}, {"data": "A" * 20}),
        ({"data": "word " * 200}, {"data": "word " * 200}),
        ({"text": f";base64, {IMAGE}"}, {"text": f";base64, {IMAGE}"}),
        ({"a": ';base64,"data":"' + IMAGE}, {"a": ';base64,"data":"' + IMAGE}),
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_media_are_replaced_by_their_length(
    document: Any, expected: Any, separators: tuple[str, str]
) -> None:
    assert json.loads(without_media(json.dumps(document, separators=separators).encode())) == expected


def test_media_that_are_cut_are_replaced_too() -> None:
    assert without_media(b'{"data":"' + b"A" * 300) == b'{"data":"[300 bytes]'
