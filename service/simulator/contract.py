"""Does a request body keep the contract of `POST /v1/chat/completions`? Pure.

`REQUEST` is the contract as a value: members, types, enums, ranges. Where the contract is silent or could not be
kept by real clients, this follows OpenAI:

- an assistant message with `tool_calls` may have `content: null` or none;
- `messages` is not empty, `max_tokens` is at least 1, `n` at most 128, `model` not empty;
- content parts name their `type`; `stream_options` needs `stream: true`; a JSON schema answer needs its schema.

`reasoning_effort` is low, medium or high, as the contract says: "minimal" and "none" are refused.
"""

from collections.abc import Mapping
from typing import Any

from service.simulator.rules import (
    Flag,
    Integer,
    Items,
    Members,
    Number,
    OneOf,
    Rule,
    Text,
    Violation,
    check,
    missing,
)

_CONTENT_PART = Members(
    {
        "type": Text(("text", "image_url", "input_audio", "file", "video_url")),
        "text": Text(),
        "image_url": Members({"url": Text(), "detail": Text(("low", "high", "auto"))}),
        "input_audio": Members({"data": Text(), "format": Text(("wav", "mp3"))}),
        "file": Members({"filename": Text(), "file_data": Text(), "file_id": Text()}),
        "video_url": Members({"url": Text()}),
    },
    required=("type",),
)
_MESSAGE = Members(
    {
        "role": Text(("system", "user", "assistant", "tool", "developer")),
        "content": OneOf((Text(), Items(_CONTENT_PART))),
        "name": Text(),
        "tool_calls": Items(
            Members(
                {"id": Text(), "type": Text(), "function": Members({"name": Text(), "arguments": Text()})}
            )
        ),
        "tool_call_id": Text(),
        "reasoning_content": Text(),
    },
    required=("role",),
)
_TOOL = Members(
    {
        "type": Text(),
        "function": Members(
            {"name": Text(), "description": Text(), "parameters": Members()}, required=("name",)
        ),
    }
)
_TOOL_CHOICE = OneOf(
    (
        Text(("none", "auto", "required")),
        Members({"type": Text(), "function": Members({"name": Text()})}),
    )
)
_RESPONSE_FORMAT = Members(
    {"type": Text(("text", "json_object", "json_schema")), "json_schema": Members({"schema": Members()})}
)
_MEMBERS: Mapping[str, Rule] = {
    "model": Text(),
    "messages": Items(_MESSAGE, may_be_empty=False),
    "temperature": Number(minimum=0, maximum=2),
    "top_p": Number(minimum=0, maximum=1),
    "n": Integer(minimum=1, maximum=128),
    "stream": Flag(),
    "stream_options": Members({"include_usage": Flag()}),
    "stop": OneOf((Text(), Items(Text()))),
    "max_tokens": Integer(minimum=1),
    "max_completion_tokens": Integer(minimum=1),
    "presence_penalty": Number(minimum=-2, maximum=2),
    "frequency_penalty": Number(minimum=-2, maximum=2),
    "logit_bias": Members(others=Number()),
    "user": Text(),
    "tools": Items(_TOOL),
    "tool_choice": _TOOL_CHOICE,
    "response_format": _RESPONSE_FORMAT,
    "seed": Integer(),
    "reasoning_effort": Text(("low", "medium", "high")),
    "modalities": Items(Text(("text", "audio"))),
    "audio": Members({"voice": Text(), "format": Text()}),
    "service_tier": Text(("auto", "default", "flex", "scale", "priority", "fast")),
}

REQUEST = Members(_MEMBERS, required=("model", "messages"))


def violation(body: Any) -> Violation | None:
    """The first breach of the contract by a decoded request body, or None when it keeps it."""
    if not isinstance(body, dict):
        return Violation("Invalid body: expected a JSON object.", None, None)
    return check(body, REQUEST, path="") or _across_members(body)


def _across_members(body: Mapping[str, Any]) -> Violation | None:
    """What the type of one member cannot say alone."""
    if not body["model"]:
        return Violation("you must provide a model parameter", None, None)
    for index, message in enumerate(body["messages"]):
        may_be_silent = message["role"] == "assistant" and message.get("tool_calls")
        if message.get("content") is None and not may_be_silent:
            return missing(f"messages[{index}].content")
    if body.get("stream_options") is not None and not body.get("stream"):
        return Violation(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
            None,
        )
    answer_format = body.get("response_format") or {}
    if answer_format.get("type") == "json_schema" and not answer_format.get("json_schema"):
        return missing("response_format.json_schema")
    return _forced_tool(body)


def _forced_tool(body: Mapping[str, Any]) -> Violation | None:
    choice = body.get("tool_choice")
    names = [tool["function"]["name"] for tool in body.get("tools") or () if tool.get("function")]
    if choice in (None, "none", "auto"):
        return None
    if not names:
        return Violation(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
            "tool_choice",
            None,
        )
    wanted = choice["function"].get("name") if isinstance(choice, dict) and choice.get("function") else None
    if wanted is not None and wanted not in names:
        return Violation(
            f"Invalid value for 'tool_choice': no function named '{wanted}' was specified in the 'tools'.",
            "tool_choice",
            None,
        )
    return None
