"""The journal's bytes: frames of magic, length, checksum and body. Pure.

    frame   = magic "TK" · version u8 · kind u8 · length u32 · CRC-32 of kind and body u32 · body
    segment = frames, then zeros up to the allocated size

Reading stops at the first zero header that has only zeros after it. A bad frame with nothing good behind it is a
torn tail, the trace of a crash in the middle of a write, and is cut. A bad frame with good frames behind it is
damage: the good ones are read, and the caller keeps the file aside.
"""

import struct
import zlib
from enum import IntEnum

import msgspec

MAGIC = b"TK\x01"
HEADER = struct.Struct("<3sBII")
MAX_BODY = 64 * 1024


class Kind(IntEnum):
    """What a frame's body is."""

    INTENT = 1
    PROGRESS = 2
    COMPLETION = 3
    REPEAT = 4


class Frame(msgspec.Struct, frozen=True):
    """One frame as read."""

    kind: Kind
    body: bytes


class Scan(msgspec.Struct, frozen=True):
    """What a segment holds: its good frames, whether its tail was torn, and how many damaged places it has."""

    frames: list[Frame]
    torn: bool
    damaged: int


def encode_frame(kind: Kind, body: bytes) -> bytes:
    """One frame, ready to be written."""
    if len(body) > MAX_BODY:
        raise ValueError(f"a journal frame of {len(body)} bytes exceeds {MAX_BODY}")
    return HEADER.pack(MAGIC, kind, len(body), zlib.crc32(body, kind)) + body


def scan(buffer: bytes) -> Scan:
    """Every good frame of a segment, in order."""
    frames: list[Frame] = []
    damaged = 0
    offset = 0
    while True:
        found = _frame_at(buffer, offset)
        if found is not None:
            frames.append(found)
            offset += HEADER.size + len(found.body)
            continue
        if not buffer[offset:].strip(b"\x00"):
            return Scan(frames, torn=False, damaged=damaged)
        following = _next_frame(buffer, offset + 1)
        if following is None:
            return Scan(frames, torn=True, damaged=damaged)
        damaged += 1
        offset = following


def _frame_at(buffer: bytes, offset: int) -> Frame | None:
    if len(buffer) - offset < HEADER.size:
        return None
    magic, kind, length, checksum = HEADER.unpack_from(buffer, offset)
    start = offset + HEADER.size
    if magic != MAGIC or kind not in _KINDS or length > MAX_BODY or start + length > len(buffer):
        return None
    body = buffer[start : start + length]
    return Frame(Kind(kind), body) if zlib.crc32(body, kind) == checksum else None


def _next_frame(buffer: bytes, offset: int) -> int | None:
    while (offset := buffer.find(MAGIC, offset)) >= 0:
        if _frame_at(buffer, offset) is not None:
            return offset
        offset += 1
    return None


_KINDS = frozenset(Kind)
