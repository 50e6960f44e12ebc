"""Bodies: any bytes, any size, compressed or cut."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.usage.body import LARGEST_BODY, BodyMeter
from service.usage.dialects import AUTO, dialect_for
from service.usage.metered import LONGEST_RAW, Metered

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def answer(content: str = "hi", **members: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return {
        "id": "c1",
        "object": "chat.completion",
        "model": "m1",
        "choices": [choice],
        "usage": USAGE,
        **members,
    }


def metered(*chunks: bytes, encoding: str | None = None) -> Metered:
    meter = BodyMeter(AUTO, encoding=encoding)
    for chunk in chunks:
        assert meter.feed(chunk) is chunk
    facts = meter.result()
    assert meter.result() == facts
    return facts


@given(data=st.binary(max_size=300), at=st.integers(0, 300))
def test_random_bytes_raise_nothing(data: bytes, at: int) -> None:
    assert metered(data[:at], data[at:]) == metered(data)


def test_no_body_has_no_facts() -> None:
    facts = metered()
    assert (facts.usage_source, facts.terminal, facts.complete, facts.usage_flags) == (
        "none",
        False,
        False,
        (),
    )


def test_a_body_with_a_byte_order_mark() -> None:
    assert metered(b"\xef\xbb\xbf" + json.dumps(answer()).encode()).terminal


@pytest.mark.parametrize("value", [[], [1], ["x"], "x", 1, None])
def test_json_that_is_no_object_is_not_terminal(value: Any) -> None:
    facts = metered(json.dumps(value).encode())
    assert (facts.terminal, facts.usage) == (False, None)


@pytest.mark.parametrize("choices", [None, "x", [1], [None], {}, [{"index": "x", "finish_reason": 5}]])
def test_choices_that_are_none_do_not_hide_the_usage(choices: Any) -> None:
    facts = metered(json.dumps(answer(choices=choices)).encode())
    assert facts.usage_source == "provider"
    assert facts.terminal


def test_a_usage_object_is_kept_as_received() -> None:
    raw = b'{ "completion_tokens":4 ,\n"prompt_tokens": 3.0, "x":"\\u00e9 \xc3\xa9" }'
    facts = metered(b'{"id":"c1","usage":' + raw + b"}")
    assert facts.usage_raw == raw.decode()


def test_a_long_usage_object_is_read_but_not_kept() -> None:
    facts = metered(json.dumps(answer(usage={**USAGE, "padding": "x" * LONGEST_RAW})).encode())
    assert facts.usage is not None
    assert (facts.usage_raw, facts.usage_flags) == (None, ("raw_too_long",))


def big(*, usage_first: bool) -> bytes:
    media = "A" * (LARGEST_BODY + 1024 * 1024)
    value = answer(content=media)
    if usage_first:
        value = {"id": "c1", "model": "m1", "usage": USAGE, "choices": value["choices"]}
    return json.dumps(value).encode()


@pytest.mark.parametrize("usage_first", [False, True])
def test_a_body_beyond_16_mib_is_metered_from_its_edges(*, usage_first: bool) -> None:
    data = big(usage_first=usage_first)
    meter = BodyMeter(dialect_for("openai"))
    for at in range(0, len(data), 1_000_000):
        meter.feed(data[at : at + 1_000_000])
    facts = meter.result()
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.output_tokens) == (3, 4)
    assert (facts.response_id, facts.response_model, facts.finish_reasons) == ("c1", "m1", ("stop",))
    assert facts.usage_flags == ("oversized", "salvaged")
    assert facts.terminal
    assert meter.generated().letters == 0  # the text was cut within its string
    assert len(meter._head) + len(meter._tail) < 200_000
    assert not meter._parts


def test_a_cut_body_beyond_16_mib_is_not_terminal() -> None:
    facts = metered(big(usage_first=True)[:-1])
    assert not facts.terminal
    assert facts.usage is not None


def test_the_last_usage_found_in_a_broken_body_stands_and_broken_ones_are_passed_over() -> None:
    facts = metered(
        b'{"usage":{"prompt_tokens":1,"completion_tokens":1},"usage":{"prompt_tokens":3,"completion_tokens":4},"usage":{"prompt'
    )
    assert facts.usage is not None
    assert facts.usage.input_tokens == 3


def test_text_that_talks_of_usage_is_not_usage() -> None:
    said = json.dumps(answer(content='say "usage": {"prompt_tokens": 9, "completion_tokens": 9}', usage=None))
    assert metered(said.encode()[:-3]).usage is None
    assert metered(said.encode()).usage is None


def test_a_compressed_body_is_read() -> None:
    data = gzip.compress(json.dumps(answer()).encode())
    facts = metered(data[:10], data[10:], encoding="gzip")
    assert facts.usage is not None
    assert facts.terminal


def test_an_unreadable_coding_is_flagged() -> None:
    assert metered(b"(\xb5/\xfd", encoding="zstd").usage_flags == ("undecodable",)
    assert metered(b"plain after all", encoding="gzip").usage_flags == ("undecodable",)


def test_an_error_keeps_its_words() -> None:
    error = {"error": {"message": "x", "type": "insufficient_quota", "code": "insufficient_quota"}}
    facts = metered(json.dumps(error).encode())
    assert (facts.has_error, facts.error_type, facts.error_code) == (
        True,
        "insufficient_quota",
        "insufficient_quota",
    )


def test_a_null_error_beside_an_answer_is_none() -> None:
    assert not metered(json.dumps(answer(error=None)).encode()).has_error


@pytest.mark.parametrize("x_groq", [5, [], "x", {}, {"usage": None, "error": None}])
def test_groqs_own_object_may_be_anything(x_groq: Any) -> None:
    facts = metered(json.dumps(answer(x_groq=x_groq)).encode())
    assert (facts.usage_source, facts.has_error) == ("provider", False)


def test_an_empty_usage_object_gives_way_to_the_next_place() -> None:
    facts = metered(json.dumps(answer(usage={}, x_groq={"usage": USAGE})).encode())
    assert facts.usage is not None
    assert facts.usage.output_tokens == 4
    assert metered(json.dumps(answer(usage={})).encode()).usage_source == "none"


def test_usage_without_counts_is_kept_as_received_and_flagged() -> None:
    facts = metered(json.dumps(answer(usage={"prompt_tokens": -3, "completion_tokens": 4})).encode())
    assert (facts.usage, facts.usage_source) == (None, "none")
    assert facts.usage_raw == '{"prompt_tokens": -3, "completion_tokens": 4}'
    assert facts.usage_flags == ("incomplete", "malformed")


def test_timings_without_counts_change_nothing() -> None:
    assert metered(json.dumps(answer(usage=None, timings={"prompt_ms": 1})).encode()).usage_source == "none"


def test_a_billed_cost_that_is_no_amount_is_flagged_and_the_counts_stand() -> None:
    facts = metered(json.dumps(answer(usage={**USAGE, "cost": -1, "is_byok": False})).encode())
    assert facts.usage is not None
    assert (facts.provider_cost_nanos, facts.usage_flags) == (None, ("malformed",))
