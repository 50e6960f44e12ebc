"""What the relay reads of a request, what it refuses, and the one option it may add."""

import json
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.errors import DuplicateKeyError, InvalidRequestError
from service.relay.members import members, set_member
from service.relay.request import WHOLE_DECODE_VALUES, ChatRequest, parse, with_model, with_usage_option
from tests.relay.test_members import objects

CHAT = b'"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}]'
MANY_VALUES = b'"pad":[%b0]' % (b"[]," * (WHOLE_DECODE_VALUES * 4))
"""Makes a body so large that it is not decoded whole."""


def chat(*members: bytes) -> bytes:
    return b"{%b}" % b",".join((CHAT, *members))


READ = [
    (b'"stream":true', "stream", True),
    (b'"stream":null', "stream", None),
    (b'"stream":false', "stream", False),
    (b'"n":2', "n", 2),
    (b'"max_tokens":' + b"9" * 30, "max_tokens", int("9" * 30)),
    (b'"max_completion_tokens":-1', "max_completion_tokens", -1),
    (b'"user":"\\u00fc"', "user", "ü"),
    (b'"us\\u0065r":"escaped name"', "user", "escaped name"),
    (b'"safety_identifier":""', "safety_identifier", ""),
    (b'"service_tier":"flex"', "service_tier", "flex"),
]


@pytest.mark.parametrize(("member", "name", "value"), READ, ids=lambda each: str(each)[:40])
def test_what_is_read(member: bytes, name: str, value: Any) -> None:
    assert getattr(parse(chat(member)), name) == value


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (b'{"include_usage":true}', True),
        (b'{"include_usage":false}', False),
        (b'{"include_usage":null}', False),
        (b"{}", False),
        (b"null", False),
    ],
)
def test_whether_the_client_wants_usage(options: bytes, wanted: bool) -> None:  # noqa: FBT001  (a table's column)
    assert parse(chat(b'"stream_options":' + options)).wants_usage is wanted


SOUND = [
    b'{"messages":[],"model":"m"}',
    b' \r\n\t{"model":"m","messages":[]}\n',
    b'{"model":"m","messages":[{"role":"tool","content":null,"extra":[1e300,{}]}]}',
    chat(b'"unknown":1,"unknown":2'),
    chat(b'"x":{"model":1,"model":2}'),
    chat(b'"metadata":{"a":1,"a":2}'),
    chat(b'"metadata":null'),
    chat(b'"x":"' + b"1" * 500 + b'"'),
    chat(b'"x":-0.0e-999'),
    chat(b'"x":' + b"[" * 500 + b"]" * 500),
    chat(MANY_VALUES),
    chat(MANY_VALUES, b'"x":1e300,"y":"[1e999","z":1e-999'),
    chat(MANY_VALUES, b'"x":":1e999,\\""'),
]


@pytest.mark.parametrize("body", SOUND, ids=range(len(SOUND)))
def test_unknown_members_and_odd_shapes_pass(body: bytes) -> None:
    assert parse(body).model in ("m", "gpt-4o")


REFUSED: list[tuple[bytes, str | None, str]] = [
    (b"", None, "no body"),
    (b" ", None, "not valid JSON"),
    (b"{", None, "not valid JSON"),
    (b"null", None, "expected `object`"),
    (b"[]", None, "expected `object`"),
    (b'"model"', None, "expected `object`"),
    (b"\xef\xbb\xbf{%b}" % CHAT, None, "not valid JSON"),
    (b"{%b}{}" % CHAT, None, "not valid JSON"),
    (b"{%b,}" % CHAT, None, "not valid JSON"),
    ((b"{%b}" % CHAT).decode().encode("utf-16"), None, "not valid JSON"),
    (chat(b'"x":NaN'), None, "not valid JSON"),
    (chat(b'"x":-Infinity'), None, "not valid JSON"),
    (chat(b'"x":01'), None, "not valid JSON"),
    (chat(b'"x":"\n"'), None, "not valid JSON"),
    (chat(b'"x":"\\ud800"'), None, "not valid JSON"),
    (chat(b'"x":"\xff"'), None, "not valid JSON"),
    (chat(b'"x":"\xff"', MANY_VALUES), None, "not valid JSON"),
    (chat(b'"x":1e400'), None, "out of range"),
    (chat(b'"x":' + b"1" * 5000), None, "out of range"),
    (chat(MANY_VALUES, b'"x":1e400'), None, "out of range"),
    (chat(MANY_VALUES, b'"x":[ -' + b"1" * 400 + b"]"), None, "out of range"),
    (chat(MANY_VALUES, b'"y":" \\" :1e999","x":\n0.1E+400'), None, "out of range"),
    (chat(b'"x":' + b"[" * 10_000 + b"]" * 10_000), None, "nested too deeply"),
    (chat(b'"x":' + b'{"":' * 10_000 + b"0" + b"}" * 10_000), None, "nested too deeply"),
    (chat(b'"metadata":{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}"), None, "nested too deeply"),
    (b'{"messages":[]}', "model", "is required"),
    (b'{"model":"m"}', "messages", "is required"),
    (b'{"model":"","messages":[]}', "model", "non-empty"),
    (b'{"model":null,"messages":[]}', "model", "expected `str`, got `null`"),
    (b'{"model":1,"messages":[]}', "model", "expected `str`"),
    (b'{"model":"m","messages":null}', "messages", "expected `array`"),
    (b'{"model":"m","messages":{}}', "messages", "expected `array`"),
    (b'{"model":"m","messages":"hi"}', "messages", "expected `array`"),
    (b'{"model":"m","messages":["hi"]}', "messages[0]", "expected `object`"),
    (b'{"model":"m","messages":[{"role":"user"},{}]}', "messages[1].role", "is required"),
    (b'{"model":"m","messages":[{"role":null}]}', "messages[0].role", "expected `str`"),
    (chat(b'"stream":"true"'), "stream", "expected `bool | null`"),
    (chat(b'"stream":1'), "stream", "expected `bool | null`"),
    (chat(b'"stream_options":[]'), "stream_options", "expected `object | null`"),
    (chat(b'"stream_options":{"include_usage":1}'), "stream_options.include_usage", "expected `bool | null`"),
    (chat(b'"n":1.5'), "n", "expected `int | null`"),
    (chat(b'"n":true'), "n", "expected `int | null`"),
    (chat(b'"max_tokens":"5"'), "max_tokens", "expected `int | null`"),
    (chat(b'"max_completion_tokens":{}'), "max_completion_tokens", "expected `int | null`"),
    (chat(b'"user":1'), "user", "expected `str | null`"),
    (chat(b'"safety_identifier":[]'), "safety_identifier", "expected `str | null`"),
    (chat(b'"service_tier":0'), "service_tier", "expected `str | null`"),
    (chat(b'"metadata":[]'), "metadata", "expected `object | null`"),
    (chat(b'"metadata":"x"'), "metadata", "expected `object | null`"),
    (chat(b'"metadata":0'), "metadata", "expected `object | null`"),
]


@pytest.mark.parametrize(("body", "param", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(body: bytes, param: str | None, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message.replace("|", r"\|")) as caught:
        parse(body)
    assert type(caught.value) is InvalidRequestError
    assert caught.value.param == param
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ChatRequest.__struct_fields__)
@pytest.mark.parametrize("escaped", [False, True])
def test_two_members_of_one_name_are_refused(name: str, escaped: bool) -> None:  # noqa: FBT001  (a parameter)
    twice = f"\\u00{ord(name[0]):02x}{name[1:]}" if escaped else name
    value = {"model": '"m"', "messages": "[]"}.get(name, "null")
    body = chat(f'"{name}":{value}'.encode(), f'"{twice}":{value}'.encode())
    with pytest.raises(DuplicateKeyError, match=f"`{name}`") as caught:
        parse(body)
    assert caught.value.param == name


def test_depth_is_judged_alike_wherever_members_are_looked_for() -> None:
    for depth in range(900, 1010):
        body = chat(b'"stream_options":{},"\\u0041":' + b"[" * depth + b"]" * depth)
        try:
            parse(body)
        except InvalidRequestError as refusal:
            assert "too deeply" in str(refusal)  # noqa: PT017  (either outcome is sound)
            continue
        assert b'{"include_usage":true}' in with_usage_option(body)


HEAVY = {
    "image": chat(b'"x":"' + b"A" * (4 << 20) + b'"'),
    "escapes": chat(b'"x":"' + b"a\\n" * (1 << 20) + b'"'),
    "empty lists": chat(b'"x":[' + b"[]," * (1 << 20) + b"0]"),
    "empty lists, and an escape": chat(b'"\\u0041":0,"x":[' + b"[]," * (1 << 20) + b"0]"),
    "metadata": chat(b'"metadata":{"x":[' + b"[]," * (1 << 20) + b"0]}"),
    "messages": b'{"model":"m","messages":[' + b'{"role":""},' * (1 << 18) + b'{"role":""}]}',
    "members": chat(b",".join([b'"x":0'] * (1 << 19))),
}


@pytest.mark.parametrize("body", HEAVY.values(), ids=HEAVY.keys())
def test_memory_stays_within_ten_times_the_body(body: bytes) -> None:
    tracemalloc.start()
    try:
        parse(body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * len(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    read_or_refused(body)


@given(st.data())
def test_any_damage_is_read_or_refused(data: st.DataObject) -> None:
    body = bytearray(
        chat(b'"stream":true,"stream_options":{"include_usage":false},"metadata":{"\\u0061":[1e5]}')
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    read_or_refused(bytes(body))


def read_or_refused(body: bytes) -> None:
    try:
        request = parse(body)
    except InvalidRequestError:
        return
    assert request.model
    assert parse(with_usage_option(body)).wants_usage


# Adding the option

SHAPES = [
    (b"{%b}" % CHAT, b'{"stream_options":{"include_usage":true},%b}' % CHAT),
    (b" {\n%b}\r\n" % CHAT, b' {"stream_options":{"include_usage":true},\n%b}\r\n' % CHAT),
    (chat(b'"stream_options":null'), chat(b'"stream_options":{"include_usage":true}')),
    (chat(b'"stream_options": { } '), chat(b'"stream_options": {"include_usage":true } ')),
    (chat(b'"stream_options":{"a":1}'), chat(b'"stream_options":{"include_usage":true,"a":1}')),
    (
        chat(b'"stream_options":{ "a" : 1.0, "include_usage" : false }'),
        chat(b'"stream_options":{ "a" : 1.0, "include_usage" : true }'),
    ),
    (
        chat(b'"stream_options":{"include_usage":null}', b'"b":2'),
        chat(b'"stream_options":{"include_usage":true}', b'"b":2'),
    ),
    (chat(b'"stream\\u005foptions":{}'), chat(b'"stream\\u005foptions":{"include_usage":true}')),
    (
        chat(b'"x":"stream_options"'),
        b'{"stream_options":{"include_usage":true},%b' % chat(b'"x":"stream_options"')[1:],
    ),
    (
        chat(b'"x":{"stream_options":{}}'),
        b'{"stream_options":{"include_usage":true},%b' % chat(b'"x":{"stream_options":{}}')[1:],
    ),
    (
        chat(b'"x":"\\u00e4 \xf0\x9f\x99\x82"'),
        b'{"stream_options":{"include_usage":true},%b' % chat(b'"x":"\\u00e4 \xf0\x9f\x99\x82"')[1:],
    ),
]


@pytest.mark.parametrize(("body", "asking"), SHAPES, ids=range(len(SHAPES)))
def test_the_option_is_added_and_no_other_byte_changes(body: bytes, asking: bytes) -> None:
    assert with_usage_option(body) == asking


@given(objects())
def test_the_option_is_added_to_any_request(text: str) -> None:
    names = [member.name for member in members(text)]
    before = json.loads(set_member(text, "model", '"m"'))
    assume(names.count("stream_options") < 2)
    assume(isinstance(before.get("stream_options", {}), dict))
    after = json.loads(with_usage_option(set_member(text, "model", '"m"').encode()))
    assert after.pop("stream_options")["include_usage"] is True
    before.pop("stream_options", None)
    assert after == before


def test_another_model_name() -> None:
    assert with_model(b'{"a":[1 , 2], "model" : "m" }', 'ü"') == '{"a":[1 , 2], "model" : "ü\\"" }'.encode()
    assert msgspec.json.decode(with_model(chat(), "other"))["model"] == "other"


@pytest.mark.parametrize(
    "member", [b'"Model":"gpt-4o"', b'"MAX_TOKENS":9', '"max_to\u212aens":9'.encode(), b'"\\u004dodel":"m"']
)
def test_a_member_that_another_parser_may_take_for_one_of_ours_is_refused(member: bytes) -> None:
    body = b'{"model":"m","messages":[],"max_tokens":1,' + member + b"}"
    with pytest.raises(DuplicateKeyError):
        parse(body)


def test_names_of_ours_inside_other_members_are_nobody_s_business() -> None:
    body = b'{"model":"m","messages":[],"tools":[{"Model":1,"model":2}],"metadata":{"USER":"x"}}'
    assert parse(body).model == "m"
