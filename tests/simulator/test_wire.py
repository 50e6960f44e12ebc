"""The wire form: the contract's response schema, the order of a stream, and stream = body."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from service.simulator import wire
from service.simulator.answers import Answer
from tests.simulator.making import NOW, answer_to, request_for
from tests.simulator.test_contract import CONTRACT

_RESPONSES = CONTRACT["paths"]["/v1/chat/completions"]["post"]["responses"]
RESPONSE_SCHEMA = _RESPONSES["200"]["content"]["application/json"]["schema"]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
SPOKEN = {"model": "gpt-4o-audio-preview", "modalities": ["text", "audio"]}


def chunks(answer: Answer, *, usage: wire.UsageForm = "none") -> Iterator[dict[str, Any]]:
    for frame in wire.frames(answer, usage=usage):
        if frame.kind != "done":
            yield json.loads(frame.payload)


@pytest.mark.parametrize("members", [{}, {"n": 3}, {"model": "gpt-5"}, {"max_tokens": 3}])
def test_a_body_keeps_the_contract(members: dict[str, Any]) -> None:
    body = msgspec.to_builtins(wire.body(answer_to(request_for(**members))))
    Draft202012Validator(RESPONSE_SCHEMA).validate(body)
    ChatCompletion.model_validate(body, strict=True)


def test_a_body_has_every_member_openai_sends() -> None:
    body = wire.body(answer_to(request_for()))
    assert list(body) == [
        "id",
        "object",
        "created",
        "model",
        "choices",
        "usage",
        "service_tier",
        "system_fingerprint",
    ]
    (choice,) = body["choices"]
    assert list(choice) == ["index", "message", "logprobs", "finish_reason"]
    assert list(choice["message"]) == ["role", "content", "refusal", "annotations"]
    assert body["created"] == NOW
    assert set(body["usage"]) == {
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
    }


@pytest.mark.parametrize(
    "members", [{}, {"n": 3}, {"tools": TOOLS, "tool_choice": "required"}, SPOKEN, {"max_tokens": 1}]
)
def test_every_chunk_is_one_the_sdk_knows(members: dict[str, Any]) -> None:
    for chunk in chunks(answer_to(request_for(**members)), usage="final"):
        ChatCompletionChunk.model_validate(chunk, strict=True)


def test_a_stream_goes_role_pieces_finish_usage_done() -> None:
    answer = answer_to(request_for())
    kinds = [frame.kind for frame in wire.frames(answer, usage="final")]
    assert kinds == ["role", *["piece"] * len(answer.choices[0].text), "finish", "usage", "done"]


def test_a_stream_says_what_the_body_says() -> None:
    answer = answer_to(request_for(n=2))
    texts = {0: "", 1: ""}
    for chunk in chunks(answer):
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
    assert [texts[0], texts[1]] == [each["message"]["content"] for each in wire.body(answer)["choices"]]


def test_usage_comes_only_if_asked_for() -> None:
    answer = answer_to(request_for())
    assert all("usage" not in chunk for chunk in chunks(answer))
    *before, last = chunks(answer, usage="final")
    assert all(chunk["usage"] is None for chunk in before)
    assert last["choices"] == []
    assert last["usage"] == answer.usage


def test_usage_can_be_null_to_the_end() -> None:
    assert [chunk["usage"] for chunk in chunks(answer_to(request_for()), usage="null")][-1] is None


def test_usage_can_stand_beside_the_last_finish_reason() -> None:
    answer = answer_to(request_for(n=2))
    carriers = [chunk for chunk in chunks(answer, usage="last_chunk") if "usage" in chunk]
    assert [chunk["usage"] for chunk in carriers] == [answer.usage]
    assert carriers[0]["choices"][0]["finish_reason"] == "stop"
    assert carriers[0]["choices"][0]["index"] == 1


def test_usage_can_grow_with_every_chunk_by_choice() -> None:
    answer = answer_to(request_for(n=2))
    *growing, last = chunks(answer, usage="every_chunk")
    counts = [each["usage"]["completion_tokens"] for each in growing if each["choices"][0]["index"] == 0]
    said = len(answer.choices[0].text)
    assert counts == [0, *range(1, said + 1), said]
    assert last["usage"] == answer.usage


def test_tool_calls_stream_their_arguments() -> None:
    answer = answer_to(request_for(tools=TOOLS, tool_choice="required"))
    (call,) = wire.body(answer)["choices"][0]["message"]["tool_calls"]
    first, opened, *rest, finish = chunks(answer)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": None, "refusal": None}
    begun = opened["choices"][0]["delta"]["tool_calls"][0]
    assert begun == {
        "index": 0,
        "id": call["id"],
        "type": "function",
        "function": {"name": "get_weather", "arguments": ""},
    }
    arguments = [each["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] for each in rest]
    assert "".join(arguments) == call["function"]["arguments"]
    assert finish["choices"][0]["finish_reason"] == "tool_calls"


def test_speech_streams_its_transcript_its_sound_and_its_expiry() -> None:
    answer = answer_to(request_for("Write 200 words.", **SPOKEN))
    spoken = wire.body(answer)["choices"][0]["message"]["audio"]
    deltas = [chunk["choices"][0]["delta"].get("audio", {}) for chunk in chunks(answer)]
    assert "".join(each.get("transcript", "") for each in deltas) == spoken["transcript"]
    assert "".join(each.get("data", "") for each in deltas) == spoken["data"]
    assert [each["expires_at"] for each in deltas if "expires_at" in each] == [spoken["expires_at"]]


def test_a_stream_takes_the_time_of_one_choice() -> None:
    answer = answer_to(request_for(n=3))
    tokens = sum(frame.tokens for frame in wire.frames(answer, usage="none"))
    assert tokens == len(answer.choices[0].text)
