"""Who a request is for, from what clients of other gateways already send."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidRequestError
from service.ledger.record import TAG_LIMIT, TEXT_LIMIT
from service.relay.attribution import METADATA_BYTES, TAG_LENGTH, Attribution, attribute
from service.relay.headers import Headers
from service.relay.request import ChatRequest, parse

NOBODY = Attribution(None, None, None)


def request(**members: Any) -> ChatRequest:
    return parse(json.dumps({"model": "m", "messages": [], **members}).encode())


def declared(*headers: tuple[str, str], **members: Any) -> Attribution:
    return attribute([(name.encode(), value.encode()) for name, value in headers], request(**members))


END_USERS = [
    (("x-litellm-end-user-id", "litellm"), {}),
    (("helicone-user-id", "helicone"), {}),
    (("x-portkey-metadata", '{"_user": "portkey"}'), {}),
    (("baggage", "a=b;p=1, user.id = baggage ;ttl=3"), {}),
    (None, {"user": "body", "safety_identifier": "later"}),
    (None, {"safety_identifier": "safety"}),
]


@pytest.mark.parametrize(("header", "members"), END_USERS, ids=str)
def test_end_user(header: tuple[str, str] | None, members: dict[str, Any]) -> None:
    found = declared(*[header] if header else [], **members)
    assert found.end_user in ("litellm", "helicone", "portkey", "baggage", "body", "safety")
    assert found.session is None
    assert found.tags is None


def test_headers_win_over_the_body_and_the_first_kind_over_the_others() -> None:
    headers = [header for header, _ in END_USERS if header]
    for position, expected in enumerate(["litellm", "helicone", "portkey", "baggage"]):
        assert declared(*headers[position:], user="body").end_user == expected


SESSIONS = [
    (("x-session-id", "s1"), {}),
    (("helicone-session-id", "s1"), {}),
    (("baggage", "session.id=s%31"), {}),
    (None, {"metadata": {"session_id": "s1"}}),
]


@pytest.mark.parametrize(("header", "members"), SESSIONS, ids=str)
def test_session(header: tuple[str, str] | None, members: dict[str, Any]) -> None:
    assert declared(*[header] if header else [], **members).session == "s1"


TAGS: list[tuple[list[tuple[str, str]], dict[str, Any], tuple[str, ...]]] = [
    ([("x-litellm-tags", " a, b ,,a")], {}, ("a", "b")),
    ([("helicone-property-team", "blue"), ("helicone-property-", "x")], {}, ("team:blue", ":x")),
    (
        [("x-portkey-metadata", '{"_user":"u","env":"prod","n":1,"o":{"a":[1]}}')],
        {},
        ("env:prod", "n:1", 'o:{"a":[1]}'),
    ),
    ([("baggage", "tag=caf%C3%A9")], {}, ("café",)),
    ([], {"metadata": {"k": "v", "deep": [1, None], "nothing": None}}, ("k:v", "deep:[1, null]")),
]


@pytest.mark.parametrize(("headers", "members", "tags"), TAGS, ids=range(len(TAGS)))
def test_tags(headers: list[tuple[str, str]], members: dict[str, Any], tags: tuple[str, ...]) -> None:
    assert declared(*headers, **members).tags == tags


@pytest.mark.parametrize(
    "header",
    [
        ("x-portkey-metadata", "{"),
        ("x-portkey-metadata", "[]"),
        ("x-portkey-metadata", '"text"'),
        ("x-portkey-metadata", "null"),
        ("x-portkey-metadata", '{"a":"\\ud800"}'),
        ("x-portkey-metadata", '{"a":' + "[" * 5000 + "]" * 5000 + "}"),
        ("x-portkey-metadata", '{"_user":null}'),
        ("baggage", ""),
        ("baggage", ",;=,"),
        ("x-litellm-tags", ", ,"),
        ("x-other", "value"),
        ("authorization", "Bearer x"),
    ],
)
def test_what_says_nothing(header: tuple[str, str]) -> None:
    assert declared(header) == NOBODY


def test_without_a_body_yet() -> None:
    assert attribute([(b"x-session-id", b"s")], None) == Attribution(None, "s", None)


def test_lengths_and_numbers_are_bounded() -> None:
    found = declared(
        ("x-session-id", "s" * 5000), user="u" * 5000, metadata={f"k{n}": "v" * 500 for n in range(100)}
    )
    assert found.end_user is not None
    assert found.session is not None
    assert found.tags is not None
    assert len(found.end_user) == len(found.session) == TEXT_LIMIT
    assert len(found.tags) == TAG_LIMIT
    assert {len(tag) for tag in found.tags} == {TAG_LENGTH}


def test_metadata_of_absurd_length_passes_unread() -> None:
    assert declared(metadata={"session_id": "s", "pad": "x" * METADATA_BYTES}) == NOBODY


def test_metadata_as_deep_as_a_request_may_be() -> None:
    for depth in range(900, 1000):
        nested = b"[" * depth + b"]" * depth
        try:
            accepted = parse(b'{"model":"m","messages":[],"metadata":{"session_id":"s","a":%b}}' % nested)
        except InvalidRequestError:
            continue
        assert attribute([], accepted).session in ("s", None)


NAMES = st.sampled_from(
    [
        b"x-litellm-tags",
        b"x-litellm-end-user-id",
        b"helicone-user-id",
        b"helicone-session-id",
        b"helicone-property-\xff",
        b"x-portkey-metadata",
        b"x-session-id",
        b"baggage",
    ]
)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=30) | st.just(b'{"a":"\\u0000"}')), max_size=6))
def test_any_bytes_in_headers(headers: Headers) -> None:
    found = attribute(headers, None)
    for text in (found.end_user, found.session, *(found.tags or ())):
        assert text is None or "\x00" not in text
        (text or "").encode()
