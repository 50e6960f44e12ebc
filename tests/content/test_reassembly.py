"""Streams put together: the answer is the one that the same request would have had without streaming."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.content.reassembly import reassembled
from service.content.redact import CUT
from tests.support.upstream import DONE, delta, event, usage_event


def chunk(index: int, **piece: Any) -> bytes:
    return event(
        {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": index, "delta": piece}]}
    )


def test_an_answer_in_pieces() -> None:
    stream = (
        chunk(0, role="assistant", content="")
        + delta("Hel")
        + delta("lo")
        + delta(finish="stop")
        + usage_event()
        + DONE
    )
    answer, events = reassembled(stream)
    assert events == 5
    assert answer["object"] == "chat.completion"
    assert answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    ]
    assert answer["usage"]["total_tokens"] == 12
    assert answer["model"] == "gpt-4o-2024-08-06"


@given(st.lists(st.text(max_size=5), max_size=12), st.integers(1, 64))
def test_any_text_in_any_pieces(pieces: list[str], size: int) -> None:
    stream = b"".join(chunk(1, content=piece) for piece in pieces) + DONE
    answer, events = reassembled(b"".join(stream[at : at + size] for at in range(0, len(stream), size)))
    assert events == len(pieces)
    if pieces:
        assert answer["choices"][0]["message"]["content"] == "".join(pieces)


def test_tool_calls_reasoning_and_several_choices() -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "send", "arguments": ""}}
    stream = (
        chunk(1, reasoning_content="be")
        + chunk(0, tool_calls=[call])
        + chunk(0, tool_calls=[{"index": 1, "id": "call_2", "function": {"name": "look", "arguments": "{}"}}])
        + chunk(0, tool_calls=[{"index": 0, "function": {"arguments": '{"to":'}}])
        + chunk(0, tool_calls=[{"index": 0, "id": "call_1", "function": {"arguments": '"joe"}'}}])
        + chunk(1, reasoning_content="cause", content=None)
    )
    answer, _ = reassembled(stream)
    first, second = answer["choices"]
    assert [one["function"] for one in first["message"]["tool_calls"]] == [
        {"name": "send", "arguments": '{"to":"joe"}'},
        {"name": "look", "arguments": "{}"},
    ]
    assert first["message"]["tool_calls"][0]["id"] == "call_1"
    assert second["message"] == {"reasoning_content": "because", "content": None}


def test_token_lists_are_left_out() -> None:
    stream = event({"choices": [{"index": 0, "delta": {"content": "j", "token_ids": [1]}}]})
    assert reassembled(stream)[0]["choices"][0]["message"] == {"content": "j", "token_ids": None}


def test_errors_comments_and_garbage() -> None:
    stream = (
        b": hi\n\ndata: {broken\n\ndata: [1]\n\ndata: \xff\n\n"
        + delta("a")
        + event({"error": {"message": "no"}})
    )
    answer, events = reassembled(stream)
    assert (events, answer["error"]) == (2, {"message": "no"})
    assert answer["choices"][0]["message"]["content"] == "a"


def test_texts_of_a_stream_that_was_cut_are_marked() -> None:
    stream = delta("a ") + delta("b") + b'data: {"choices":[{"index":0,"delta":{"content":"half'
    answer, events = reassembled(stream, is_whole=False)
    assert (events, answer["choices"][0]["message"]["content"]) == (2, f"a b{CUT}")


def test_a_last_event_without_its_end_counts_where_the_stream_is_whole() -> None:
    stream = delta("a") + delta("b").rstrip()
    assert reassembled(stream)[0]["choices"][0]["message"]["content"] == "ab"


@pytest.mark.parametrize("stream", [b"", b"\n\n", b"data\n\n", DONE, b"not a stream at all"])
def test_nothing_comes_of_nothing(stream: bytes) -> None:
    assert reassembled(stream) == ({}, 0)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["index", "content", "role", "choices", "delta", "message", "a"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(st.lists(VALUES, max_size=5), st.lists(VALUES, max_size=5), st.booleans())
def test_any_json_is_read(events: list[Any], deltas: list[Any], is_whole: bool) -> None:  # noqa: FBT001  (drawn)
    stream = b"".join(map(event, events)) + b"".join(event({"choices": [{"delta": one}]}) for one in deltas)
    answer, _ = reassembled(stream, is_whole=is_whole)
    assert json.loads(json.dumps(answer)) == answer
