"""The text of keys: what is minted can be parsed, nothing else can."""

import hashlib
import hmac
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import AuthenticationError
from service.keys.token import ALPHABET, Kind, base62, bearer_token, digest, mint, parse, sole_bearer_token

kinds: st.SearchStrategy[Kind] = st.sampled_from(["tk", "tka"])


def bytes_of(number: int) -> Iterator[bytes]:
    yield number.to_bytes(40)[:8]
    yield number.to_bytes(40)[8:]


def minted(number: int, kind: Kind = "tk") -> str:
    source = bytes_of(number)
    return mint(lambda _length: next(source), kind=kind).text


@given(st.integers(0, 2**320 - 1), kinds)
def test_what_is_minted_can_be_parsed(number: int, kind: Kind) -> None:
    text = minted(number, kind)
    parts = parse(text)
    assert parts is not None
    assert (parts.kind, parts.text) == (kind, text)
    assert parts.secret not in repr(parts)
    assert len(text) == len(kind) + 1 + 12 + 1 + 43 + 1 + 6


def test_randomness_is_asked_for_in_full() -> None:
    asked: list[int] = []

    def random_bytes(length: int) -> bytes:
        asked.append(length)
        return b"\xff" * length

    greatest = mint(random_bytes)
    assert asked == [8, 32]
    assert (len(greatest.public_id), len(greatest.secret)) == (12, 43)


@given(st.integers(0, 2**320 - 1), st.data())
def test_one_wrong_character_is_noticed(number: int, data: st.DataObject) -> None:
    text = minted(number)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda found: found != text[place]))
    assert parse(text[:place] + other + text[place + 1 :]) is None


@given(st.text(max_size=200) | st.text(alphabet=ALPHABET + "_tka", max_size=80))
def test_other_texts_are_no_keys(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("change", [" {}", "{} ", "{}\n", "{}0", "x{}", "{}_"])
def test_nothing_may_stand_around_a_key(change: str) -> None:
    text = minted(1)
    assert parse(text) is not None
    assert parse(change.format(text)) is None


def test_the_kind_is_covered_by_the_checksum() -> None:
    assert parse("tka" + minted(5).removeprefix("tk")) is None


def test_digest_is_hmac_sha256() -> None:
    assert digest(b"pepper", "secret") == hmac.new(b"pepper", b"secret", hashlib.sha256).digest()


@given(st.integers(0, 62**6 - 1), st.integers(0, 62**6 - 1))
def test_base62_keeps_the_order(one: int, other: int) -> None:
    assert (one < other) == (base62(one, width=6) < base62(other, width=6))


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER   abc ", "abc"),
        ("Bearer", ""),
        ("Bearer ", ""),
        ("Basic abc", ""),
        ("Bearer a b", ""),
        ("abc", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_bearer_token(header: str | None, token: str) -> None:
    assert bearer_token(header) == token


def test_the_token_of_a_request() -> None:
    assert sole_bearer_token(["Bearer abc"]) == "abc"
    assert not sole_bearer_token([])


@pytest.mark.parametrize("second", ["Bearer abc", "Bearer def", "Basic abc", ""])
def test_no_header_is_chosen_out_of_several(second: str) -> None:
    with pytest.raises(AuthenticationError, match="2 `Authorization` headers; send one"):
        sole_bearer_token(["Bearer abc", second])
