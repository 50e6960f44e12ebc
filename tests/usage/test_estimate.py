"""Estimates against true o200k counts, their bounds, and what calibration makes of them."""

import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from service.usage.estimate import (
    UNCALIBRATED,
    Calibration,
    Estimate,
    estimate_output,
    estimate_prompt,
    learn,
)
from service.usage.text import NO_TEXT, measure

# Counted with the o200k vocabulary; the texts were written for this test.
TEXTS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("texts.json").read_text("utf-8"))


def estimate(text: str, calibration: Calibration = UNCALIBRATED) -> Estimate:
    return estimate_output(measure(text.encode()), calibration)


def test_the_median_error_over_many_kinds_of_text_is_at_most_a_tenth() -> None:
    errors = [abs(estimate(case["text"]).tokens / case["o200k_tokens"] - 1) for case in TEXTS]
    assert len(errors) >= 30
    assert median(errors) <= 0.10


@pytest.mark.parametrize("case", TEXTS, ids=lambda case: case["name"])
def test_the_true_count_lies_in_the_bounds(case: dict[str, Any]) -> None:
    estimated = estimate(case["text"])
    assert estimated.low <= case["o200k_tokens"] <= estimated.high
    assert estimated.low <= estimated.tokens <= estimated.high


def test_chinese_is_not_counted_like_english() -> None:
    """A quarter of the characters, the usual rule, gives a third of the truth."""
    case = next(case for case in TEXTS if case["name"] == "chinese")
    assert estimate(case["text"]).tokens > 2 * len(case["text"]) / 4


def test_no_text_has_no_tokens_and_any_text_has_one() -> None:
    assert estimate_output(NO_TEXT) == Estimate(tokens=0, low=0, high=0)
    assert estimate(".").tokens == 1


def test_calibration_finds_a_models_factor_and_narrows_the_bounds() -> None:
    calibration = UNCALIBRATED
    for case in TEXTS * 3:
        calibration = learn(
            calibration, estimated=estimate(case["text"]).tokens, actual=round(case["o200k_tokens"] * 1.4)
        )
    calibrated = [estimate(case["text"], calibration) for case in TEXTS]
    errors = [
        abs(e.tokens / (case["o200k_tokens"] * 1.4) - 1) for e, case in zip(calibrated, TEXTS, strict=True)
    ]
    assert 1.2 < calibration.ratio < 1.6
    assert calibration.samples == 3 * sum(estimate(case["text"]).tokens >= 20 for case in TEXTS)
    assert median(errors) <= 0.15
    assert calibration.error < UNCALIBRATED.error


@pytest.mark.parametrize(("estimated", "actual"), [(5, 500), (100, 0), (0, 0)])
def test_answers_that_say_nothing_about_the_model_are_not_learnt_from(estimated: int, actual: int) -> None:
    assert learn(UNCALIBRATED, estimated=estimated, actual=actual) is UNCALIBRATED


def test_one_absurd_answer_moves_little() -> None:
    settled = Calibration(ratio=1.1, error=0.1, samples=200)
    moved = learn(settled, estimated=100, actual=10**9)
    assert moved.ratio == pytest.approx(1.1 + 0.05 * (5.0 - 1.1))
    assert moved.error == pytest.approx(0.1 + 0.05 * 0.9)


def test_a_prompt_is_its_texts_and_an_overhead_per_message() -> None:
    request = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Answer briefly."},
            {"role": "user", "content": [{"type": "text", "text": "What is the capital of Australia?"}]},
        ],
    }
    spoken = estimate("Answer briefly.\nWhat is the capital of Australia?").tokens
    assert estimate_prompt(request).tokens == spoken + 2 * 4 + 3
    assert estimate_prompt(json.dumps(request).encode()) == estimate_prompt(request)


def test_tools_and_tool_calls_count() -> None:
    messages = [{"role": "user", "content": "Weather in Paris?"}]
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
    }
    tool = {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
    bare = estimate_prompt({"messages": messages}).tokens
    with_call = estimate_prompt({"messages": [*messages, {"role": "assistant", "tool_calls": [call]}]}).tokens
    assert with_call > bare + 4
    assert estimate_prompt({"messages": messages, "tools": [tool]}).tokens > bare + 5


def test_media_is_not_estimated_and_said_so() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}}
    parts = [{"type": "text", "text": "What is this?"}, image]
    estimated = estimate_prompt({"messages": [{"role": "user", "content": parts}]})
    assert estimated.partial
    assert estimated.tokens < 20
    assert not estimate_prompt({"messages": [{"role": "assistant", "content": "x", "audio": None}]}).partial


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b"\xff"])
def test_a_body_that_is_no_request_gives_no_tokens(body: bytes) -> None:
    assert estimate_prompt(body) == Estimate(tokens=0, low=0, high=0, partial=True)


def test_a_request_without_messages_has_no_overhead() -> None:
    assert estimate_prompt({"messages": None}) == Estimate(tokens=0, low=0, high=0)


def test_lone_surrogates_and_deep_nesting_are_measured() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    assert estimate_prompt({"messages": [{"content": "\ud83d"}, {"content": deep}]}).tokens >= 1
