"""Random bytes drawn ahead of need, for identifiers of requests; not for secrets. Used on the event loop alone.

Each call of the system for a few bytes would hand the interpreter to another thread in the middle of a request.
"""

from collections.abc import Callable

POOL_BYTES = 4096


class RandomPool:
    """Hands out every byte of *source* once."""

    def __init__(self, source: Callable[[int], bytes]) -> None:
        self._source = source
        self._pool = b""
        self._used = 0

    def take(self, count: int) -> bytes:
        """*count* fresh bytes, at most `POOL_BYTES`."""
        if self._used + count > len(self._pool):
            self._pool = self._source(POOL_BYTES)
            self._used = 0
        begin = self._used
        self._used = begin + count
        return self._pool[begin : self._used]
