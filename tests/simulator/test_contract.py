"""The validator says what the OpenAPI contract says, in OpenAI's words; where it departs is listed here."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from service.simulator.contract import violation

CONTRACT = json.loads((Path(__file__).parents[1] / "support" / "chat-completions.openapi.json").read_bytes())
_OPERATION = CONTRACT["paths"]["/v1/chat/completions"]["post"]
REQUEST_SCHEMA = _OPERATION["requestBody"]["content"]["application/json"]["schema"]

MESSAGES = [{"role": "user", "content": "hi"}]
BODY: dict[str, Any] = {"model": "gpt-4o", "messages": MESSAGES}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}

# What the contract allows and this refuses, as OpenAI does: (param, code).
STRICTER = {
    (None, None),  # an empty model name
    ("messages", "empty_array"),
    ("max_tokens", "integer_below_min_value"),
    ("max_completion_tokens", "integer_below_min_value"),
    ("n", "integer_above_max_value"),
    ("stream_options", None),  # without stream: true
    ("tool_choice", None),  # without the tool it names
    ("response_format.json_schema", "missing_required_parameter"),
}

CASES: list[tuple[dict[str, Any], str | None, str | None]] = [
    ({"temperature": 2.01}, "temperature", "decimal_above_max_value"),
    ({"temperature": -0.1}, "temperature", "decimal_below_min_value"),
    ({"temperature": "1"}, "temperature", "invalid_type"),
    ({"temperature": True}, "temperature", "invalid_type"),
    ({"top_p": 1.5}, "top_p", "decimal_above_max_value"),
    ({"n": 0}, "n", "integer_below_min_value"),
    ({"n": 1.5}, "n", "invalid_type"),
    ({"n": 129}, "n", "integer_above_max_value"),
    ({"stream": "yes"}, "stream", "invalid_type"),
    ({"stream_options": {"include_usage": True}}, "stream_options", None),
    (
        {"stream": True, "stream_options": {"include_usage": 1}},
        "stream_options.include_usage",
        "invalid_type",
    ),
    ({"stop": 3}, "stop", "invalid_type"),
    ({"stop": ["a", 3]}, "stop[1]", "invalid_type"),
    ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
    ({"presence_penalty": -2.5}, "presence_penalty", "decimal_below_min_value"),
    ({"logit_bias": {"50256": "never"}}, "logit_bias.50256", "invalid_type"),
    ({"reasoning_effort": "minimal"}, "reasoning_effort", "invalid_value"),
    ({"modalities": ["text", "smell"]}, "modalities[1]", "invalid_value"),
    ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
    (
        {"response_format": {"type": "json_schema"}},
        "response_format.json_schema",
        "missing_required_parameter",
    ),
    (
        {"tools": [{"type": "function", "function": {}}]},
        "tools[0].function.name",
        "missing_required_parameter",
    ),
    ({"tool_choice": "required"}, "tool_choice", None),
    ({"tool_choice": "always", "tools": [TOOL]}, "tool_choice", "invalid_value"),
    (
        {"tool_choice": {"type": "function", "function": {"name": "other"}}, "tools": [TOOL]},
        "tool_choice",
        None,
    ),
    ({"messages": []}, "messages", "empty_array"),
    ({"messages": None}, "messages", "missing_required_parameter"),
    ({"messages": {"role": "user"}}, "messages", "invalid_type"),
    ({"messages": [None]}, "messages[0]", "invalid_type"),
    ({"messages": [{"role": "function", "content": ""}]}, "messages[0].role", "invalid_value"),
    ({"messages": [{"content": "hi"}]}, "messages[0].role", "missing_required_parameter"),
    (
        {"messages": [*MESSAGES, {"role": "user", "content": None}]},
        "messages[1].content",
        "missing_required_parameter",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"detail": "max"}}]}]},
        "messages[0].content[0].image_url.detail",
        "invalid_value",
    ),
    (
        {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
        "messages[0].content[0].type",
        "missing_required_parameter",
    ),
    ({"model": ""}, None, None),
    ({"model": 4}, "model", "invalid_type"),
]


@pytest.mark.parametrize(("change", "param", "code"), CASES, ids=[json.dumps(case[0])[:60] for case in CASES])
def test_a_breach_names_the_parameter_and_the_code(
    change: dict[str, Any], param: str | None, code: str | None
) -> None:
    found = violation(BODY | change)
    assert found is not None
    assert (found.param, found.code) == (param, code)


ACCEPTED: list[dict[str, Any]] = [
    {},
    {"temperature": 0, "top_p": 1, "n": 2.0, "stop": None, "seed": -1, "max_tokens": None, "user": "u"},
    {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
    {"stop": ["a", "b"], "logit_bias": {"1": -100, "2": 0.5}, "reasoning_effort": "high"},
    {"tools": [TOOL], "tool_choice": "auto"},
    {"tools": [TOOL], "tool_choice": "required"},
    {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
    {"messages": [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": [CALL]}]},
    {"messages": [*MESSAGES, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "content": "21"}]},
    {"messages": [{"role": "developer", "content": [{"type": "text", "text": "be kind"}]}]},
    {"a_member_of_the_future": {"anything": [1, None]}},
]


@pytest.mark.parametrize("change", ACCEPTED, ids=lambda change: json.dumps(change)[:60])
def test_what_real_clients_send_is_accepted(change: dict[str, Any]) -> None:
    assert violation(BODY | change) is None


@pytest.mark.parametrize("body", [[], "text", 4, None])
def test_a_body_is_an_object(body: Any) -> None:
    found = violation(body)
    assert found is not None
    assert found.param is None


def test_a_message_reads_like_openai() -> None:
    assert str(violation(BODY | {"n": 0})) == (
        "Violation(message=\"Invalid 'n': integer below minimum value. "
        "Expected a value >= 1, but got 0 instead.\", param='n', code='integer_below_min_value')"
    )


_SCALARS = st.one_of(
    st.booleans(),
    st.integers(-3, 3),
    st.floats(-3, 3),
    st.sampled_from(["text", "auto", "low", "user", "json_object", "required", "x", ""]),
)
_MEMBER_NAMES = st.sampled_from(
    ["type", "role", "content", "include_usage", "function", "name", "text", "voice"]
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_MEMBER_NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(member=st.sampled_from(sorted(REQUEST_SCHEMA["properties"])), value=_VALUES)
def test_any_value_is_judged_as_the_contract_judges_it(member: str, value: Any) -> None:
    body = BODY | {member: value}
    found = violation(body)
    if not Draft202012Validator(REQUEST_SCHEMA).is_valid(body):
        assert found is not None
    elif found is not None:
        stricter = (found.param, found.code) in STRICTER
        untyped = str(found.param).endswith((".type", ".name")) and found.code == "missing_required_parameter"
        assert stricter or untyped
