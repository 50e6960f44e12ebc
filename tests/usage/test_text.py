"""How much text there is: classes of characters, and where generated text stands."""

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.usage.text import NO_TEXT, GeneratedText, TextMeasure, generated_text, measure


def test_classes_of_characters() -> None:
    text = "Hi you, 42 times!\n\tneko 猫 ねこ 한글 ｡ Привет é 😀"
    assert measure(text.encode()) == TextMeasure(
        words=4, letters=14, digits=2, symbols=2, spaces=11, newlines=1, cjk=6, other=8
    )


@given(text=st.text())
def test_every_character_has_one_class(text: str) -> None:
    measured = measure(text.encode(errors="replace"))
    assert measured.characters == len(text)
    assert measured.words <= measured.letters


@given(data=st.binary())
def test_any_bytes_can_be_measured(data: bytes) -> None:
    assert 0 <= measure(data).characters <= len(data)


def test_measures_add_up() -> None:
    assert measure(b"one two ") + measure("三 4!\n".encode()) == measure("one two 三 4!\n".encode())


def event(delta: dict[str, Any], **dump: Any) -> bytes:
    return (
        b"data: "
        + json.dumps({"choices": [{"delta": delta}], "obfuscation": "abc"}, **dump).encode()
        + b"\n\n"
    )


COMPACT: dict[str, Any] = {"separators": (",", ":")}


@pytest.mark.parametrize(
    "dump", [{}, COMPACT, {"ensure_ascii": False, **COMPACT}], ids=["spaced", "compact", "utf-8"]
)
@pytest.mark.parametrize(
    ("deltas", "text"),
    [
        (
            [{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo 你好"}, {}],
            "Hello 你好",
        ),
        ([{"role": "assistant", "content": None, "refusal": None}, {"refusal": "No."}], "No."),
        ([{"content": 'a "quoted" \\ \n\t'}, {"content": "\u2028"}], 'a "quoted" \\ \n\t\u2028'),
        ([{"tool_calls": [{"function": {"name": "f", "arguments": '{"content":"x"}'}}]}], '{"content":"x"}'),
        ([{"reasoning_content": "Hm"}, {"content": "so"}], "Hmso"),
        ([{"reasoning": "Hm", "reasoning_content": "Hm", "content": "so"}], "Hmso"),
        ([{"reasoning": "Hm", "reasoning_details": [{"type": "reasoning.text", "text": "Hm"}]}], "Hm"),
        ([{"content": "😀 \\u4f60"}], "😀 \\u4f60"),
        ([{"content": None}, {"audio": {"data": "UklGRg=="}}], ""),
    ],
)
def test_generated_text_is_found_by_its_names(
    deltas: list[dict[str, Any]], text: str, dump: dict[str, Any]
) -> None:
    measured = generated_text(b"".join(event(delta, **dump) for delta in deltas))
    expected = measure(text.encode())
    assert measured.characters == expected.characters
    assert (measured.cjk, measured.digits, measured.newlines) == (
        expected.cjk,
        expected.digits,
        expected.newlines,
    )


def test_half_a_surrogate_pair_is_measured_as_one_character() -> None:
    assert generated_text(b'{"delta":{"content":"a\\ud83d\\n"}}').characters == 3


def test_a_long_stream_is_measured_as_a_short_one_and_held_in_bounds() -> None:
    text = GeneratedText()
    for _ in range(2000):
        text.add(event({"content": "word "}))
        assert text._held < 20_000
    assert text.measured() == TextMeasure(words=2000, letters=8000, spaces=2000)
    assert text.measured().letters == 8000
    assert GeneratedText().measured() == NO_TEXT


def test_ascii_is_classified_completely() -> None:
    measured = measure(string.printable.encode())
    assert (measured.letters, measured.digits, measured.words) == (52, 10, 1)
