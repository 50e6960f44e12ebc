"""How many requests with a wrong key an address may make. Pure: the time arrives as an argument."""

from service.errors import TooManyFailuresError

FAILURES_PER_MINUTE = 600
MAX_ADDRESSES = 10_000
MICROS_PER_MINUTE = 60_000_000


class FailureLimiter:
    """Counts wrong keys per address and minute; bounded memory."""

    def __init__(self, *, limit: int = FAILURES_PER_MINUTE) -> None:
        self._limit = limit
        self._minute = 0
        self._counts: dict[str | None, int] = {}

    def failed(self, address: str | None, *, micros: int) -> None:
        """Count one failure; raises TooManyFailuresError beyond the limit."""
        minute, rest = divmod(micros, MICROS_PER_MINUTE)
        if minute != self._minute or len(self._counts) > MAX_ADDRESSES:
            self._minute = minute
            self._counts.clear()
        count = self._counts.get(address, 0) + 1
        self._counts[address] = count
        if count > self._limit:
            seconds = max(1, -(-(MICROS_PER_MINUTE - rest) // 1_000_000))
            raise TooManyFailuresError(
                f"Too many requests with a wrong API key from this address; try again in {seconds} s.",
                retry_after_s=seconds,
            )
