"""Request and answer as they are kept: readable, redacted, bounded."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.content.parts import Part, Taken, part_of
from service.content.redact import redactor_of
from tests.content.secrets_of import ANY
from tests.support.upstream import COMPLETION, DONE, delta

REDACTOR = redactor_of(None, patterns={})
KIB = 1024


def part(data: bytes, *, max_bytes: int = 8 * KIB, **more: Any) -> Part:
    return part_of(Taken(data=data, size=len(data), **more), redactor=REDACTOR, max_bytes=max_bytes)


def test_a_request() -> None:
    body = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "I am joe@example.com"}]}'
    kept = part(body)
    assert json.loads(kept.text)["messages"][0]["content"] == "I am [email]"
    assert (kept.is_json, kept.is_whole, kept.size, kept.events) == (True, True, len(body), None)
    assert kept.redacted == {"email": 1}


def test_a_stream_whose_secret_comes_in_pieces() -> None:
    stream = b"".join(map(delta, ["My card: 41", "11 11", "11 1111 1", "111 thanks"])) + DONE
    kept = part(stream, is_stream=True)
    assert json.loads(kept.text)["choices"][0]["message"]["content"] == "My card: [card] thanks"
    assert (kept.is_json, kept.is_whole, kept.size, kept.events) == (True, True, len(stream), 4)


def test_a_long_stream_is_cut_before_it_is_redacted() -> None:
    stream = delta("joe@example.com " * 4000) + DONE
    kept = part(stream, is_stream=True)
    assert json.loads(kept.text)["choices"][0]["message"]["content"].startswith("[email] [email] ")
    assert 400 < kept.redacted["email"] < 600
    assert not kept.is_whole


def test_a_stream_that_broke_off_in_a_secret() -> None:
    stream = b"".join(map(delta, ["word " * 60, "My card: 4111 1111 1111 1"]))
    kept = part(stream, is_stream=True, is_whole=False)
    assert "4111" not in kept.text
    assert json.loads(kept.text)["choices"][0]["message"]["content"].startswith("word word")
    assert not kept.is_whole


def test_an_answer_that_is_no_json() -> None:
    kept = part(b"<html>Ask joe@example.com \xff</html>")
    assert (kept.text, kept.is_json, kept.is_whole) == ("<html>Ask [email] \ufffd</html>", False, True)


def test_escapes_in_what_is_no_document_hide_nothing() -> None:
    assert part(b'nothing, then "joe\\u0040example.com" \\ud83d').text == 'nothing, then "[email]" \\ud83d'


def test_a_text_that_broke_off() -> None:
    kept = part(b"Ask " * 100 + b"joe@exam", is_whole=False)
    assert kept.text == "Ask " * ((408 - 128) // 4)
    assert not kept.is_whole


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_answer(encoding: str) -> None:
    data = gzip.compress(COMPLETION)
    kept = part(data, encoding=encoding)
    assert json.loads(kept.text) == json.loads(COMPLETION)
    assert kept.size == len(data)


def test_a_compressed_answer_that_we_cannot_read() -> None:
    kept = part(b"\x01\x02", encoding="br")
    assert (kept.text, kept.is_whole, kept.size) == ("", False, 2)


def test_a_compressed_answer_that_expands_without_end_is_cut() -> None:
    bomb = gzip.compress(b'{"a": "' + b"word " * 800 * KIB + b'"}')
    kept = part(bomb, encoding="gzip")
    assert len(kept.text) <= 8 * KIB
    assert not kept.is_whole


def test_images_do_not_use_up_the_room() -> None:
    image = "A" * 100 * KIB
    body = {
        "messages": [
            {"content": [{"image_url": {"url": f"data:image/png;base64,{image}"}}, {"text": "what is it?"}]}
        ]
    }
    kept = part(json.dumps(body).encode())
    content = json.loads(kept.text)["messages"][0]["content"]
    assert content == [
        {"image_url": {"url": "data:image/png;base64,[102400 bytes]"}},
        {"text": "what is it?"},
    ]
    assert kept.is_whole


def test_what_is_too_long_is_cut() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "word " * 10 * KIB}], "n": 2}
    kept = part(json.dumps(body).encode())
    found = json.loads(kept.text)
    assert found["messages"][0]["content"].startswith("word word")
    assert "n" not in found
    assert 6 * KIB < len(kept.text) <= 8 * KIB
    assert (kept.is_whole, kept.is_json) == (False, True)


def test_what_grows_by_redaction_is_cut_again() -> None:
    kept = part(json.dumps({"a": ["a@b.c"] * 1000}).encode())
    assert json.loads(kept.text)["a"][:2] == ["[email]", "[email]"]
    assert len(kept.text) <= 8 * KIB + 8
    assert not kept.is_whole
    text = part(b"a@b.c " * 1365)
    assert (text.text[:16], text.is_whole, text.is_json) == ("[email] [email] ", False, False)


def test_a_document_that_is_one_long_text() -> None:
    kept = part(json.dumps("a@b.c " * 1300).encode())
    assert (kept.text[:10], kept.is_json, kept.is_whole) == ('"[email] [', False, False)


def test_nothing() -> None:
    assert part(b"") == Part(text="", is_json=False, is_whole=True, size=0)


@pytest.mark.parametrize("kind", ANY)
@settings(max_examples=40)
@given(data=st.data(), at=st.integers(0, 3000), limit=st.integers(1024, 4096))
def test_wherever_it_is_cut_no_piece_of_a_secret_is_left(
    kind: str, data: st.DataObject, at: int, limit: int
) -> None:
    secret = data.draw(ANY[kind])
    words = ("lorem ipsum " * 400)[:at]
    body = json.dumps({"messages": [{"content": f"{words} {secret} {'dolor ' * 700}"}]}).encode()
    for found in (
        part(body, max_bytes=limit),
        part(body[:limit], is_whole=False),
        part(body[2:limit], is_whole=False),
    ):
        left = found.text.replace("lorem", "").replace("ipsum", "").replace("dolor", "")
        assert secret[:8] not in left
        assert secret[-8:] not in left


@given(st.binary(max_size=200), st.booleans(), st.booleans(), st.sampled_from([None, "gzip", "br"]))
def test_any_bytes_are_read(data: bytes, is_stream: bool, is_whole: bool, encoding: str | None) -> None:  # noqa: FBT001  (drawn)
    kept = part(data, is_stream=is_stream, is_whole=is_whole, encoding=encoding)
    if kept.is_json:
        json.loads(kept.text)
