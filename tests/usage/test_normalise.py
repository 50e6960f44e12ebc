"""Usage objects, whole and broken: counts, flags, never a made-up number."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.usage.dialects import AUTO, DIALECTS, Dialect, dialect_for
from service.usage.normalise import LARGEST_COUNT, LONGEST_USAGE, Reading, read_timings, read_usage
from service.usage.tokens import TokenUsage

PLAIN = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def read(usage: Any, dialect: Dialect = AUTO) -> Reading:
    reading = read_usage(json.dumps(usage).encode(), dialect)
    assert reading is not None
    return reading


def counts(usage: Any, dialect: Dialect = AUTO) -> dict[str, int]:
    tokens = read(usage, dialect).usage
    assert tokens is not None
    return {name: count for name, count in msgspec.structs.asdict(tokens).items() if count is not None}


def test_absent_stays_none_and_zero_stays_zero() -> None:
    assert read(PLAIN).usage == TokenUsage(input_tokens=10, output_tokens=5)
    zero = {
        **PLAIN,
        "completion_tokens": 0,
        "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    assert counts(zero) == {"input_tokens": 10, "output_tokens": 0, "cache_read_input_tokens": 0}


@pytest.mark.parametrize("raw", [b"null", b"{}"])
def test_nothing_reported_is_no_usage(raw: bytes) -> None:
    assert read_usage(raw, AUTO) is None


@pytest.mark.parametrize(
    "raw", [b"[]", b'"12"', b"5", b"true", b"{", b"", b'{"a":' * 10_000, b'{"prompt_tokens":NaN}']
)
def test_what_is_no_object_is_malformed(raw: bytes) -> None:
    assert read_usage(raw, AUTO) == Reading(usage=None, flags=frozenset({"malformed"}))


def test_an_endless_usage_object_is_not_read() -> None:
    raw = json.dumps({**PLAIN, "padding": "x" * LONGEST_USAGE}).encode()
    assert read_usage(raw, AUTO) == Reading(usage=None, flags=frozenset({"malformed"}))


BAD_COUNTS = [-1, 1.5, "5", True, [5], {"n": 5}, LARGEST_COUNT + 1, 10**400, 1e300]


@pytest.mark.parametrize("bad", BAD_COUNTS, ids=lambda bad: str(bad)[:12])
@pytest.mark.parametrize("total", ["prompt_tokens", "completion_tokens"])
def test_a_total_that_is_no_count_gives_no_usage(total: str, bad: Any) -> None:
    reading = read({**PLAIN, total: bad})
    assert reading.usage is None
    assert reading.flags == {"malformed", "incomplete"}


@pytest.mark.parametrize("bad", BAD_COUNTS, ids=lambda bad: str(bad)[:12])
def test_a_part_that_is_no_count_is_left_out(bad: Any) -> None:
    reading = read({**PLAIN, "prompt_tokens_details": {"cached_tokens": bad}})
    assert reading.usage == TokenUsage(input_tokens=10, output_tokens=5)
    assert reading.flags == {"malformed"}


def test_a_number_too_long_to_decode_spoils_only_itself_being_read() -> None:
    raw = b'{"prompt_tokens":10,"completion_tokens":5,"x":' + b"9" * 5000 + b"}"
    assert read_usage(raw, AUTO) == Reading(usage=None, flags=frozenset({"malformed"}))


def test_whole_numbers_with_a_point_are_counts() -> None:
    raw = b'{"prompt_tokens":10.0,"completion_tokens":5e0,"total_tokens":1.5e1}'
    assert read_usage(raw, AUTO) == Reading(usage=TokenUsage(input_tokens=10, output_tokens=5))


def test_an_exponent_beyond_all_bounds_is_malformed() -> None:
    raw = b'{"prompt_tokens":1e99999999999999999999,"completion_tokens":5}'
    assert read_usage(raw, AUTO) == Reading(usage=None, flags=frozenset({"malformed", "incomplete"}))


@pytest.mark.parametrize("details", [[], "x", 5, True])
def test_details_that_are_no_object_are_malformed(details: Any) -> None:
    assert read({**PLAIN, "prompt_tokens_details": details}).flags == {"malformed"}
    assert read({**PLAIN, "prompt_tokens_details": None}).flags == frozenset()


@pytest.mark.parametrize("missing", ["prompt_tokens", "completion_tokens"])
def test_without_both_totals_there_is_no_usage(missing: str) -> None:
    reading = read({name: count for name, count in PLAIN.items() if name != missing})
    assert reading == Reading(usage=None, flags=frozenset({"incomplete"}))


@pytest.mark.parametrize("total", [14, 16, 0])
def test_a_total_that_is_not_the_sum_is_flagged(total: int) -> None:
    reading = read({**PLAIN, "total_tokens": total})
    assert reading.usage == TokenUsage(input_tokens=10, output_tokens=5)
    assert reading.flags == {"contradictory"}


def test_a_cache_read_that_does_not_fit_is_not_believed() -> None:
    reading = read({**PLAIN, "prompt_tokens_details": {"cached_tokens": 11}})
    assert reading.usage == TokenUsage(input_tokens=10, output_tokens=5)
    assert reading.flags == {"contradictory"}
    both = {"cached_tokens": 6, "cache_write_tokens": 5}
    assert counts({**PLAIN, "prompt_tokens_details": both}) == {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_write_input_tokens": 5,
    }


def test_other_parts_are_cut_to_their_total() -> None:
    usage = {
        **PLAIN,
        "prompt_tokens_details": {
            "audio_tokens": 7,
            "image_tokens": 7,
            "video_tokens": 7,
            "cache_write_tokens": 11,
        },
        "completion_tokens_details": {"reasoning_tokens": 6, "audio_tokens": 1, "image_tokens": 1},
    }
    reading = read(usage)
    assert reading.flags == {"clamped", "contradictory"}
    assert counts(usage) == {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_write_input_tokens": 10,
        "audio_input_tokens": 7,
        "image_input_tokens": 3,
        "video_input_tokens": 0,
        "reasoning_output_tokens": 5,
        "audio_output_tokens": 0,
        "image_output_tokens": 0,
    }


def test_cached_audio_is_part_of_both() -> None:
    details = {
        "cached_tokens": 6,
        "audio_tokens": 8,
        "cached_tokens_details": {"audio_tokens": 5, "text_tokens": 1},
    }
    assert counts({**PLAIN, "prompt_tokens_details": details})["cache_read_audio_input_tokens"] == 5


@pytest.mark.parametrize(
    ("reasoning", "total", "dialect", "expected", "flags"),
    [
        (3, 15, "openai", (5, 3), set()),
        (3, 18, "openai", (5, 3), {"contradictory"}),
        (3, 18, None, (8, 3), {"inferred"}),
        (3, 17, None, (5, 3), {"contradictory"}),
        (3, None, None, (5, 3), set()),
        (3, 18, "xai", (8, 3), set()),
        (3, None, "xai", (8, 3), set()),
        (3, 15, "xai", (5, 3), {"contradictory"}),
        (9, 15, "xai", (14, 9), {"contradictory"}),
        (3, 17, "xai", (8, 3), {"contradictory"}),
        (0, 15, "xai", (5, 0), set()),
        (9, 15, "perplexity", (14, 9), set()),
        (None, 15, "perplexity", (5, None), set()),
        (3, 18, "gemini", (8, 3), set()),
        (0, 25, "gemini", (15, 10), {"inferred"}),
        (None, 25, "gemini", (15, 10), {"inferred"}),
        (None, 14, "gemini", (5, None), {"contradictory"}),
        (None, None, "gemini", (5, None), set()),
    ],
)
def test_where_reasoning_stands(
    reasoning: int | None,
    total: int | None,
    dialect: str | None,
    expected: tuple[int, int | None],
    flags: set[str],
) -> None:
    usage = {**PLAIN, "total_tokens": total, "completion_tokens_details": {"reasoning_tokens": reasoning}}
    reading = read(usage, dialect_for(dialect))
    assert reading.usage is not None
    assert (reading.usage.output_tokens, reading.usage.reasoning_output_tokens) == expected
    assert reading.flags == flags


@pytest.mark.parametrize(
    ("details", "top", "expected", "flags"),
    [
        (0, 7, 7, set()),
        (7, 0, 7, set()),
        (7, 7, 7, set()),
        (7, 6, 7, {"contradictory"}),
        (None, 0, 0, set()),
        (None, None, None, set()),
    ],
)
def test_two_places_for_cached_tokens(
    details: int | None, top: int | None, expected: int | None, flags: set[str]
) -> None:
    usage = {**PLAIN, "prompt_tokens_details": {"cached_tokens": details}, "prompt_cache_hit_tokens": top}
    reading = read(usage)
    assert reading.usage is not None
    assert reading.usage.cache_read_input_tokens == expected
    assert reading.flags == flags


def test_the_timings_of_llama_cpp() -> None:
    raw = b'{"cache_n":236,"prompt_n":1,"predicted_n":35,"predicted_ms":661.06}'
    assert read_timings(raw) == Reading(
        usage=TokenUsage(input_tokens=237, output_tokens=35, cache_read_input_tokens=236),
        flags=frozenset({"timings"}),
    )
    old = read_timings(b'{"prompt_n":12,"predicted_n":35}')
    assert old is not None
    assert old.usage == TokenUsage(input_tokens=12, output_tokens=35)


@pytest.mark.parametrize("raw", [b"[]", b"nonsense", b'{"prompt_n":1}', b'{"prompt_n":-1,"predicted_n":2}'])
def test_timings_without_counts_are_nothing(raw: bytes) -> None:
    assert read_timings(raw) is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2),
)
fields = [
    *PLAIN,
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost",
    "cost_in_usd_ticks",
]
details = st.dictionaries(
    st.sampled_from(
        ["cached_tokens", "audio_tokens", "image_tokens", "reasoning_tokens", "cache_write_tokens"]
    ),
    st.integers(-5, 40) | anything,
)
objects = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.integers(-5, 40) | anything for name in fields},
        "prompt_tokens_details": details | anything,
        "completion_tokens_details": details | anything,
    },
)


@given(usage=objects, dialect=st.sampled_from([AUTO, *DIALECTS.values()]))
def test_any_object_gives_consistent_counts_or_none(usage: dict[str, Any], dialect: Dialect) -> None:
    reading = read_usage(json.dumps(usage).encode(), dialect)
    if reading is None or reading.usage is None:
        return
    tokens = reading.usage
    known = {name: count for name, count in msgspec.structs.asdict(tokens).items() if count is not None}
    assert all(0 <= count <= 4 * LARGEST_COUNT for count in known.values())
    assert (tokens.cache_read_input_tokens or 0) + (
        tokens.cache_write_input_tokens or 0
    ) <= tokens.input_tokens
    parts = (tokens.audio_input_tokens, tokens.image_input_tokens, tokens.video_input_tokens)
    assert sum(part or 0 for part in parts) <= tokens.input_tokens
    parts = (tokens.reasoning_output_tokens, tokens.audio_output_tokens, tokens.image_output_tokens)
    assert sum(part or 0 for part in parts) <= tokens.output_tokens
