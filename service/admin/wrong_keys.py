"""Requests with a wrong admin key: how many an address may make, and how often that is told. Pure.

Bounded in memory, and in what it says: the audit log hears of an address at its first wrong key of an hour and when it
reaches the limit, and of no more than 50 such events an hour. A right key is never refused for wrong ones.
"""

from typing import Literal

import msgspec

FAILURES_PER_MINUTE = 30
TOLD_PER_HOUR = 50
MAX_ADDRESSES = 10_000
MICROS_PER_MINUTE = 60_000_000
MINUTES_PER_HOUR = 60

Event = Literal["first", "limit"]


class Judged(msgspec.Struct, frozen=True):
    """A wrong key: with *retry_after_s*, one too many in this minute; *event* is worth telling."""

    retry_after_s: int
    event: Event | None


class WrongAdminKeys:
    """Counts per address and minute. Used on one thread."""

    def __init__(self) -> None:
        self._minute = 0
        self._hour = 0
        self._counts: dict[str | None, int] = {}
        self._told: set[tuple[str | None, Event]] = set()

    def judge(self, address: str | None, *, micros: int) -> Judged:
        """Count one request with a wrong key."""
        minute, rest = divmod(micros, MICROS_PER_MINUTE)
        if minute != self._minute or len(self._counts) > MAX_ADDRESSES:
            self._minute = minute
            self._counts.clear()
        if minute // MINUTES_PER_HOUR != self._hour:
            self._hour = minute // MINUTES_PER_HOUR
            self._told.clear()
        count = self._counts.get(address, 0) + 1
        self._counts[address] = count
        if count <= FAILURES_PER_MINUTE:
            return Judged(0, self._event(address, "limit" if count == FAILURES_PER_MINUTE else "first"))
        return Judged(max(1, -(-(MICROS_PER_MINUTE - rest) // 1_000_000)), None)

    def _event(self, address: str | None, event: Event) -> Event | None:
        if (address, event) in self._told or len(self._told) >= TOLD_PER_HOUR:
            return None
        self._told.add((address, event))
        return event
