"""Answers in their provider's own form: what cannot be read is left, and nothing raises."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from service.usage.answer import Answer
from service.usage.dialects import AUTO
from service.usage.envelope import Envelope, envelope_of
from service.usage.native import as_openai_usage, in_chat_form, joined_usage
from service.usage.normalise import read_usage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(Envelope.__struct_encode_fields__)
TYPES = st.sampled_from(("message_start", "message_delta", "message", "message_stop", "content_block_delta"))


@given(st.dictionaries(NAMES, JSON, max_size=5), st.none() | TYPES)
def test_any_object_is_read(members: dict[str, object], kind: str | None) -> None:
    if kind is not None:
        members["type"] = kind
    envelope = envelope_of(msgspec.json.encode(members))
    assert envelope is not None
    answer = Answer(AUTO)
    answer.read(envelope)
    answer.read(envelope)
    answer.metered(events=2, terminal=False)


def test_a_completion_stays_as_it_is() -> None:
    envelope = envelope_of(b'{"id":"c","object":"chat.completion.chunk","choices":[]}')
    assert envelope is not None
    assert in_chat_form(envelope) is envelope


def test_later_counts_replace_earlier_ones_and_null_replaces_none() -> None:
    joined = joined_usage(
        b'{"input_tokens":25,"output_tokens":1}', b'{"output_tokens":15,"input_tokens":null}'
    )
    assert joined == b'{"input_tokens":25,"output_tokens":15}'


def test_what_cannot_be_joined_stands_alone() -> None:
    assert joined_usage(b"[]", b'{"output_tokens":15}') == b'{"output_tokens":15}'
    assert joined_usage(b'{"input_tokens":25}', b"7") == b"7"


def test_zeros_that_gemini_leaves_out_are_zeros() -> None:
    reading = read_usage(b'{"totalTokenCount":7,"thoughtsTokenCount":7}', AUTO)
    assert reading is not None
    assert reading.usage is not None
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (0, 7)
    assert reading.usage.reasoning_output_tokens == 7
    assert as_openai_usage({"promptTokenCount": 5})["completion_tokens"] == 0
