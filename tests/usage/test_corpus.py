"""Real usage objects of many providers mean what their maintainers say they mean."""

import json
from typing import Any

import msgspec
import pytest

from service.usage.dialects import AUTO, dialect_for
from service.usage.normalise import read_usage
from tests.usage.wire_cases import WIRE

CASES: list[dict[str, Any]] = json.loads((WIRE / "chat-usages.json").read_text("utf-8"))


def counts_of(usage: dict[str, Any], *, provider: str | None = None) -> dict[str, int] | None:
    """The counts that are not 0; None where there is no usage."""
    reading = read_usage(json.dumps(usage).encode(), AUTO if provider is None else dialect_for(provider))
    if reading is None or reading.usage is None:
        return None
    return {name: count for name, count in msgspec.structs.asdict(reading.usage).items() if count}


def expected_of(case: dict[str, Any]) -> dict[str, int] | None:
    if case["expected"] is None:
        return None
    return {name: count for name, count in case["expected"].items() if count}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["model"])
def test_the_counts_of_a_real_usage_object(case: dict[str, Any]) -> None:
    assert counts_of(case["usage"]) == expected_of(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["model"])
def test_the_dialect_of_openai_reads_all_of_them_too(case: dict[str, Any]) -> None:
    assert counts_of(case["usage"], provider="openai") == expected_of(case)


def test_the_corpus_is_whole() -> None:
    assert len(CASES) == 162


def test_thinking_hidden_in_geminis_total_is_counted_where_the_upstream_is_known() -> None:
    case = next(case for case in CASES if case["model"].startswith("gemini-2.5-pro-preview"))
    assert counts_of(case["usage"]) == {"input_tokens": 66, "output_tokens": 6}
    assert counts_of(case["usage"], provider="google") == {
        "input_tokens": 66,
        "output_tokens": 34,
        "reasoning_output_tokens": 28,
    }


def test_mistrals_own_name_for_cached_tokens_is_read_where_the_upstream_is_known() -> None:
    case = next(case for case in CASES if case["usage"].get("num_cached_tokens") == 174)
    assert counts_of(case["usage"]) == {"input_tokens": 175, "output_tokens": 39}
    assert counts_of(case["usage"], provider="mistral") == {
        "input_tokens": 175,
        "output_tokens": 39,
        "cache_read_input_tokens": 174,
    }
