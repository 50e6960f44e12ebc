"""The chain that makes a change to the audit log visible: HMAC-SHA-256 over every entry and the one before. Pure.

An entry's code covers its content, its number and its predecessor's code, so nobody without the key can edit, insert
or move one. `previous` is stored beside the code: an entry can be judged although its predecessor is gone. The head,
the number and code of the last entry, carries a seal of its own, which no entry reveals: cutting entries off the end
needs a seal that only the whole log at that earlier moment had. Putting back an old copy of everything is beyond what
the store itself can show; for that, compare with a head that was noted elsewhere (`expected`).
"""

import hmac
from collections.abc import Iterator
from hmac import compare_digest
from typing import Literal

import msgspec

_ENTRY = b"tollkeeper audit entry 1\n"
_HEAD = b"tollkeeper audit head 1\n"
_START = b"tollkeeper audit log 1\n"

Finding = Literal["missing", "changed", "moved", "cut_off", "head"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One change. *before* and *after* are JSON texts, taken as they are stored."""

    seq: int
    at_micros: int
    actor_kind: str
    actor_id: str
    actor_name: str
    address: str | None
    action: str
    target_kind: str
    target_id: str
    target_name: str
    before: str | None
    after: str | None


class Sealed(msgspec.Struct, frozen=True):
    """An entry with its predecessor's code and its own."""

    entry: Entry
    previous: bytes
    mac: bytes


class Head(msgspec.Struct, frozen=True):
    """The last entry: its number and code. Number 0 is the log before its first entry."""

    seq: int
    mac: bytes

    def __str__(self) -> str:
        return f"{self.seq}:{self.mac.hex()}"


class Problem(msgspec.Struct, frozen=True):
    """Something that no change made through Tollkeeper leaves behind; *seq* is where it shows."""

    seq: int
    finding: Finding
    detail: str


def start(key: bytes) -> Head:
    """The head of an empty log."""
    return Head(0, hmac.digest(key, _START, "sha256"))


def seal(key: bytes, entry: Entry, *, previous: bytes) -> Sealed:
    """*entry* after the entry whose code is *previous*."""
    return Sealed(entry, previous, _code(key, entry, previous=previous))


def head_seal(key: bytes, head: Head) -> bytes:
    """What proves that *head* was the end of the log."""
    return hmac.digest(key, _HEAD + str(head).encode(), "sha256")


class ChainCheck:
    """Judges entries in ascending order, one by one; *expected* heads were noted elsewhere and must be in the log."""

    def __init__(self, key: bytes, *, expected: Head | None = None) -> None:
        self._key = key
        self._expected = expected
        self._last = start(key)
        self.entries = 0

    def feed(self, sealed: Sealed) -> Iterator[Problem]:
        """What is wrong with the next entry."""
        seq = sealed.entry.seq
        last, self._last = self._last, Head(seq, sealed.mac)
        self.entries += 1
        if seq > last.seq + 1:
            yield Problem(seq, "missing", _missing(last.seq + 1, seq - 1))
        if not compare_digest(_code(self._key, sealed.entry, previous=sealed.previous), sealed.mac):
            yield Problem(seq, "changed", f"entry {seq} is not what was written in its place")
        elif seq == last.seq + 1 and not compare_digest(sealed.previous, last.mac):
            yield Problem(seq, "moved", f"entry {seq} does not follow the entry before it")
        expected = self._expected
        if expected is not None and expected.seq == seq and not compare_digest(expected.mac, sealed.mac):
            yield Problem(seq, "changed", f"entry {seq} is not the one that was noted")

    def end(self, head: Head | None, *, seal: bytes | None) -> Iterator[Problem]:
        """What is wrong with the end of the log; *head* and *seal* as stored."""
        last, expected = self._last, self._expected
        if head is None or seal is None:
            if last.seq:
                yield Problem(
                    last.seq, "head", "the head of the log is gone: entries may be missing at its end"
                )
        elif not compare_digest(head_seal(self._key, head), seal):
            yield Problem(head.seq, "head", "the head of the log is not what was written")
        elif head.seq > last.seq:
            yield Problem(head.seq, "cut_off", f"{_missing(last.seq + 1, head.seq)} at the end of the log")
        elif head.seq < last.seq:
            yield Problem(last.seq, "head", f"the log goes on after its head, entry {head.seq}")
        elif not compare_digest(head.mac, last.mac):
            yield Problem(last.seq, "head", f"the head of the log names another entry {last.seq}")
        if expected is not None and expected.seq > last.seq:
            yield Problem(
                expected.seq, "cut_off", f"the log ends at entry {last.seq}; entry {expected.seq} was noted"
            )


def _missing(first: int, last: int) -> str:
    return f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"


def _code(key: bytes, entry: Entry, *, previous: bytes) -> bytes:
    return hmac.digest(key, _ENTRY + previous + _encoded(entry), "sha256")


def _encoded(entry: Entry) -> bytes:
    """Every field with its length before it, so that no two entries have the same bytes; absent is not empty."""
    parts = []
    for value in msgspec.structs.astuple(entry):
        if value is None:
            parts.append(b"-")
        else:
            data = str(value).encode("utf-8", "surrogatepass")
            parts.append(b"%d:" % len(data) + data)
    return b"\n".join(parts)
