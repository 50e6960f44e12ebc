"""Rate limits as integer arithmetic: how much was used in the last minute, and when there is room again. Pure.

At most `limit` units in any 60 seconds, wherever the minute begins: a unit counts until 60 seconds after the end of
the tenth of a second in which it was used. A bucket that refills (GCRA) would allow twice the limit in a minute that
begins with a full bucket, or no burst at all. Several relays share a limit by shares: each share covers what its relay
used in the last minute, so a share that moves takes no used unit with it, and the sum of the shares is the limit.
Times are integer microseconds of a clock that never goes back.
"""

from collections import deque
from typing import Literal

import msgspec

Measure = Literal["requests", "tokens", "concurrency"]

MINUTE = 60_000_000
SLOT = 100_000
_SECOND = 1_000_000
_MILLISECOND = 1_000


class Rolling:
    """Units used in the last minute. A few hundred integers at most."""

    __slots__ = ("_slots", "_used")

    def __init__(self) -> None:
        self._slots: deque[list[int]] = deque()
        self._used = 0

    def used(self, now: int) -> int:
        """Units that count at *now*."""
        slots = self._slots
        while slots and _ends(slots[0][0]) <= now:
            self._used -= slots.popleft()[1]
        return self._used

    def add(self, now: int, units: int) -> int:
        """Use *units* now; returns the slot, for `correct`."""
        slot = now // SLOT
        if self._slots and self._slots[-1][0] >= slot:
            slot = self._slots[-1][0]
            self._slots[-1][1] += units
        else:
            self._slots.append([slot, units])
        self._used += units
        return slot

    def correct(self, slot: int, units: int, *, now: int) -> None:
        """Units of *slot* turned out to be more or fewer; what has left the minute stays out of it."""
        self.used(now)
        for entry in self._slots:
            if entry[0] == slot:
                entry[1] += units
                self._used += units
                return

    def wait(self, now: int, units: int, *, capacity: int) -> int | None:
        """Microseconds until *units* fit into *capacity*; None: they never do."""
        excess = self.used(now) + units - capacity
        if excess <= 0:
            return 0
        for slot, used in self._slots:
            excess -= used
            if excess <= 0:
                return _ends(slot) - now
        return None

    def empty_in(self, now: int) -> int:
        """Microseconds until nothing counts any more."""
        return _ends(self._slots[-1][0]) - now if self.used(now) and self._slots else 0


def share(own: int, *, need: int, want: int, free: int, holders: int) -> int | None:
    """A relay's share afterwards: room for *need* in total, better for *want*; None where *free* has none."""
    missing = need - own
    if missing > free:
        return None
    if missing <= 0:
        return own + min(0, free)
    return own + min(max(want - own, missing), max(missing, free // holders))


class Remaining(msgspec.Struct, frozen=True):
    """What `x-ratelimit-*` say of one measure."""

    limit: int
    remaining: int
    reset: int
    """Microseconds until nothing counts any more."""


def retry_after_s(wait: int | None) -> int:
    """Whole seconds, never too few; a minute where waiting does not help."""
    return max(1, -(-(MINUTE if wait is None else wait) // _SECOND))


def reset_text(micros: int) -> str:
    """A time as OpenAI writes it in `x-ratelimit-reset-*`: ``0s``, ``120ms``, ``59.9s``, ``1m0s``."""
    millis = -(-micros // _MILLISECOND)
    if millis and millis < _SECOND // _MILLISECOND:
        return f"{millis}ms"
    minutes, rest = divmod(millis, 60_000)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def _ends(slot: int) -> int:
    return (slot + 1) * SLOT + MINUTE
