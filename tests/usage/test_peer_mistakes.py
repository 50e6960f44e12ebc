"""Counting mistakes that users of other gateways paid for; each stays impossible here.

The numbers are those of the public reports at LiteLLM, new-api, Bifrost, InsForge, TensorZero and others.
"""

import json
from typing import Any

import pytest

from service.usage.dialects import AUTO, dialect_for
from service.usage.meter import BodyMeter, StreamMeter
from service.usage.metered import Metered
from service.usage.tokens import TokenUsage
from tests.usage.wire_cases import replay


def usage(prompt: int, completion: int, **members: Any) -> dict[str, Any]:
    total = prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **members}


def chunk(content: str = "", *, finish: str | None = None, **members: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    return {"id": "c", "model": "m", "choices": [choice], **members}


def metered(*events: dict[str, Any], provider: str | None = None, done: bool = True) -> StreamMeter:
    meter = StreamMeter(AUTO if provider is None else dialect_for(provider))
    data = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n" * done
    replay(meter, [data.encode()])
    return meter


def stream(*events: dict[str, Any], provider: str | None = None, done: bool = True) -> Metered:
    return metered(*events, provider=provider, done=done).result()


def body(counts: dict[str, Any], *, provider: str | None = None) -> Metered:
    meter = BodyMeter(AUTO if provider is None else dialect_for(provider))
    meter.feed(json.dumps({"id": "c", "choices": [], "usage": counts}).encode())
    return meter.result()


def test_bifrost_528_insforge_2015_tensorzero_5481_cumulative_usage_is_never_summed() -> None:
    facts = stream(
        chunk("a", usage=usage(100, 1)),
        chunk("b", usage=usage(100, 2)),
        chunk("c", finish="stop", usage=usage(100, 3)),
        {"choices": [], "usage": usage(100, 3)},
    )
    assert facts.usage == TokenUsage(input_tokens=100, output_tokens=3)


def test_bifrost_6598_usage_is_never_the_maximum_of_each_field() -> None:
    """An early chunk guessed a larger prompt, the last one corrects it: the sum of maxima charged 42 % more."""
    facts = stream(
        chunk("a", usage=usage(1420, 1)), chunk("b", finish="stop"), {"choices": [], "usage": usage(1000, 9)}
    )
    assert facts.usage == TokenUsage(input_tokens=1000, output_tokens=9)


def test_litellm_37992_a_reported_zero_is_not_replaced_by_an_estimate() -> None:
    facts = stream(chunk("Hello there"), chunk(finish="stop"), {"choices": [], "usage": usage(12, 0)})
    assert facts.usage == TokenUsage(input_tokens=12, output_tokens=0)
    assert facts.usage_source == "provider"


def test_litellm_5632_23847_a_stream_without_usage_says_so_and_keeps_what_an_estimate_needs() -> None:
    meter = metered(chunk("Hello "), chunk("there"), chunk(finish="stop"))
    facts = meter.result()
    assert (facts.usage, facts.usage_source) == (None, "none")
    assert meter.generated().words == 2


def test_litellm_33736_open_ace_3422_a_cut_stream_still_gives_facts() -> None:
    meter = metered(chunk("Hello "), chunk("there"), done=False)
    facts = meter.result()
    assert (facts.terminal, facts.complete, facts.usage_source) == (False, False, "none")
    assert (facts.response_id, facts.response_model) == ("c", "m")
    assert meter.generated().letters == 10


def test_litellm_14849_reasoning_inside_completion_is_not_added_again() -> None:
    counts = usage(41, 1457, completion_tokens_details={"reasoning_tokens": 704})
    assert body(counts).usage == TokenUsage(input_tokens=41, output_tokens=1457, reasoning_output_tokens=704)


def test_litellm_19680_xai_text_tokens_include_the_cached_ones() -> None:
    counts = usage(125, 10, prompt_tokens_details={"text_tokens": 125, "cached_tokens": 98})
    assert body(counts, provider="xai").usage == TokenUsage(
        input_tokens=125, output_tokens=10, cache_read_input_tokens=98
    )


def test_xai_reasoning_outside_completion_is_not_given_away() -> None:
    counts = usage(32, 9, completion_tokens_details={"reasoning_tokens": 300}) | {"total_tokens": 341}
    facts = body(counts, provider="xai")
    assert facts.usage == TokenUsage(input_tokens=32, output_tokens=309, reasoning_output_tokens=300)


def test_gemini_thinking_hidden_in_the_total_is_not_given_away() -> None:
    facts = body(usage(758, 102) | {"total_tokens": 1725}, provider="gemini")
    assert facts.usage == TokenUsage(input_tokens=758, output_tokens=967, reasoning_output_tokens=865)
    assert facts.usage_flags == ("inferred",)


def test_new_api_5003_5756_cached_and_written_are_parts_of_the_prompt_and_apart_from_each_other() -> None:
    counts = usage(5000, 7, prompt_tokens_details={"cached_tokens": 1800, "cache_write_tokens": 200})
    assert body(counts).usage == TokenUsage(
        input_tokens=5000, output_tokens=7, cache_read_input_tokens=1800, cache_write_input_tokens=200
    )


def test_litellm_9812_anthropics_own_input_count_leaves_the_cache_out() -> None:
    counts = {
        "input_tokens": 4,
        "output_tokens": 7,
        "cache_read_input_tokens": 1111,
        "cache_creation_input_tokens": 418,
    }
    assert body(counts).usage == TokenUsage(
        input_tokens=1533, output_tokens=7, cache_read_input_tokens=1111, cache_write_input_tokens=418
    )


def test_a_proxy_that_counts_the_cache_in_the_prompt_is_not_charged_twice() -> None:
    """OpenAI's names for the totals win: with them the prompt includes the cache."""
    counts = usage(1533, 7, cache_read_input_tokens=1111, cache_creation_input_tokens=418)
    assert body(counts).usage == TokenUsage(
        input_tokens=1533, output_tokens=7, cache_read_input_tokens=1111, cache_write_input_tokens=418
    )


def test_portkey_details_survive_for_upstreams_other_than_openai() -> None:
    counts = usage(563, 116, prompt_cache_hit_tokens=512, prompt_cache_miss_tokens=51)
    for provider in ("deepseek", "groq", "mistral", "moonshot", "fireworks", "together", "zhipu"):
        assert body(counts, provider=provider).usage == TokenUsage(
            input_tokens=563, output_tokens=116, cache_read_input_tokens=512
        )


@pytest.mark.parametrize("end", ["\r\n\r\n", "\n\n"])
@pytest.mark.parametrize("colon", ["data:", "data: "])
def test_envoy_2463_crlf_and_a_missing_space_do_not_lose_the_usage(end: str, colon: str) -> None:
    meter = StreamMeter(AUTO)
    last = {"choices": [], "usage": usage(3, 4)}
    replay(
        meter,
        [f"{colon}{json.dumps(chunk('a'))}{end}{colon}{json.dumps(last)}{end}{colon}[DONE]{end}".encode()],
    )
    assert meter.result().usage == TokenUsage(input_tokens=3, output_tokens=4)


def test_one_api_a_line_beyond_64_kib_does_not_lose_the_usage() -> None:
    facts = stream(chunk("x" * 200_000), {"choices": [], "usage": usage(3, 4)})
    assert facts.usage == TokenUsage(input_tokens=3, output_tokens=4)


def test_httpx_lines_u_2028_in_a_text_does_not_break_its_event() -> None:
    meter = StreamMeter(AUTO)
    event = {**chunk("one\u2028two", finish="stop"), "usage": usage(3, 4)}
    replay(meter, [f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()])
    assert meter.result().usage == TokenUsage(input_tokens=3, output_tokens=4)


def test_a_finish_without_done_is_complete_and_done_without_a_finish_too() -> None:
    assert stream(chunk("a", finish="stop"), done=False).complete
    assert stream(chunk("a")).complete
    assert not stream(chunk("a"), done=False).complete


def test_empty_choices_alone_do_not_make_a_usage_event() -> None:
    """Azure's first chunk has none; taking it for usage ended streams before their text."""
    first = {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    data = f"data: {json.dumps(first)}\n\n".encode()
    assert replay(StreamMeter(dialect_for("azure"), hide_usage=True), [data]) == data


def test_usage_that_stops_long_before_the_end_is_not_taken_for_the_whole() -> None:
    facts = stream(
        chunk("a", usage=usage(9, 1)), chunk("b"), chunk("c"), chunk("d", finish="stop"), provider="openai"
    )
    assert facts.usage == TokenUsage(input_tokens=9, output_tokens=1)
    assert (facts.usage_source, facts.usage_flags) == ("partial", ("early",))


def test_a_broken_last_usage_does_not_wipe_out_the_counts_before_it() -> None:
    facts = stream(chunk("a", usage=usage(9, 1)), {"choices": [], "usage": {"prompt_tokens": "9"}})
    assert facts.usage == TokenUsage(input_tokens=9, output_tokens=1)
    assert (facts.usage_source, facts.usage_flags) == ("partial", ("incomplete", "malformed"))


def test_a_whole_usage_after_a_broken_one_stands_alone() -> None:
    facts = stream(chunk("a", usage={"prompt_tokens": 9}), {"choices": [], "usage": usage(9, 2)})
    assert (facts.usage_source, facts.usage_flags) == ("provider", ())


def test_continuous_counts_of_all_choices_together_are_not_summed() -> None:
    def part(index: int, completion: int) -> dict[str, Any]:
        choice = {"index": index, "delta": {"content": "x"}, "finish_reason": None}
        return {"id": "c", "model": "m", "choices": [choice], "usage": usage(7, completion)}

    growing = stream(part(0, 1), part(1, 2), part(0, 3), part(1, 4), done=False)
    assert growing.usage == TokenUsage(input_tokens=7, output_tokens=4)
    apart = stream(part(0, 3), part(1, 2), part(0, 4), part(1, 3), done=False)
    assert apart.usage == TokenUsage(input_tokens=7, output_tokens=7)
    assert (apart.usage_source, apart.usage_flags) == ("partial", ("summed_choices",))


def test_counts_per_choice_with_reasoning_add_up_only_where_every_choice_has_it() -> None:
    def part(index: int, **details: int) -> dict[str, Any]:
        choice = {"index": index, "delta": {}, "finish_reason": None}
        counts = usage(7, 5, completion_tokens_details=details)
        return {"choices": [choice], "usage": counts}

    known = stream(part(0, reasoning_tokens=2), part(1, reasoning_tokens=3), provider="vllm", done=False)
    assert known.usage == TokenUsage(input_tokens=7, output_tokens=10, reasoning_output_tokens=5)
    unknown = stream(part(0, reasoning_tokens=2), part(1), provider="vllm", done=False)
    assert unknown.usage == TokenUsage(input_tokens=7, output_tokens=10)


def test_llama_cpp_timings_never_overrule_reported_usage() -> None:
    timings = {"cache_n": 1, "prompt_n": 1, "predicted_n": 99}
    facts = stream(chunk("a", usage=usage(3, 4)), chunk(finish="stop", timings=timings))
    assert facts.usage == TokenUsage(input_tokens=3, output_tokens=4)
