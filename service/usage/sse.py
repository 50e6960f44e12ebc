"""Server-sent events: bytes in, whole events out, at any split of the input.

Lines end with CR, LF or CRLF and nothing else (U+2028 inside JSON is text). A blank line ends an event.
The splitter says where each event ends inside the chunk it was given, so that the caller can forward
the very bytes it received. An event above the limit is dropped from memory but still reported.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6.
"""

import re

import msgspec

EVENT_LIMIT = 8 * 1024 * 1024
"""Bytes of one event kept for reading; longer ones (inline media) are counted, not read."""

LATE_LF = b"\n"
_LF, _CR = LATE_LF[0], b"\r"[0]
_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")
# Atomic groups: CRLF is one line end and must not be read as CR followed by a blank line.
_BLANK_LINE = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")
_LONGEST_PARTIAL_END = 2


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One event as received."""

    end: int
    """Offset in the chunk just fed at which the event ends."""
    raw: bytes | None
    """The event with its line ends, without a byte order mark; None above the limit."""


class SseSplitter:
    """Cuts a byte stream at the ends of its events."""

    __slots__ = ("_after_cr", "_carry", "_dropped", "_first", "_limit", "_scanned", "between_events")

    def __init__(self, *, limit: int = EVENT_LIMIT) -> None:
        self._limit = limit
        self._carry = bytearray()
        self._scanned = 0
        self._dropped = False
        self._first = True
        self._after_cr = False
        self.between_events = True
        """Nothing of an unfinished event has been seen."""

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Events that end inside *chunk*, in order.

        The second half of a CRLF whose first half already ended an event comes as an event of its own, `LATE_LF`.
        """
        if not chunk:
            return []
        events: list[SseEvent] = []
        begin = 0
        if self._after_cr and chunk[0] == _LF:
            events.append(SseEvent(1, LATE_LF))
            begin = 1
        buffer, shift = self._joined(chunk)
        scan = max(begin, self._scanned)
        find = _find_any if buffer.find(b"\r", scan) != -1 else _find_lf
        while (end := find(buffer, scan)) != -1:
            events.append(SseEvent(end + shift, self._take(bytes(buffer[begin:end]))))
            begin = scan = end
        self._after_cr = begin == len(buffer) and buffer[-1] == _CR
        self._keep(buffer, begin=begin)
        self.between_events = not (self._carry or self._after_cr)
        return events

    def rest(self) -> bytes | None:
        """The last event if its blank line never came; None if there is none or it was too long."""
        if not self._carry or self._dropped:
            return None
        return self._take(bytes(self._carry))

    def _joined(self, chunk: bytes) -> tuple[bytes | bytearray, int]:
        """The bytes to scan, and what to add to their offsets to get offsets in *chunk*."""
        if not self._carry:
            return chunk, 0
        shift = -len(self._carry)
        self._carry += chunk
        return self._carry, shift

    def _take(self, raw: bytes) -> bytes | None:
        if self._dropped or len(raw) > self._limit:
            self._dropped = self._first = False
            return None
        if self._first:
            self._first = False
            return raw.removeprefix(_BOM)
        return raw

    def _keep(self, buffer: bytes | bytearray, *, begin: int) -> None:
        if buffer is self._carry:
            del self._carry[:begin]
        elif begin < len(buffer):
            self._carry += buffer[begin:]
        if len(self._carry) > self._limit:
            self._dropped = True
        if self._dropped:
            del self._carry[:-_LONGEST_PARTIAL_END]
        self._scanned = max(0, len(self._carry) - _LONGEST_PARTIAL_END)


def _find_lf(buffer: bytes | bytearray, scan: int) -> int:
    """Offset behind the next blank line at or after *scan*, or -1, where every line ends with LF."""
    found = buffer.find(b"\n\n", scan)
    return found if found == -1 else found + 2


def _find_any(buffer: bytes | bytearray, scan: int) -> int:
    """As `_find_lf`, for any line ends."""
    match = _BLANK_LINE.search(buffer, scan)
    return match.end() if match else -1


def event_data(raw: bytes) -> bytes | None:
    """The joined `data` lines of an event; None if it has none (comments, blank lines, other fields)."""
    line = raw.strip(b"\r\n")
    if b"\n" not in line and b"\r" not in line:
        return _data_value(line)
    values = [value for part in _LINE_END.split(line) if (value := _data_value(part)) is not None]
    return b"\n".join(values) if values else None


def _data_value(line: bytes) -> bytes | None:
    if line.startswith(b"data:"):
        return line[6:] if line[5:6] == b" " else line[5:]
    return b"" if line == b"data" else None
