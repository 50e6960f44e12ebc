"""What each detector finds, and what it leaves alone."""

import re
import string
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.content.detectors import BUILT_IN_DETECTORS, IBAN_LENGTHS, is_secret_name, joined, own_detector
from service.settings.redaction import LONGEST
from tests.content.secrets_of import ANY, WORDS

FOUND = {
    "email": [
        "joe@example.com",
        "joe.o'brien+news@mail.example.co.uk",
        "jörg@münchen.de",
        "joe%40example.com",
        "a@b.c",
    ],
    "card": [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "3714 496353 98431",
        "5555.5555.5555.4444",
        "2223 0000 4841 0010",
        "6011000990139424",
        "4222222222222",
        "4111\u00a01111\u00a01111\u00a01111",
    ],
    "iban": [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "gb82 west 1234 5698 7654 32",
        "NO93 8601 1117 947",
        "MT84MALT011000012345MTLCAST001S",
    ],
    "phone": [
        "+49 30 901820",
        "+1 (555) 123-4567",
        "+14155552671",
        "0049 30 901820",
        "(555) 123-4567",
        "555-123-4567",
        "555.123.4567",
        "030 901 820 00",
        "030/90182000",
        "(030) 90182000",
        "06 12 34 56 78",
        "+44 20 7946 0958",
    ],
    "credential": [
        "sk-proj-abcdefghijklmnop1234",
        "tk_Ab3dEfGh1jKl_" + "a" * 43 + "_012345",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP",
        "xoxb-12345678-abcdef",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    ],
}
INSIDE = {
    "Authorization: Bearer abc123def456": "abc123def456",
    "authorization: basic dXNlcjpwYXNz=": "dXNlcjpwYXNz=",
    "BEARER\t12345678": "12345678",
    'password = "hunter22"': "hunter22",
    "api_key=0123456789": "0123456789",
    "client-secret => s3cr3ts": "s3cr3ts",
    '{"refresh_token":"r-123456"}': "r-123456",
    "dbPassword := p4ssw0rd!": "p4ssw0rd!",
    "postgresql://app:s3cret@db/x": "s3cret",
    "?user=joe&token=abcdef&x=1": "abcdef&x=1",
}
LEFT = {
    "email": ["@joe", "joe@localhost", "a @ b.c", "joe@", "@", "%40"],
    "card": [
        "4111111111111112",
        "411111111111",
        "1234567890123452",
        "41111111111111111",
        "9999999999999995",
        "2223000048410",
        "4111 1111",
    ],
    "iban": [
        "DE88370400440532013000",
        "DE8937040044053201300",
        "XX89370400440532013000",
        "DE89-",
        "ADE89370400440532013000",
    ],
    "phone": [
        "2026-11-23 10:30",
        "1.2.3.4",
        "555-1234",
        "12345678901",
        "0.30 901820",
        "01-02-2024",
        "3-555-123-4567",
        "030 1234",
    ],
    "credential": [
        "task-management-of-everything",
        "sk-learn-is-a-library-name",
        "Bearer authentication",
        "password: none",
        "basically everything",
        "https://example.com:8080/path",
        "the token is",
        "author: somebody",
        "secret",
    ],
}


def spans(kind: str, text: str) -> list[str]:
    return [text[begin:end] for begin, end in BUILT_IN_DETECTORS[kind](text)]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in FOUND.items() for text in texts])
def test_found_whole_and_among_words(kind: str, text: str) -> None:
    assert spans(kind, text) == [text]
    assert spans(kind, f"first <{text}>, then {text}.\n") == [text, text]


@pytest.mark.parametrize("text", INSIDE)
def test_what_stands_behind_a_telling_word(text: str) -> None:
    assert spans("credential", text) == [INSIDE[text]]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in LEFT.items() for text in texts])
def test_left_alone(kind: str, text: str) -> None:
    assert spans(kind, text) == []


def test_a_private_key_that_was_cut_is_taken_to_its_end() -> None:
    text = "key: -----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEFAASC"
    assert spans("credential", text) == [text.removeprefix("key: ")]


def test_a_card_is_taken_whole_where_a_shorter_number_is_one_too() -> None:
    assert spans("card", "4111 1111 1111 1111 2024") == ["4111 1111 1111 1111"]
    assert spans("card", "77 4111 1111 1111 1111") == ["4111 1111 1111 1111"]
    assert spans("card", "4222222222222 4222222222222") == ["4222222222222", "4222222222222"]


def test_two_addresses_share_nothing() -> None:
    assert spans("email", "a@b.com@c.com") == ["a@b.com"]


def test_iban_registry_is_plausible() -> None:
    assert len(IBAN_LENGTHS) > 80
    assert Counter(map(len, IBAN_LENGTHS)) == {2: len(IBAN_LENGTHS)}
    assert all(15 <= length <= 34 for length in IBAN_LENGTHS.values())


@pytest.mark.parametrize(
    "name", ["password", "API_KEY", "x-api-key", "clientSecret", "access_token", "Authorization", "db_pwd"]
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["max_tokens", "passwords_count", "key", "content", "", "secretary"])
def test_names_of_others(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize("kind", ANY)
@given(data=st.data(), before=WORDS, after=WORDS)
def test_any_secret_is_found_anywhere(kind: str, data: st.DataObject, before: str, after: str) -> None:
    secret = data.draw(ANY[kind])
    text = f"{before} {secret} {after}"
    begin = len(before) + 1
    covered = [
        span for span in BUILT_IN_DETECTORS[kind](text) if span[0] <= begin and begin + len(secret) <= span[1]
    ]
    assert len(covered) == 1, list(BUILT_IN_DETECTORS[kind](text))


@pytest.mark.parametrize("kind", BUILT_IN_DETECTORS)
@given(text=st.text(alphabet=string.ascii_letters + string.digits + " @.:=+-_/%[]\"'\n", max_size=200))
def test_spans_are_in_order_and_apart(kind: str, text: str) -> None:
    last = 0
    for begin, end in BUILT_IN_DETECTORS[kind](text):
        assert last <= begin < end <= len(text)
        last = end


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10))))
def test_joined_covers_the_same(pairs: list[tuple[int, int]]) -> None:
    given_spans = [(begin, begin + length) for begin, length in pairs]
    found = list(joined(list(given_spans)))
    assert {at for span in found for at in range(*span)} == {
        at for span in given_spans for at in range(*span)
    }
    assert all(end <= begin for (_, end), (begin, _) in pairwise(found))


@given(st.lists(st.sampled_from(["EMP-1234", "EMP-12345678", " ", "x" * 1000, "EMP-", "\n"]), max_size=60))
def test_an_own_pattern_is_found_across_windows(parts: list[str]) -> None:
    text = "".join(parts)
    expected = [found.span() for found in re.finditer(r"EMP-\d{4,8}", text)]
    assert list(own_detector(r"EMP-\d{4,8}", longest=LONGEST)(text)) == expected
