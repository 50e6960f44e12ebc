"""Every recording, whole, byte by byte and at every split into two, with the usage event shown and hidden."""

from collections.abc import Iterable
from operator import attrgetter

import pytest

from service.usage.meter import BodyMeter, StreamMeter
from tests.usage.wire_cases import WireCase, load_cases, replay

STREAMS = load_cases(stream=True)
BODIES = load_cases(stream=False)
streams = pytest.mark.parametrize("case", STREAMS, ids=attrgetter("name"))
bodies = pytest.mark.parametrize("case", BODIES, ids=attrgetter("name"))
hidden = pytest.mark.parametrize("hide", [False, True], ids=["shown", "hidden"])


def meter_for(case: WireCase, *, hide: bool) -> StreamMeter:
    return StreamMeter(case.dialect, hide_usage=hide, choices=case.choices)


def check_stream(case: WireCase, splits: Iterable[list[bytes]], *, hide: bool) -> None:
    wanted = case.without_usage_event() if hide else case.data
    for chunks in splits:
        meter = meter_for(case, hide=hide)
        forwarded = replay(meter, chunks)
        case.check(meter)
        assert forwarded == wanted


def test_every_recording_is_replayed() -> None:
    assert len(STREAMS) >= 45
    assert len(BODIES) >= 25


@streams
@hidden
def test_a_whole_stream(case: WireCase, hide: bool) -> None:  # noqa: FBT001 - a parameter of the test
    check_stream(case, [[case.data]], hide=hide)


@streams
@hidden
def test_a_stream_byte_by_byte(case: WireCase, hide: bool) -> None:  # noqa: FBT001
    check_stream(case, [[bytes([byte]) for byte in case.data]], hide=hide)


@streams
@hidden
def test_a_stream_at_every_split(case: WireCase, hide: bool) -> None:  # noqa: FBT001
    splits = ([case.data[:at], case.data[at:]] for at in range(1, len(case.data)))
    check_stream(case, splits, hide=hide)


@streams
def test_no_byte_waits_longer_than_its_event(case: WireCase) -> None:
    """At every end of an event, all bytes are out that a stream ending there would give."""
    meter = meter_for(case, hide=True)
    forwarded = b""
    for at in range(1, len(case.data) + 1):
        forwarded += meter.feed(case.data[at - 1 : at])
        ended = case.data[:at].endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))
        if ended and not case.data[:at].endswith(b"\n\n\n"):
            until_here = meter_for(case, hide=True)
            assert forwarded == replay(until_here, [case.data[:at]])
            assert until_here.end() == b""


@bodies
def test_a_whole_body(case: WireCase) -> None:
    meter = BodyMeter(case.dialect)
    assert replay(meter, [case.data]) == case.data
    case.check(meter)


@bodies
def test_a_body_at_every_split(case: WireCase) -> None:
    for at in range(1, len(case.data)):
        meter = BodyMeter(case.dialect)
        assert replay(meter, [case.data[:at], case.data[at:]]) == case.data
        case.check(meter)
