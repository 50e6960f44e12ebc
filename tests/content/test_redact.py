"""Redaction: no secret survives, JSON stays JSON, and twice is once."""

import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.content.redact import CUT, DEEPEST, Redactor, redactor_of
from service.settings.redaction import LONGEST
from tests.content.secrets_of import ANY, LETTERS_AND_DIGITS, WORDS

EVERYTHING = redactor_of(None, patterns={"employee": r"EMP-\d{4,8}"})
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def redacted(text: str, redactor: Redactor = EVERYTHING) -> str:
    return redactor.text(text, Counter())


def value(document: Any, redactor: Redactor = EVERYTHING) -> Any:
    return redactor.value(document, Counter())


def test_a_text_says_what_was_there_and_is_counted() -> None:
    counts: Counter[str] = Counter()
    text = "I am joe@example.com (EMP-1234), card 4111 1111 1111 1111, or jim@example.com. Key: sk-abcdefghijklmnop12"
    assert EVERYTHING.text(text, counts) == (
        "I am [email] ([employee]), card [card], or [email]. Key: [credential]"
    )
    assert counts == {"email": 2, "employee": 1, "card": 1, "credential": 1}


def test_only_what_is_wanted() -> None:
    text = "joe@example.com EMP-1234 4111111111111111"
    patterns = {"employee": r"EMP-\d{4,8}"}
    assert redacted(text, redactor_of(["email"], patterns=patterns)) == "[email] EMP-1234 4111111111111111"
    assert (
        redacted(text, redactor_of(["employee"], patterns=patterns))
        == "joe@example.com [employee] 4111111111111111"
    )
    assert redacted(text, redactor_of([], patterns=patterns)) == text


def test_a_kind_that_nobody_can_find_is_not_ignored() -> None:
    with pytest.raises(KeyError, match="employee"):
        redactor_of(["email", "employee"], patterns={})


@pytest.mark.parametrize("kind", ANY)
@given(data=st.data(), before=WORDS, after=WORDS)
def test_no_secret_survives_in_a_text(kind: str, data: st.DataObject, before: str, after: str) -> None:
    secret = data.draw(ANY[kind])
    found = redacted(f"{before} {secret} {after}")
    assert secret not in found
    assert redacted(found) == found


@pytest.mark.parametrize("kind", ANY)
@given(data=st.data(), words=WORDS)
def test_no_secret_survives_in_a_document(kind: str, data: st.DataObject, words: str) -> None:
    secret = data.draw(ANY[kind])
    document = {
        "model": "gpt-4o",
        "messages": [
            {"role": "user", "content": f"{words} {secret}\n{words}"},
            {"role": "user", "content": [{"type": "text", "text": secret}]},
            {
                "role": "assistant",
                "tool_calls": [{"function": {"arguments": json.dumps({"of": [f"a {secret} b"]})}}],
            },
        ],
        "metadata": {f"x {secret}": {"deep": [secret, {"deeper": f"({secret})"}]}},
    }
    once = value(document)
    encoded = msgspec.json.encode(once)
    assert json.loads(encoded) == once
    assert secret not in encoded.decode()
    assert secret not in json.dumps(once, ensure_ascii=True)
    inner = once["messages"][2]["tool_calls"][0]["function"]["arguments"]
    assert secret not in json.loads(inner)["of"][0]
    assert value(once) == once


@given(JSON)
def test_any_document_stays_a_document_and_twice_is_once(document: Any) -> None:
    once = value(document)
    assert msgspec.json.decode(msgspec.json.encode(once)) == once
    assert value(once) == once


@given(st.text(alphabet=LETTERS_AND_DIGITS + " @.:=-_/%[]+\"'{}", max_size=120))
def test_any_text_twice_is_once(text: str) -> None:
    once = redacted(text)
    assert redacted(once) == once


def test_a_document_without_secrets_is_the_same() -> None:
    document = {
        "model": "gpt-4o",
        "n": 2,
        "t": 0.5,
        "stop": None,
        "stream": True,
        "messages": [{"content": '{"a":  1}'}],
    }
    assert value(document) == document


def test_escapes_hide_nothing() -> None:
    assert value(json.loads('{"a": "joe\\u0040example.com"}')) == {"a": "[email]"}


def test_json_within_strings_stays_json() -> None:
    arguments = json.dumps({"to": "joe@example.com", "text": 'say "hi"'})
    found = value({"arguments": arguments})["arguments"]
    assert json.loads(found) == {"to": "[email]", "text": 'say "hi"'}
    assert value({"a": "[joe@example.com]"}) == {"a": "[[email]]"}
    assert value({"a": "{not json} joe@example.com {}"}) == {"a": "{not json} [email] {}"}


def test_members_named_like_credentials() -> None:
    document = {
        "password": "x",
        "API_KEY": 12,
        "token": None,
        "secret": "",
        "access_token": True,
        "pwd": ["joe@a.de"],
    }
    assert value(document) == {
        "password": "[credential]",
        "API_KEY": "[credential]",
        "token": None,
        "secret": "",
        "access_token": True,
        "pwd": ["[email]"],
    }
    assert value({"password": "x"}, redactor_of(["email"], patterns={})) == {"password": "x"}


def test_numbers() -> None:
    assert value({"card": 4111111111111111, "n": 4111, "f": 1.5, "when": 1764000000000}) == {
        "card": "[card]",
        "n": 4111,
        "f": 1.5,
        "when": 1764000000000,
    }
    assert value(123456, redactor_of(None, patterns={"staff": r"\d{6}"})) == "[staff]"


def test_tokens_one_by_one_are_left_out() -> None:
    choice = {
        "message": {"content": "joe@example.com"},
        "logprobs": {"content": [{"token": "joe"}, {"token": "@example.com"}]},
    }
    assert value({"choices": [choice], "prompt_token_ids": [1, 2]}) == {
        "choices": [{"message": {"content": "[email]"}}]
    }
    assert value({"logprobs": True}) == {"logprobs": True}


def test_what_is_too_deep_is_withheld() -> None:
    deep: Any = "joe@example.com"
    for _ in range(DEEPEST + 5):
        deep = [deep]
    counts: Counter[str] = Counter()
    found = EVERYTHING.value(deep, counts)
    assert counts == {"withheld": 1}
    assert "joe" not in json.dumps(found)
    assert '"[withheld]"' in json.dumps(found)


def test_a_text_that_never_settles_is_withheld() -> None:
    peeling = redactor_of(["peel"], patterns={"peel": r"\babc"})
    counts: Counter[str] = Counter()
    assert peeling.text("abc" * 50, counts) == "[withheld]"
    assert counts["withheld"] == 1
    assert redacted("abcabc", peeling) == "[peel][peel]"


def test_masks_are_not_looked_into() -> None:
    greedy = redactor_of(None, patterns={"mail": "mail", "own": r"own\d?"})
    once = redacted("mail own mail joe@example.com own1", greedy)
    assert once == "[mail] [own] [mail] [email] [own]"
    assert redacted(once, greedy) == once


def test_the_end_of_a_text_that_was_cut_goes_with_the_word_before() -> None:
    assert redacted("a b " + "c" * LONGEST + CUT) == "a b "
    assert redacted("a bcd" + "c" * LONGEST + CUT) == "a "
    assert redacted("abc" * 100 + CUT) == ""
    assert redacted("short text" + CUT) == ""


def test_a_secret_across_the_new_end_goes_whole() -> None:
    words = "x " * (LONGEST // 2)
    for length in range(30):
        assert redacted("first card: 4111 1111 1111 1111" + "z" * length + words + CUT) in (
            "first card: [card]",
            "first card: ",
        )
