"""The meter under any bytes and any split, and the limits it keeps."""

import gzip
import json
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.usage.dialects import AUTO, dialect_for
from service.usage.meter import StreamMeter
from service.usage.metered import Metered
from service.usage.sse import EVENT_LIMIT
from service.usage.usage_filter import LONGEST_HELD
from tests.usage.wire_cases import is_extra_usage, load_cases, replay

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def event(value: Any, *, end: str = "\n\n") -> bytes:
    return f"data: {json.dumps(value)}{end}".encode()


def text(content: str, **members: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    return {"id": "c1", "model": "m1", "choices": [choice], **members}


EXTRA = {"id": "c1", "model": "m1", "choices": [], "usage": USAGE}
STOP = {"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
DONE = b"data: [DONE]\n\n"


def metered(data: bytes, **options: Any) -> Metered:
    meter = StreamMeter(AUTO, **options)
    replay(meter, [data])
    return meter.result()


def splits(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]


def without_extra_usage(blocks: list[bytes]) -> bytes:
    return b"".join(block for block in blocks if not is_extra_usage(block))


NAMES = [
    "usage",
    "choices",
    "error",
    "timings",
    "x_groq",
    "id",
    "model",
    "index",
    "finish_reason",
    "delta",
    "content",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cost",
    "prompt_tokens_details",
]
garbage_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
line_ends = st.sampled_from(["\n\n", "\r\n\r\n", "\r\r", "\n\r\n", "\r\n\n"])
blocks = st.one_of(
    st.builds(lambda value, end: event(value, end=end), garbage_values, line_ends),
    st.builds(lambda end: event(EXTRA, end=end), line_ends),
    st.sampled_from(
        [event(text("a")), event(text("你")), event(STOP), DONE, b": comment\n\n", b"event: x\n\n"]
    ),
)


@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=6), hide=st.booleans())
def test_random_bytes_raise_nothing_and_pass_unchanged(data: bytes, cuts: list[int], *, hide: bool) -> None:
    meter = StreamMeter(AUTO, hide_usage=hide)
    assert replay(meter, splits(data, cuts)) == data
    assert meter.result() == metered(data)


@settings(max_examples=300)
@given(parts=st.lists(blocks, max_size=8), cuts=st.lists(st.integers(0, 4000), max_size=8))
def test_any_events_at_any_split_lose_only_their_usage_events(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    for hide in (False, True):
        meter = StreamMeter(AUTO, hide_usage=hide)
        forwarded = replay(meter, splits(data, cuts))
        whole = StreamMeter(AUTO, hide_usage=hide)
        replay(whole, [data])
        assert forwarded == (without_extra_usage(parts) if hide else data)
        assert meter.result() == whole.result()
        assert (meter.events, meter.terminal) == (whole.events, whole.terminal)


@given(
    case=st.sampled_from(load_cases(stream=True)),
    at=st.integers(0),
    noise=st.binary(min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 4000), max_size=4),
)
def test_a_damaged_recording_raises_nothing(case: Any, at: int, noise: bytes, cuts: list[int]) -> None:
    at %= len(case.data)
    data = case.data[:at] + noise + case.data[at + len(noise) :]
    meter = StreamMeter(case.dialect, choices=case.choices)
    assert replay(meter, splits(data, cuts)) == data
    usage = meter.result().usage
    assert usage is None or usage.input_tokens >= (usage.cache_read_input_tokens or 0) >= 0


def test_without_hiding_the_very_chunk_is_forwarded() -> None:
    meter = StreamMeter(AUTO)
    for chunk in (event(text("a")), event(EXTRA)[:9], event(EXTRA)[9:], DONE):
        assert meter.feed(chunk) is chunk


def test_an_event_is_forwarded_as_soon_as_it_cannot_be_the_usage_event() -> None:
    meter = StreamMeter(AUTO, hide_usage=True)
    begin = b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"Hel'
    assert meter.feed(begin[:26]) == b""
    assert meter.feed(begin[26:]) == begin
    assert meter.feed(b'lo"}}]}') == b'lo"}}]}'
    assert meter.feed(b"\n\n") == b"\n\n"


def test_bytes_wait_at_most_64_kib() -> None:
    meter = StreamMeter(AUTO, hide_usage=True)
    begin = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2},"padding":"'
    assert meter.feed(begin) == b""
    padding = b"x" * LONGEST_HELD
    assert meter.feed(padding) == begin + padding
    end = b'"}\n\n'
    assert meter.feed(end) == end
    assert meter.result().usage is not None


def test_an_event_with_both_usage_and_an_error_is_not_hidden() -> None:
    data = event({**EXTRA, "error": {"message": "cut", "type": "server_error"}})
    meter = StreamMeter(AUTO, hide_usage=True)
    assert replay(meter, [data]) == data
    assert meter.terminal


def test_usage_inside_an_array_is_not_the_usage_event() -> None:
    data = event([EXTRA])
    assert replay(StreamMeter(AUTO, hide_usage=True), [data]) == data


@pytest.mark.parametrize("usage", [None, 0, "x", [], False])
def test_only_a_usage_object_is_hidden(usage: Any) -> None:
    data = event({**EXTRA, "usage": usage})
    assert replay(StreamMeter(AUTO, hide_usage=True), [data]) == data


def test_the_second_half_of_a_crlf_goes_the_way_of_its_event() -> None:
    hidden, shown = event(EXTRA, end="\r\n\r\n"), event(text("a"), end="\r\n\r\n")
    meter = StreamMeter(AUTO, hide_usage=True)
    assert replay(meter, [shown[:-1], shown[-1:] + hidden[:-1], hidden[-1:], shown]) == shown + shown


def test_a_ten_megabyte_event_passes_unread_but_counted() -> None:
    media = b'data: {"id":"c1","choices":[{"delta":{"audio":"' + b"A" * (10 * 1024 * 1024) + b'"}}]}\n\n'
    data = media + event(text("a")) + event(EXTRA) + DONE
    for hide in (False, True):
        meter = StreamMeter(AUTO, hide_usage=hide)
        chunks = [data[at : at + 65_536] for at in range(0, len(data), 65_536)]
        assert len(replay(meter, chunks)) == len(data) - hide * len(event(EXTRA))
        facts = meter.result()
        assert (meter.events, facts.usage_flags) == (3, ("unread",))
        assert facts.usage is not None


def test_memory_stays_bounded_while_an_event_never_ends() -> None:
    meter = StreamMeter(AUTO, hide_usage=True)
    for _ in range(3 * EVENT_LIMIT // 1_000_000):
        meter.feed(b"x" * 1_000_000)
    assert len(meter._splitter._carry) <= EVENT_LIMIT
    assert meter.result().usage is None


def test_events_are_counted_alike_on_the_quick_path_and_on_the_slow_one() -> None:
    events = [event(text(word)) for word in ("a", "b", "c", "d", "e", "f")]
    together, apart = StreamMeter(AUTO), StreamMeter(AUTO)
    replay(together, [events[0], b"".join(events[1:])])
    replay(apart, [part for one in events for part in (one[:7], one[7:])])
    assert together.events == apart.events == 6
    assert together.result() == apart.result()
    assert together.generated().letters == 6


@pytest.mark.parametrize(
    "odd",
    [
        b"data: {}\ndata: {}\n\n",
        b"data: {}\n\n: comment\n\n",
        b"\ndata: {}\n\n",
        b"data: {}\rdata: {}\n\n",
        b"data: {}\r\rdata: {}\n\n",
        b"data: {}\n\n\n\n",
        b"data:{}\n\n",
        b"id: 1\n\n",
        b"data\n\n",
    ],
)
def test_odd_framing_after_the_first_events_counts_as_on_the_slow_path(odd: bytes) -> None:
    quick, slow = StreamMeter(AUTO), StreamMeter(AUTO)
    replay(quick, [event(text("a")), odd])
    replay(slow, [bytes([byte]) for byte in event(text("a")) + odd])
    assert quick.events == slow.events


def chunked(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 7] for at in range(0, len(data), 7))


@pytest.mark.parametrize("encoding", ["gzip", "GZIP ", "x-gzip", "deflate"])
def test_a_compressed_stream_is_read_and_forwarded_untouched(encoding: str) -> None:
    plain = event(text("hi")) + event(STOP) + event(EXTRA) + DONE
    data = zlib.compress(plain) if encoding == "deflate" else gzip.compress(plain)
    meter = StreamMeter(AUTO, hide_usage=True, encoding=encoding)
    assert replay(meter, list(chunked(data))) == data
    facts = meter.result()
    assert facts.terminal
    assert facts.usage is not None
    assert meter.events == 3


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip"])
def test_what_cannot_be_decompressed_is_forwarded_and_flagged(encoding: str) -> None:
    data = b"\x28\xb5\x2f\xfd not what it says" + DONE
    meter = StreamMeter(AUTO, encoding=encoding)
    assert replay(meter, list(chunked(data))) == data
    assert meter.result().usage_flags == ("undecodable",)
    assert not meter.terminal


def test_identity_by_name_is_plain() -> None:
    meter = StreamMeter(AUTO, hide_usage=True, encoding="Identity")
    assert replay(meter, [event(EXTRA) + DONE]) == DONE


def test_the_answer_is_named_by_its_first_events_even_if_the_first_has_no_name() -> None:
    nameless = event({"choices": [], "prompt_filter_results": []})
    facts = metered(nameless + event(text("a")) + event({**text("b"), "id": "other", "model": "other"}))
    assert (facts.response_id, facts.response_model) == ("c1", "m1")


def test_names_are_not_searched_forever() -> None:
    facts = metered(event({"choices": []}) * 4 + event(text("a")))
    assert facts.response_id is None


def test_an_error_event_is_terminal_and_its_facts_are_kept() -> None:
    facts = metered(
        event(text("a")) + event({"error": {"message": "x", "type": "server_error", "code": 503}})
    )
    assert (facts.terminal, facts.complete, facts.has_error) == (True, True, True)
    assert (facts.error_type, facts.error_code) == ("server_error", "503")


@pytest.mark.parametrize("error", [None, "", {}, [], 0, False])
def test_an_empty_error_is_none(error: Any) -> None:
    facts = metered(event(text("a", error=error)) + event(STOP))
    assert (facts.has_error, facts.terminal) == (False, False)


def test_a_text_error_has_no_type() -> None:
    facts = metered(event({"error": "boom"}))
    assert (facts.has_error, facts.error_type, facts.error_code) == (True, None, None)


def test_an_undecodable_event_still_gives_its_usage() -> None:
    broken = (
        event(text("a"))
        + b'data: {"x":"\\ud83d","choices":[{"finish_reason":"stop"}],"usage":'
        + (json.dumps(USAGE).encode() + b"}\n\n")
    )
    facts = metered(broken)
    assert facts.usage is not None
    assert (facts.usage.output_tokens, facts.finish_reasons, facts.usage_flags) == (
        4,
        ("stop",),
        ("salvaged",),
    )


def test_long_names_are_cut() -> None:
    facts = metered(event({**text("a"), "id": "i" * 5000, "model": "m" * 5000}))
    assert facts.response_id == "i" * 256
    assert facts.response_model == "m" * 256


def test_a_stream_with_endless_choices_stays_small() -> None:
    meter = StreamMeter(dialect_for("vllm"))
    for index in range(3000):
        choice = {"index": index, "delta": {}, "finish_reason": "stop"}
        meter.feed(event({"choices": [choice], "usage": USAGE}))
    assert len(meter.result().finish_reasons) == 1024


def test_facts_can_be_asked_for_at_any_time() -> None:
    meter = StreamMeter(AUTO)
    assert meter.result().usage_source == "none"
    meter.feed(event(text("hello")))
    assert meter.generated().letters == 5
    meter.feed(event(EXTRA))
    assert meter.result().usage_source == "provider"
    assert meter.result() == msgspec.structs.replace(meter.result())
