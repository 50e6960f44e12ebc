"""Frames: every torn length, every flipped bit, and damage of any kind."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.ledger.frames import HEADER, MAGIC, MAX_BODY, Frame, Kind, Scan, encode_frame, scan

BODIES = (b"first", b"", b"the third one \x00 with a zero", bytes(range(256)))
FRAMES = [Frame(kind, body) for kind, body in zip(Kind, BODIES, strict=True)]
ENCODED = [encode_frame(frame.kind, frame.body) for frame in FRAMES]
SEGMENT = b"".join(ENCODED)

frames = st.builds(Frame, st.sampled_from(Kind), st.binary(max_size=300))


def test_the_layout_is_fixed() -> None:
    assert (
        encode_frame(Kind.COMPLETION, b"abc")
        == b"TK\x01\x03" + struct.pack("<II", 3, zlib.crc32(b"abc", 3)) + b"abc"
    )


def test_what_was_written_is_read_with_and_without_the_zeros_behind_it() -> None:
    assert scan(SEGMENT) == Scan(FRAMES, torn=False, damaged=0)
    assert scan(SEGMENT + bytes(4096)) == Scan(FRAMES, torn=False, damaged=0)
    assert scan(b"") == Scan([], torn=False, damaged=0)
    assert scan(bytes(100)) == Scan([], torn=False, damaged=0)


@pytest.mark.parametrize("zeros", [0, 1, 11, 12, 4096])
def test_a_tail_torn_at_any_byte_is_cut(zeros: int) -> None:
    whole = SEGMENT[: -len(ENCODED[-1])]
    for length in range(1, len(ENCODED[-1])):
        torn = scan(whole + ENCODED[-1][:length] + bytes(zeros))
        assert torn == Scan(FRAMES[:-1], torn=True, damaged=0), length


def test_a_flipped_bit_anywhere_costs_one_frame_and_is_seen() -> None:
    for position in range(len(SEGMENT)):
        for bit in range(8):
            broken = bytearray(SEGMENT)
            broken[position] ^= 1 << bit
            hit = _frame_of(position)
            found = scan(bytes(broken) + bytes(64))
            assert found.frames == FRAMES[:hit] + FRAMES[hit + 1 :], (position, bit)
            last = hit == len(FRAMES) - 1
            assert (found.torn, found.damaged) == (last, 0 if last else 1), (position, bit)


def _frame_of(position: int) -> int:
    for number, encoded in enumerate(ENCODED):
        if position < len(encoded):
            return number
        position -= len(encoded)
    raise AssertionError(position)


def test_two_damaged_places_are_two() -> None:
    broken = bytearray(b"".join(ENCODED + ENCODED[:1]))
    broken[HEADER.size] ^= 1
    broken[len(SEGMENT) - 1] ^= 1
    assert scan(bytes(broken)) == Scan([*FRAMES[1:3], FRAMES[0]], torn=False, damaged=2)


def test_zeros_between_frames_are_damage_not_the_end() -> None:
    assert scan(ENCODED[0] + bytes(50) + ENCODED[1]) == Scan(FRAMES[:2], torn=False, damaged=1)


def test_a_body_longer_than_the_limit_is_refused_when_written_and_not_believed_when_read() -> None:
    assert scan(encode_frame(Kind.INTENT, bytes(MAX_BODY))).frames == [Frame(Kind.INTENT, bytes(MAX_BODY))]
    body = bytes(MAX_BODY + 1)
    with pytest.raises(ValueError, match=f"a journal frame of {MAX_BODY + 1} bytes exceeds {MAX_BODY}"):
        encode_frame(Kind.INTENT, body)
    forged = HEADER.pack(MAGIC, Kind.INTENT, len(body), zlib.crc32(body, Kind.INTENT)) + body
    assert scan(forged).frames == []


def test_a_kind_that_does_not_exist_is_damage() -> None:
    unknown = HEADER.pack(MAGIC, 9, 1, zlib.crc32(b"x", 9)) + b"x"
    assert scan(unknown + ENCODED[0]) == Scan([FRAMES[0]], torn=False, damaged=1)


@given(st.lists(frames, max_size=12), st.integers(0, 100))
def test_any_frames_come_back(written: list[Frame], zeros: int) -> None:
    segment = b"".join(encode_frame(frame.kind, frame.body) for frame in written) + bytes(zeros)
    assert scan(segment) == Scan(written, torn=False, damaged=0)


@given(st.binary(max_size=2_000))
def test_garbage_never_raises_and_yields_nothing_false(garbage: bytes) -> None:
    for frame in scan(garbage).frames:
        assert encode_frame(frame.kind, frame.body) in garbage


@given(
    st.lists(frames, min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=6),
    st.integers(0, 10**6),
)
def test_what_no_damage_touched_is_read(written: list[Frame], flips: list[tuple[int, int]], cut: int) -> None:
    encoded = [encode_frame(frame.kind, frame.body) for frame in written]
    segment = bytearray(b"".join(encoded))
    end = cut % (len(segment) + 1)
    broken = bytearray(segment[:end])
    for position, change in flips:
        if broken:
            broken[position % len(broken)] ^= change
    found = scan(bytes(broken) + bytes(40)).frames
    start = 0
    for frame, piece in zip(written, encoded, strict=True):
        place = slice(start, start + len(piece))
        if place.stop <= end and broken[place] == piece:
            assert frame in found
        start = place.stop
