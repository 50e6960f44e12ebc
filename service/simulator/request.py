"""What a valid request body asks of the simulated model. Pure.

`read_request` expects a body that `contract.violation` accepted; absent and null are the same.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

_TIERS = {None: "default", "auto": "default", "fast": "priority"}


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One chat completion request, reduced to what shapes the answer."""

    model: str
    messages: tuple[Mapping[str, Any], ...]
    stream: bool
    has_stream_options: bool
    include_usage: bool
    n: int
    max_tokens: int | None
    stops: tuple[str, ...]
    seed: int | None
    tools: Mapping[str, Mapping[str, Any]]  # parameters' JSON Schema by function name
    tool_choice: str  # none, auto, required, or the name of the function to call
    parallel_tool_calls: bool
    answers_json: bool
    json_schema: Mapping[str, Any] | None
    reasoning_effort: str
    audio: bool
    service_tier: str  # as the answer reports it


def read_request(body: Mapping[str, Any]) -> ChatRequest:
    """The request that a valid *body* makes."""
    limits = [int(body[name]) for name in ("max_tokens", "max_completion_tokens") if body.get(name)]
    answer_format = body.get("response_format") or {}
    tools = _tools(body)
    tier = body.get("service_tier")
    return ChatRequest(
        model=body["model"],
        messages=tuple(body["messages"]),
        stream=bool(body.get("stream")),
        has_stream_options=body.get("stream_options") is not None,
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        n=int(body.get("n") or 1),
        max_tokens=min(limits) if limits else None,
        stops=_stops(body.get("stop")),
        seed=None if body.get("seed") is None else int(body["seed"]),
        tools=tools,
        tool_choice=_tool_choice(body.get("tool_choice"), tools=tools),
        parallel_tool_calls=body.get("parallel_tool_calls") is not False,
        answers_json=answer_format.get("type") in ("json_object", "json_schema"),
        json_schema=(answer_format.get("json_schema") or {}).get("schema"),
        reasoning_effort=body.get("reasoning_effort") or "medium",
        audio="audio" in (body.get("modalities") or ()),
        service_tier=_TIERS.get(tier, tier or "default"),
    )


def last_text(messages: tuple[Mapping[str, Any], ...]) -> str:
    """The text of the last message of the user, without images and sound."""
    said = next((one for one in reversed(messages) if one["role"] == "user"), None)
    return "" if said is None else text_of(said)


def text_of(message: Mapping[str, Any]) -> str:
    """All text of one message."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text") or "" for part in content)


def _stops(stop: Any) -> tuple[str, ...]:
    listed = [stop] if isinstance(stop, str) else stop or []
    return tuple(each for each in listed if each)


def _tools(body: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    functions = [tool["function"] for tool in body.get("tools") or () if tool.get("function")]
    return {function["name"]: function.get("parameters") or {} for function in functions}


def _tool_choice(choice: Any, *, tools: Mapping[str, Any]) -> str:
    if not tools:
        return "none"
    if isinstance(choice, Mapping):
        return (choice.get("function") or {}).get("name") or "required"
    return choice or "auto"
