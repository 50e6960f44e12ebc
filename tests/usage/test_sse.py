"""Splitting event streams: what ends a line, what ends an event, what an event says."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.usage.sse import LATE_LF, SseSplitter, event_data


def datas(stream: bytes, *, step: int | None = None, limit: int = 1000) -> list[bytes | None]:
    """Payloads of the events with data; None for one above the limit."""
    splitter = SseSplitter(limit=limit)
    chunks = [stream] if step is None else [stream[at : at + step] for at in range(0, len(stream), step)]
    raws = [event.raw for chunk in chunks for event in splitter.feed(chunk)]
    if (rest := splitter.rest()) is not None:
        raws.append(rest)
    payloads = [None if raw is None else (event_data(raw) or b"") for raw in raws]
    return [payload for payload in payloads if payload != b""]


FRAMES = [
    ("lf", b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    ("crlf", b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    ("cr", b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
    ("mixed", b"data: a\n\r\ndata: b\r\n\ndata: c\r\ndata: d\n\r", [b"a", b"b", b"c\nd"]),
    ("no space", b"data:a\n\n", [b"a"]),
    ("only one space goes", b"data:  a\n\n", [b" a"]),
    ("comment", b": ping\n\ndata: a\n\n", [b"a"]),
    ("comment inside", b": ping\ndata: a\n: pong\n\n", [b"a"]),
    ("other fields", b"event: x\nid: 1\nretry: 5\ndata: a\n\n", [b"a"]),
    ("many lines", b"data: a\ndata: b\ndata\ndata: c\n\n", [b"a\nb\n\nc"]),
    ("mark", b"\xef\xbb\xbfdata: a\n\ndata: b\n\n", [b"a", b"b"]),
    ("mark only once", b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [b"a"]),
    ("unterminated", b"data: a\n\ndata: b", [b"a", b"b"]),
    ("unterminated by one line end", b"data: a\ndata: b\n", [b"a\nb"]),
    (
        "U+2028 and U+0085 are text",
        "data: a\u2028b\u0085c\x0b\x0c\x1cd\n\n".encode(),
        ["a\u2028b\u0085c\x0b\x0c\x1cd".encode()],
    ),
    ("blank lines", b"\n\n\n\ndata: a\n\n\n\n", [b"a"]),
    ("a field of another name", b"datax: a\n\n dat: b\n\n", []),
    ("above the limit", b"data: " + b"x" * 2000 + b"\n\ndata: b\n\n", [None, b"b"]),
]


@pytest.mark.parametrize(
    ("frame", "expected"), [case[1:] for case in FRAMES], ids=[case[0] for case in FRAMES]
)
@pytest.mark.parametrize("step", [None, 1, 2, 3, 7])
def test_frames(frame: bytes, expected: list[bytes | None], step: int | None) -> None:
    assert datas(frame, step=step) == expected


def test_an_event_ends_with_the_cr_of_its_blank_line_and_its_late_lf_follows() -> None:
    splitter = SseSplitter()
    (event,) = splitter.feed(b"data: a\r\n\r")
    assert (event.end, event.raw) == (10, b"data: a\r\n\r")
    assert not splitter.between_events
    late, following = splitter.feed(b"\ndata: b\r\r")
    assert (late.end, late.raw) == (1, LATE_LF)
    assert (following.end, following.raw) == (10, b"data: b\r\r")


def test_an_empty_chunk_changes_nothing() -> None:
    splitter = SseSplitter()
    splitter.feed(b"data: a\r\r")
    assert splitter.feed(b"") == []
    assert [event.raw for event in splitter.feed(b"\n")] == [LATE_LF]


def test_an_endless_event_holds_no_memory_and_has_no_rest() -> None:
    splitter = SseSplitter(limit=100)
    for _ in range(50):
        assert splitter.feed(b"x" * 60) == []
        assert len(splitter._carry) <= 120
    assert splitter.rest() is None


@given(
    data=st.binary(max_size=200) | st.text(alphabet="da:\r\n x", max_size=200).map(str.encode),
    cuts=st.lists(st.integers(0, 200)),
)
def test_events_partition_their_stream_at_any_split(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    raws = _raws(data, edges)
    assert b"".join(raws).replace(b"\xef\xbb\xbf", b"") == data.replace(b"\xef\xbb\xbf", b"")
    payloads = [payload for raw in raws if (payload := event_data(raw)) is not None]
    whole = [payload for raw in _raws(data, [0, len(data)]) if (payload := event_data(raw)) is not None]
    assert payloads == whole


def _raws(data: bytes, edges: list[int]) -> list[bytes]:
    splitter = SseSplitter()
    raws = [event.raw for begin, end in pairwise(edges) for event in splitter.feed(data[begin:end])]
    return [raw for raw in (*raws, splitter.rest()) if raw is not None]
