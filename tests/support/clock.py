"""A clock that tests turn by hand."""

from datetime import UTC, datetime, timedelta


class HandClock:
    """Wall clock and monotonic clock in one; both move only with `advance`."""

    def __init__(self, start: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self._now = start
        self._elapsed_s = 0.0

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self._elapsed_s

    def advance(self, step: timedelta) -> None:
        """Let time pass."""
        self._now += step
        self._elapsed_s += step.total_seconds()
