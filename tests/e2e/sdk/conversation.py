"""A conversation of the `openai` SDK for Python with any OpenAI-compatible base URL.

    python -m tests.e2e.sdk.conversation --base-url http://127.0.0.1:4000/v1 --api-key tk_…

Every step is a function of a client and returns what the SDK understood, as plain JSON; `converse` takes all of
them, in the shape `conversation.mjs` prints too, so that one set of assertions holds for both.
"""

import argparse
import asyncio
import json
import sys
from typing import Any

import openai
import pydantic
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import (
    ChatCompletionMessageFunctionToolCall,
    ChatCompletionMessageParam,
    ChatCompletionToolParam,
)

Facts = dict[str, Any]

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Explain ledgers in 30 words."}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
ASKS_WEATHER: list[ChatCompletionMessageParam] = [{"role": "user", "content": "The weather in Lisbon?"}]


class Invoice(pydantic.BaseModel):
    """What the JSON steps ask for."""

    number: str
    total_cents: int
    paid: bool


def list_models(client: OpenAI, *, model: str) -> Facts:
    listed = [each.id for each in client.models.list()]
    return {"listed": model in listed, "retrieved": client.models.retrieve(model).id}


def complete(client: OpenAI, *, model: str) -> Facts:
    raw = client.chat.completions.with_raw_response.create(model=model, messages=QUESTION, seed=7)
    completion = raw.parse()
    choice = completion.choices[0]
    return {
        "id": completion.id,
        "object": completion.object,
        "model": completion.model,
        "role": choice.message.role,
        "text": choice.message.content,
        "finish_reason": choice.finish_reason,
        "usage": completion.usage.model_dump() if completion.usage else None,
        "request_id": raw.headers.get("x-request-id"),
    }


def stream(client: OpenAI, *, model: str, include_usage: bool) -> Facts:
    options: Facts = {"stream_options": {"include_usage": True}} if include_usage else {}
    text, roles, finish_reasons, usages, ids = "", [], [], [], set()
    opened = client.chat.completions.create(model=model, messages=QUESTION, seed=7, stream=True, **options)
    for chunk in opened:
        ids.add(chunk.id)
        usages += [chunk.usage.model_dump()] if chunk.usage else []
        for choice in chunk.choices:
            text += choice.delta.content or ""
            roles += [choice.delta.role] if choice.delta.role else []
            finish_reasons += [choice.finish_reason] if choice.finish_reason else []
    return {
        "ids": len(ids),
        "text": text,
        "roles": roles,
        "finish_reasons": finish_reasons,
        "usages": usages,
    }


def call_tool(client: OpenAI, *, model: str) -> Facts:
    asked = client.chat.completions.create(model=model, messages=ASKS_WEATHER, tools=[WEATHER])
    message = asked.choices[0].message
    (call,) = message.tool_calls or []
    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    messages: list[ChatCompletionMessageParam] = [
        *ASKS_WEATHER,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
            ],
        },
        {"role": "tool", "tool_call_id": call.id, "content": '{"celsius": 21}'},
    ]
    answered = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    return {
        "content": message.content,
        "name": call.function.name,
        "arguments": sorted(json.loads(call.function.arguments)),
        "finish_reason": asked.choices[0].finish_reason,
        "answered": bool(answered.choices[0].message.content),
    }


def stream_tool(client: OpenAI, *, model: str) -> Facts:
    """The SDK's own accumulation of tool-call deltas."""
    with client.chat.completions.stream(
        model=model, messages=ASKS_WEATHER, tools=[WEATHER], tool_choice="required"
    ) as events:
        choice = events.get_final_completion().choices[0]
    (call,) = choice.message.tool_calls or []
    return {
        "content": choice.message.content,
        "name": call.function.name,
        "arguments": sorted(json.loads(call.function.arguments)),
        "finish_reason": choice.finish_reason,
    }


def two_choices(client: OpenAI, *, model: str) -> Facts:
    completion = client.chat.completions.create(model=model, messages=QUESTION, n=2)
    streamed: dict[int, str] = {0: "", 1: ""}
    for chunk in client.chat.completions.create(model=model, messages=QUESTION, n=2, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    return {
        "indexes": [choice.index for choice in completion.choices],
        "texts": len({choice.message.content for choice in completion.choices}),
        "streamed": [bool(streamed[0]), bool(streamed[1])],
    }


def json_answers(client: OpenAI, *, model: str) -> Facts:
    plain = client.chat.completions.create(
        model=model, messages=QUESTION, response_format={"type": "json_object"}
    )
    parsed = client.chat.completions.parse(model=model, messages=QUESTION, response_format=Invoice)
    invoice = parsed.choices[0].message.parsed
    return {
        "is_object": isinstance(json.loads(plain.choices[0].message.content or ""), dict),
        "parsed": sorted(invoice.model_dump()) if invoice else None,
    }


def length_limit(client: OpenAI, *, model: str) -> Facts:
    completion = client.chat.completions.create(model=model, messages=QUESTION, max_completion_tokens=5)
    return {
        "finish_reason": completion.choices[0].finish_reason,
        "tokens": completion.usage.completion_tokens if completion.usage else None,
    }


def hang_up(client: OpenAI, *, model: str) -> Facts:
    """Leave a long stream after three chunks; the client must be usable afterwards."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Write 5000 words."}]
    received = 0
    with client.chat.completions.create(model=model, messages=messages, stream=True) as opened:
        for _chunk in opened:
            received += 1
            if received == 3:
                break
    return {"received": received, "usable": bool(complete(client, model=model)["text"])}


def errors(client: OpenAI, *, model: str) -> Facts:
    """How the SDK classes what it is refused."""
    wrong_key = client.with_options(api_key="invalid")
    attempts = {
        "wrong_key": lambda: complete(wrong_key, model=model),
        "bad_request": lambda: client.chat.completions.create(model=model, messages=QUESTION, temperature=3),
        "unknown_model": lambda: complete(client, model="no-such-model"),
        "streamed_bad_request": lambda: client.chat.completions.create(
            model=model, messages=QUESTION, n=0, stream=True
        ),
    }
    return {name: _refusal(attempt) for name, attempt in attempts.items()}


def _refusal(attempt: Any) -> Facts | None:
    try:
        attempt()
    except openai.APIStatusError as error:
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "type": error.type,
            "param": error.param,
            "code": error.code,
        }
    return None


async def side_by_side(client: AsyncOpenAI, *, model: str) -> Facts:
    """Eight streams at once on one asynchronous client, one of them abandoned."""

    async def one(index: int) -> str:
        text = ""
        async with await client.chat.completions.create(
            model=model, messages=QUESTION, stream=True, seed=index
        ) as opened:
            async for chunk in opened:
                text += chunk.choices[0].delta.content or "" if chunk.choices else ""
                if index == 0 and text:
                    break
        return text

    async with client:
        texts = await asyncio.gather(*(one(index) for index in range(8)))
    return {"answered": sum(map(bool, texts))}


def converse(base_url: str, *, api_key: str, model: str = "gpt-4o-mini") -> Facts:
    """Every step against *base_url*, which ends in /v1."""
    with OpenAI(base_url=base_url, api_key=api_key, max_retries=0, timeout=60) as client:
        facts: Facts = {
            "sdk": f"openai-python {openai.__version__}",
            "models": list_models(client, model=model),
            "complete": complete(client, model=model),
            "stream": stream(client, model=model, include_usage=True),
            "stream_without_usage": stream(client, model=model, include_usage=False),
            "tool": call_tool(client, model=model),
            "streamed_tool": stream_tool(client, model=model),
            "two_choices": two_choices(client, model=model),
            "json": json_answers(client, model=model),
            "length": length_limit(client, model=model),
            "hang_up": hang_up(client, model=model),
            "errors": errors(client, model=model),
        }
    concurrent = AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0, timeout=60)
    facts["side_by_side"] = asyncio.run(side_by_side(concurrent, model=model))
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-url", required=True, help="ends in /v1")
    parser.add_argument("--api-key", required=True)
    parser.add_argument("--model", default="gpt-4o-mini")
    flags = parser.parse_args()
    facts = converse(flags.base_url, api_key=flags.api_key, model=flags.model)
    sys.stdout.write(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
