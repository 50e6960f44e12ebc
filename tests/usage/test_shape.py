"""Events that look alike: only what surely holds no fact is counted unread."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.usage.dialects import AUTO
from service.usage.meter import StreamMeter
from service.usage.metered import Metered
from service.usage.shape import EventShape

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
FACTS = ("usage", "finish_reason", "error", "x_groq", "timings")


def chunk(content: str, *, padding: str | None = None, name: str = "content", **members: Any) -> bytes:
    choice = {"index": 0, "delta": {name: content}, "finish_reason": None}
    value = {"id": "c1", "model": "m1", "choices": [choice], "usage": None, **members}
    if padding is not None:
        value["obfuscation"] = padding
    return f"data: {json.dumps(value)}\n\n".encode()


def shape_of(event: bytes) -> EventShape:
    found = EventShape.of(event)
    assert found is not None
    return found


@pytest.mark.parametrize("padding", [None, "xY3"])
@pytest.mark.parametrize("count", [1, 2, 17])
def test_events_that_differ_in_their_text_alone_are_counted(padding: str | None, count: int) -> None:
    shape = shape_of(chunk("Hello", padding=padding))
    data = b"".join(chunk("x" * n, padding=None if padding is None else "p" * (n % 3)) for n in range(count))
    assert shape.events_in(data) == count


@pytest.mark.parametrize("padding", [None, "xY3"])
@pytest.mark.parametrize(
    "other",
    [
        chunk("a", usage=USAGE),
        chunk("a", padding="p", usage=USAGE),
        chunk('say "a"'),
        chunk("a", id="c2"),
        chunk("a", more=1),
        chunk("a", name="reasoning"),
        chunk("a").removesuffix(b"\n"),
        chunk("a").replace(b"\n\n", b"\r\n\r\n"),
        chunk("a").replace(b'"a"', b'"a\r"'),
        chunk("a").replace(b'"a"', b'"a\nb"'),
        chunk("a").replace(b'"a"', b'"a\n\nb"'),
        b": ping\n\n",
        b"data: [DONE]\n\n",
    ],
)
def test_anything_else_among_them_is_not(other: bytes, padding: str | None) -> None:
    like = chunk("Hello", padding=padding)
    shape = shape_of(like)
    for data in (other, like + other, other + like, like + other + like, b""):
        assert not shape.events_in(data)


def test_two_pieces_that_share_bytes_are_not_an_event() -> None:
    shape = shape_of(b'data: {"content":"a"}\n\n')
    assert shape.events_in(b'data: {"content":"b"}\n\n') == 1
    assert not shape.events_in(b'data: {"content":"}\n\n')


@pytest.mark.parametrize(
    "event",
    [
        b"data: {}\n\n",
        chunk('a "quoted" word'),
        chunk("a\nline"),
        b'data: {"content":"never ends}\n\n',
    ],
)
def test_an_event_without_a_plain_text_has_no_shape(event: bytes) -> None:
    assert EventShape.of(event) is None


def test_padding_with_an_escape_is_part_of_the_shape() -> None:
    event = chunk("a", padding='"')
    assert shape_of(event).between == b""
    assert shape_of(event).events_in(event) == 1


pieces = st.one_of(
    st.text(max_size=12),
    st.sampled_from([f'"{name}":' for name in FACTS] + ['"', "\\", '"usage":{"prompt_tokens":9}', "usage"]),
)
events = st.builds(
    chunk,
    pieces,
    padding=st.none() | st.just("p") | pieces,
    name=st.sampled_from(["content", "reasoning", "text", "arguments"]),
    usage=st.sampled_from([None, None, None, USAGE]),
    created=st.sampled_from([1, 1, 2]),
)
END = chunk("", usage=USAGE) + b"data: [DONE]\n\n"


def facts(chunks: list[bytes]) -> tuple[Metered, int, object]:
    meter = StreamMeter(AUTO)
    for one in chunks:
        assert meter.feed(one) == one
    meter.end()
    return meter.result(), meter.events, meter.generated()


@given(found=st.lists(events, min_size=1, max_size=30), size=st.integers(1, 3000))
def test_bursts_single_events_and_odd_chunks_give_the_same_facts(found: list[bytes], size: int) -> None:
    data = b"".join(found) + END
    cut = [data[begin : begin + size] for begin in range(0, len(data), size)]
    assert facts([data]) == facts([*found, END]) == facts(cut)
    assert facts([data])[1] == len(found) + 1


def test_usage_in_the_middle_of_a_long_burst_is_found() -> None:
    burst = [chunk(f"word {n}", padding="x" * (n % 5)) for n in range(60)]
    burst[30] = chunk("half", padding="y", usage={**USAGE, "completion_tokens": 2})
    first, events_seen, _ = facts([b"".join(burst)])
    assert first.usage is not None
    assert (first.usage.output_tokens, events_seen) == (2, 60)


def test_a_stream_that_never_looks_alike_is_counted_all_the_same() -> None:
    burst = [chunk("a", created=n) for n in range(40)]
    assert facts([*burst, END]) == facts([b"".join(burst), END])
    assert facts([*burst, END])[1] == 41


def test_the_begin_of_a_long_event_waits_for_its_end() -> None:
    head, long = chunk("a"), chunk("b" * 5000)
    assert facts([head, long[:4000], long[4000:], END]) == facts([head, long, END])
