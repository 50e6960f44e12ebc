"""What the simulated model answers, and that its usage is true of the answer."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from service.simulator.answers import Choice
from service.simulator.models import CATALOGUE
from tests.simulator.making import answer_to, request_for, source

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": WEATHER}}


def only_choice(text: str, **members: Any) -> Choice:
    (choice,) = answer_to(request_for(text, **members)).choices
    return choice


def said(choice: Choice) -> str:
    return "".join(choice.text)


def test_a_seed_repeats_words_and_counts_but_not_the_id() -> None:
    twice = source()
    first, second = (
        twice.answer(request_for(seed=5), card=CATALOGUE["gpt-4o-mini"], account="a") for _ in range(2)
    )
    assert first.choices == second.choices
    assert first.usage == second.usage
    assert first.id != second.id


def test_without_a_seed_answers_differ() -> None:
    twice = source()
    texts = {
        twice.answer(request_for(), card=CATALOGUE["gpt-4o-mini"], account="a").choices for _ in range(5)
    }
    assert len(texts) == 5


def test_a_length_in_words_is_kept_about() -> None:
    assert 500 <= len(said(only_choice("Write 500 words.")).split()) < 560


def test_repeat_is_letter_for_letter() -> None:
    assert said(only_choice("Repeat: a\u2028b\n\n data: 💶 {}")) == "a\u2028b\n\n data: 💶 {}"


def test_a_chinese_question_gets_a_chinese_answer() -> None:
    assert "。" in said(only_choice("请解释一下账本"))


def test_the_last_word_of_the_user_counts() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Repeat: once"}]},
        {"role": "assistant", "content": "once"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
    ]
    assert said(only_choice("", messages=messages)) != "once"
    assert said(only_choice("", messages=messages[:1])) == "once"


def test_without_a_user_it_still_answers() -> None:
    assert said(only_choice("", messages=[{"role": "system", "content": "Be brief."}]))


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_token_limit_ends_the_answer(limit: str) -> None:
    answer = answer_to(request_for("Write 500 words.", **{limit: 7}))
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage["completion_tokens"] == 7


def test_a_limit_that_is_just_enough_is_no_cut() -> None:
    whole = answer_to(request_for(seed=1))
    exact = answer_to(request_for(seed=1, max_tokens=whole.usage["completion_tokens"]))
    assert exact.choices == whole.choices


def test_a_stop_sequence_is_left_out() -> None:
    choice = only_choice("Repeat: one two three", stop=["three", "two"])
    assert said(choice) == "one "
    assert choice.finish_reason == "stop"


def test_a_stop_sequence_that_never_comes_changes_nothing() -> None:
    assert said(only_choice("Repeat: one", stop="four")) == "one"


def test_choices_differ_and_usage_sums_them() -> None:
    answer = answer_to(request_for(n=3))
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.text for choice in answer.choices}) == 3
    assert answer.usage["completion_tokens"] == sum(len(choice.text) for choice in answer.choices)


def test_totals_add_up() -> None:
    usage = answer_to(request_for(model="gpt-5")).usage
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_reasoning_model_spends_hidden_tokens() -> None:
    answer = answer_to(request_for(model="gpt-5", reasoning_effort="high"))
    details = answer.usage["completion_tokens_details"]
    assert details["reasoning_tokens"] >= 512
    assert details["reasoning_tokens"] % 64 == 0
    visible = len(answer.choices[0].text)
    assert answer.usage["completion_tokens"] == details["reasoning_tokens"] + visible


def test_reasoning_can_eat_the_whole_limit() -> None:
    answer = answer_to(request_for(model="o4-mini", max_completion_tokens=10))
    assert answer.choices[0].text == ()
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage["completion_tokens"] == 10
    assert answer.usage["completion_tokens_details"]["reasoning_tokens"] == 10


@pytest.mark.parametrize(
    ("text", "choice", "called", "reason"),
    [
        ("How is the weather?", "auto", ["get_weather"], "tool_calls"),
        ("call get_weather and find_flight", None, ["get_weather", "find_flight"], "tool_calls"),
        ("Tell me a story", "auto", [], "stop"),
        ("Tell me a story", "required", ["get_weather"], "tool_calls"),
        ("Book a flight", "required", ["find_flight"], "tool_calls"),
        ("How is the weather?", "none", [], "stop"),
        ("x", {"type": "function", "function": {"name": "find_flight"}}, ["find_flight"], "stop"),
        ("x", {"type": "function"}, ["get_weather"], "tool_calls"),
    ],
)
def test_tools_are_called_when_asked_for(text: str, choice: Any, called: list[str], reason: str) -> None:
    tools = [tool("get_weather"), tool("find_flight")]
    answered = only_choice(text, tools=tools, tool_choice=choice)
    assert [call.name for call in answered.tool_calls] == called
    assert answered.finish_reason == reason
    for call in answered.tool_calls:
        Draft202012Validator(WEATHER).validate(json.loads("".join(call.arguments)))


def test_one_call_at_a_time_if_asked_so() -> None:
    tools = [tool("get_weather"), tool("find_flight")]
    choice = only_choice("weather and flight", tools=tools, parallel_tool_calls=False)
    assert [call.name for call in choice.tool_calls] == ["get_weather"]


def test_after_a_tool_result_it_answers_in_words() -> None:
    messages = [
        {"role": "user", "content": "How is the weather?"},
        {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "get_weather"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "21"},
    ]
    assert said(only_choice("", messages=messages, tools=[tool("get_weather")]))


def test_tool_arguments_are_cut_by_the_limit() -> None:
    choice = only_choice("weather", tools=[tool("get_weather"), tool("weather_map")], max_tokens=3)
    assert [len(call.arguments) for call in choice.tool_calls] == [3, 0]
    assert choice.finish_reason == "length"


def test_a_generous_limit_leaves_tool_arguments_whole() -> None:
    choice = only_choice("weather", tools=[tool("get_weather")], max_tokens=500)
    json.loads("".join(choice.tool_calls[0].arguments))
    assert choice.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "answer_format", [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"schema": WEATHER}}]
)
def test_json_is_answered_when_asked_for(answer_format: dict[str, Any]) -> None:
    value = json.loads(said(only_choice("x", response_format=answer_format)))
    if "json_schema" in answer_format:
        Draft202012Validator(WEATHER).validate(value)
    else:
        assert set(value) == {"answer", "confidence", "sources"}


def test_speech_costs_audio_tokens() -> None:
    answer = answer_to(request_for(model="gpt-4o-audio-preview", modalities=["text", "audio"]))
    (choice,) = answer.choices
    assert choice.speech is not None
    assert answer.usage["completion_tokens_details"]["audio_tokens"] == 2 * len(choice.text)
    assert answer.usage["completion_tokens"] == 3 * len(choice.text)


@pytest.mark.parametrize(
    ("asked", "reported"),
    [
        (None, "default"),
        ("auto", "default"),
        ("flex", "flex"),
        ("fast", "priority"),
        ("priority", "priority"),
    ],
)
def test_the_service_tier_comes_back(asked: str | None, reported: str) -> None:
    assert answer_to(request_for(service_tier=asked)).service_tier == reported


def test_a_long_prompt_is_cached_the_second_time() -> None:
    twice, card = source(), CATALOGUE["gpt-5.6-sol"]
    request = request_for("A long story. " * 400, model=card.id)
    first, second = (
        twice.answer(request, card=card, account="a").usage["prompt_tokens_details"] for _ in range(2)
    )
    total = answer_to(request).usage["prompt_tokens"]
    assert first == {"cached_tokens": 0, "audio_tokens": 0, "cache_write_tokens": total}
    assert second["cached_tokens"] == total // 128 * 128
    assert second["cached_tokens"] + second["cache_write_tokens"] == total


def test_another_account_shares_no_cache() -> None:
    twice, card = source(), CATALOGUE["gpt-4o"]
    request = request_for("A long story. " * 400, model=card.id)
    twice.answer(request, card=card, account="a")
    other = twice.answer(request, card=card, account="b")
    assert other.usage["prompt_tokens_details"]["cached_tokens"] == 0
