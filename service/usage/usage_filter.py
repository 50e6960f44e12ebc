"""Leaves the extra usage event out of a stream whose client did not ask for it. Pure.

Bytes wait only while they could still become that event, at most `LONGEST_HELD` of them.
"""

import re

from service.usage.sse import LATE_LF, SseEvent

LONGEST_HELD = 64 * 1024
"""Bytes of an unfinished event that wait while it could be the usage event."""
LONGEST_HIDDEN = LONGEST_HELD - 3  # a byte order mark was held too

HAS_CHOICE = re.compile(rb'"choices"\s*:\s*\[\s*[^\]\s]')
_OVERLAP = 32


class UsageFilter:
    """Forwards the bytes of a stream without its extra usage event."""

    __slots__ = ("_flowing", "_held", "_hid_last", "_searched")

    def __init__(self) -> None:
        self._held = bytearray()
        self._flowing = False  # the event being received can no longer be the usage event
        self._searched = 0
        self._hid_last = False

    def feed(self, chunk: bytes, *, events: list[tuple[SseEvent, bool]]) -> bytes:
        """What of *chunk* and of what was held may go; *events* end in *chunk*, each hidden or not."""
        out = bytearray()
        start = 0
        for event, usage in events:
            hidden = usage or (event.raw == LATE_LF and self._hid_last)
            if not hidden:
                out += self._held
                out += chunk[start : event.end]
            self._held.clear()
            self._searched = 0
            self._hid_last, self._flowing, start = hidden, False, event.end
        self._held += chunk[start:]
        if self._flowing or self._has_choice() or len(self._held) > LONGEST_HELD:
            self._flowing = True
            out += self._held
            self._held.clear()
        return bytes(out)

    def _has_choice(self) -> bool:
        """The held bytes show a choice. A match missed across the overlap shows when the event is whole."""
        begin = max(0, self._searched - _OVERLAP)
        self._searched = len(self._held)
        return HAS_CHOICE.search(self._held, begin) is not None

    def end(self, *, hidden: bool) -> bytes:
        """What is left when the stream ends."""
        out = b"" if hidden else bytes(self._held)
        self._held.clear()
        return out
