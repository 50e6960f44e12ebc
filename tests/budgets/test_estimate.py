"""The upper bound of a request's cost: sound for whatever a provider may bill, and no larger than it has to be."""

import base64
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from genai_prices.data import providers
from genai_prices.types import Provider
from hypothesis import given
from hypothesis import strategies as st

from service.budgets.estimate import (
    Demand,
    affordable_output_tokens,
    estimate_nanos,
    most_input_tokens,
    most_output_tokens,
)
from service.budgets.model_limits import FAMILIES, UNKNOWN, ModelLimits, limits_of
from service.pricing.card import ModelMatch, PriceCard, Rates, flat
from service.pricing.rating import rate
from service.usage.tokens import TokenUsage

AT = datetime(2026, 11, 1, tzinfo=UTC)
SMALL = ModelLimits(context_window=1_000, max_output_tokens=100, image_tokens=50)
CARD = PriceCard(
    id="card",
    source="override",
    source_version="1",
    scope="global",
    model="m",
    match=ModelMatch(exact=("m",)),
    rates=Rates(input=flat(2_000), output=flat(8_000)),
)


def demand(text: str = "hello", **fields: Any) -> Demand:
    messages = [{"role": "user", "content": text}]
    return Demand(body=msgspec.json.encode({"model": "m", "messages": messages}), messages=1, **fields)


def with_parts(*parts: Any) -> Demand:
    body = {"model": "m", "messages": [{"role": "user", "content": list(parts)}]}
    return Demand(body=msgspec.json.encode(body), messages=1)


IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}


@given(st.text(), st.integers(0, 10**9), st.integers(1, 4))
def test_every_answer_within_the_bounds_costs_no_more(text: str, asked: int, choices: int) -> None:
    asking = demand(text, max_completion_tokens=asked, n=choices)
    limits = ModelLimits(context_window=100_000, max_output_tokens=10)
    bound = estimate_nanos(asking, card=CARD, limits=limits)
    assert bound is not None
    usage = TokenUsage(
        input_tokens=min(len(text.encode()) + 4, 100_000),
        output_tokens=min(asked, 100_000) * choices,
        reasoning_output_tokens=0,
        cache_read_input_tokens=0,
    )
    cost = rate(usage, CARD, at=AT).cost_nanos
    assert cost is not None
    assert cost <= bound


def test_the_prompt_is_bounded_by_its_bytes_and_by_the_window() -> None:
    short = demand("x" * 100)
    assert most_input_tokens(short, limits=SMALL) == len(short.body) + 8 + 64
    assert most_input_tokens(demand("x" * 5_000), limits=SMALL) == 1_000


def test_tools_bring_instructions_of_their_own() -> None:
    plain = Demand(body=b'{"model":"m","messages":[]}', messages=0)
    tools = Demand(body=b'{"model":"m","messages":[],"tools":[]}', messages=0)
    wide = ModelLimits(context_window=10_000, max_output_tokens=1)
    assert most_input_tokens(tools, limits=wide) - most_input_tokens(plain, limits=wide) == 11 + 1_024


def test_images_count_apart_from_their_bytes() -> None:
    wide = ModelLimits(context_window=10_000, max_output_tokens=1, image_tokens=1_445)
    two = with_parts(IMAGE, IMAGE)
    assert most_input_tokens(two, limits=wide) == len(two.body) + 8 + 64 + 2 * 1_445
    unknown = ModelLimits(context_window=10_000, max_output_tokens=1)
    assert most_input_tokens(two, limits=unknown) == 10_000


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        ({"type": "file", "file": {"file_id": "f"}}, 1_000),
        ({"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}}, 1_000),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, None),
        ({"type": "text", "text": "file image_url"}, None),
    ],
)
def test_media_that_may_be_of_any_length_fill_the_window(part: Any, tokens: int | None) -> None:
    asking = with_parts(part)
    assert most_input_tokens(asking, limits=SMALL) == (tokens or len(asking.body) + 8 + 64)


def test_audio_has_fewer_tokens_than_bytes() -> None:
    seconds = 10
    opus_at_6_kbps = base64.b64encode(bytes(seconds * 6_000 // 8)).decode()
    asking = with_parts({"type": "input_audio", "input_audio": {"data": opus_at_6_kbps, "format": "opus"}})
    assert most_input_tokens(asking, limits=UNKNOWN) > seconds * 50


@pytest.mark.parametrize(
    "part",
    [
        b'{"type":"\\u0069mage_url","image_url":{"url":"https://example.org/a.png"}}',
        b'{"ty\\u0070e":"image_url","image_url":{"url":"https://example.org/a.png"}}',
        b'{"\\u0074ype" : "image_url"}',
        b'{"type" : "im\\u0061ge_url"}',
    ],
)
def test_what_hides_behind_an_escape_may_be_anything(part: bytes) -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":[' + part + b"]}]}"
    assert most_input_tokens(Demand(body=body, messages=1), limits=SMALL) == 1_000


def test_escaped_text_is_only_text() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"caf\\u00e9, na\\u00efve"}]}'
    assert most_input_tokens(Demand(body=body, messages=1), limits=SMALL) == len(body) + 8 + 64


def test_a_tool_with_a_parameter_called_file_is_not_a_file() -> None:
    body = b'{"model":"m","messages":[],"tools":[{"parameters":{"properties":{"file":{"type":"string"}}}}]}'
    wide = ModelLimits(context_window=10_000, max_output_tokens=1)
    assert most_input_tokens(Demand(body=body, messages=0), limits=wide) == len(body) + 64 + 1_024


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({}, 100),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 9}, 9),
        ({"max_tokens": 7, "max_completion_tokens": 9}, 9),  # whichever the upstream knows
        ({"max_tokens": 7, "n": 3}, 21),
        ({"n": 3}, 300),
        ({"n": 0, "max_tokens": 7}, 7),
        ({"n": -4, "max_tokens": 7}, 7),
        ({"n": 10**30, "max_tokens": 7}, 7 * 128),
        ({"max_tokens": -7}, 0),
        ({"max_tokens": 10**30}, 1_000),
    ],
)
def test_the_answer_is_bounded_by_what_was_asked_for(fields: dict[str, Any], tokens: int) -> None:
    assert most_output_tokens(demand(**fields), limits=SMALL) == tokens


def test_without_a_price_there_is_no_bound() -> None:
    assert estimate_nanos(demand(), card=None, limits=SMALL) is None
    nothing = msgspec.structs.replace(CARD, rates=Rates())
    assert estimate_nanos(demand(), card=nothing, limits=SMALL) is None


def test_the_longest_answer_that_can_be_paid_for() -> None:
    asking = demand("hi", n=2)
    longest = affordable_output_tokens(asking, card=CARD, limits=SMALL, remaining_nanos=1_500)
    assert longest is not None
    assert 0 < longest < 100

    def cost(tokens: int) -> int:
        capped = demand("hi", n=2, max_completion_tokens=tokens)
        found = estimate_nanos(capped, card=CARD, limits=SMALL)
        assert found is not None
        return found

    assert cost(longest) <= 1_500 < cost(longest + 1)
    assert affordable_output_tokens(asking, card=CARD, limits=SMALL, remaining_nanos=10**9) == 100
    assert affordable_output_tokens(asking, card=CARD, limits=SMALL, remaining_nanos=10) is None
    nothing = msgspec.structs.replace(CARD, rates=Rates())
    assert affordable_output_tokens(asking, card=nothing, limits=SMALL, remaining_nanos=10) is None


@pytest.mark.parametrize(
    ("model", "window", "output"),
    [
        ("gpt-4o", 128_000, 16_384),
        ("openai/GPT-4o-2024-11-20", 128_000, 16_384),
        ("gpt-4o-mini", 128_000, 16_384),
        ("gpt-4", 8_192, 8_192),
        ("gpt-4-turbo-2024-04-09", 128_000, 4_096),
        ("gpt-4.1-nano", 1_047_576, 32_768),
        ("gpt-5.6-sol", 1_050_000, 128_000),
        ("o3-mini", 200_000, 100_000),
        ("o1", 200_000, 100_000),
        ("claude-3-5-sonnet-latest", 200_000, 8_192),
        ("claude-opus-5", 1_000_000, 128_000),
        ("gemini-2.0-flash-thinking-exp", 1_048_576, 65_536),
        ("gemini-3.8-flash", 1_048_576, 65_536),
        ("gemini-4-argon", 2_097_152, 1_048_576),
        ("deepseek-v4-pro", 1_048_576, 1_048_576),
        ("gpt-realtime-2", 128_000, 32_000),
        ("gpt-3.5-turbo-0613", 16_385, 16_385),
        ("o3:batch", 200_000, 100_000),
        ("ft:gpt-4o-mini-2024-07-18:acme::1", 128_000, 16_384),
        ("us.anthropic.claude-3-5-haiku-20241022-v1:0", 200_000, 8_192),
        ("accounts/fireworks/models/kimi-k3", 1_048_576, 1_048_576),
        ("~openai/gpt-6-sol", 1_050_000, 128_000),
        ("acme.gpt-4", UNKNOWN.context_window, UNKNOWN.max_output_tokens),
        ("my-own-model", UNKNOWN.context_window, UNKNOWN.max_output_tokens),
        ("", UNKNOWN.context_window, UNKNOWN.max_output_tokens),
    ],
)
def test_limits_of_known_models(model: str, window: int, output: int) -> None:
    limits = limits_of(model)
    assert (limits.context_window, limits.max_output_tokens) == (window, output)


@pytest.mark.parametrize("provider", providers, ids=lambda provider: provider.id)
def test_no_window_is_smaller_than_the_one_in_the_price_data(provider: Provider) -> None:
    known = [(model.id, model.context_window) for model in provider.models if model.context_window]
    smaller = [(name, window) for name, window in known if limits_of(name).context_window < window]
    assert smaller == []


SEARCHING_CARD = msgspec.structs.replace(
    CARD, rates=Rates(input=flat(2_000), output=flat(8_000), web_search=flat(10**10), citation=flat(2_000))
)


@pytest.mark.parametrize(
    ("asking", "card"),
    [
        (demand("look it up").body[:-1] + b',"web_search_options":{}}', SEARCHING_CARD),
        (demand("x").body[:-1] + b',"tools":[{"type":"web_search"}]}', SEARCHING_CARD),
        (demand("x").body, msgspec.structs.replace(SEARCHING_CARD, provider="perplexity")),
        (demand("x").body, msgspec.structs.replace(SEARCHING_CARD, model="gpt-4o-search-preview")),
    ],
)
def test_a_request_that_may_search_holds_its_searches(asking: bytes, card: PriceCard) -> None:
    usage = TokenUsage(input_tokens=5, output_tokens=50, web_searches=50, citation_tokens=900)
    bound = estimate_nanos(Demand(body=asking, messages=1), card=card, limits=SMALL)
    cost = rate(usage, card, at=AT).cost_nanos
    assert bound is not None
    assert cost is not None
    assert cost <= bound


def test_a_request_that_cannot_search_holds_none() -> None:
    asking = demand("x", max_tokens=50)
    plain = estimate_nanos(asking, card=CARD, limits=SMALL)
    assert estimate_nanos(asking, card=SEARCHING_CARD, limits=SMALL) == plain


def test_every_family_says_where_its_limits_stand_and_none_exceeds_what_is_assumed_of_unknown_ones() -> None:
    for family in FAMILIES:
        limits = family.limits
        assert family.source
        assert limits.max_output_tokens <= limits.context_window <= UNKNOWN.context_window
        assert limits.max_output_tokens <= UNKNOWN.max_output_tokens


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[],"modalities":["text", "audio"]}',
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}]}',
    ],
)
def test_sound_without_a_price_is_unpriced(body: bytes) -> None:
    asking = Demand(body=body, messages=1)
    assert estimate_nanos(asking, card=CARD, limits=SMALL) is None
    rates = Rates(input=flat(2_000), output=flat(8_000), audio_input=flat(40_000), audio_output=flat(80_000))
    assert estimate_nanos(asking, card=msgspec.structs.replace(CARD, rates=rates), limits=SMALL) is not None
