"""Rate limits of a relay in memory: what a request falls under, what was used, what a passed request gives back."""

from collections.abc import Mapping, Sequence

import msgspec

from service.budgets.rates import Measure, Rolling, reset_text

MICROS = 1_000_000
_NAME_LENGTH = 240
_GIVEN: tuple[tuple[str, Measure], ...] = (
    ("rpm", "requests"),
    ("tpm", "tokens"),
    ("concurrency", "concurrency"),
)


class RateLimit(msgspec.Struct, frozen=True, gc=False):
    """One limit that a request falls under; *whose* is such as ``key key_1`` and names it in the store."""

    whose: str
    measure: Measure
    limit: int

    @property
    def name(self) -> str:
        """The limit's name in the store."""
        return f"{self.whose[:_NAME_LENGTH]}:{self.measure}"

    def units(self, tokens: int) -> int:
        """What a request of *tokens* takes of it."""
        return tokens if self.measure == "tokens" else 1


def limits_of(whose: str, given: Mapping[str, int] | None) -> list[RateLimit]:
    """The limits of a key or a project, from ``rpm``, ``tpm`` and ``concurrency``."""
    if not given:
        return []
    return [RateLimit(whose, measure, given[name]) for name, measure in _GIVEN if name in given]


class Meter:
    """One limit on this relay. `share` never exceeds what the store gave; `stored` is the most it may think we have."""

    __slots__ = ("deadline", "free", "rolling", "running", "share", "stored", "used_at", "wanted")

    def __init__(self, now: float) -> None:
        self.rolling = Rolling()
        self.running = 0
        self.share = 0
        self.stored = 0
        self.free = 0
        self.deadline = 0.0
        self.used_at = now
        self.wanted = 0

    def used(self, limit: RateLimit, micros: int) -> int:
        """What counts now."""
        return self.running if limit.measure == "concurrency" else self.rolling.used(micros)

    def in_use(self, micros: int) -> int:
        """What counts now, whatever is measured."""
        return self.running or self.rolling.used(micros)


class Permit:
    """A request that passed its limits. `finish` counts once; later calls change nothing."""

    __slots__ = ("_limits", "_meters", "_open", "_slots", "_tokens")

    def __init__(
        self, limits: Sequence[RateLimit], meters: Sequence[Meter], *, micros: int, tokens: int
    ) -> None:
        self._limits = limits
        self._meters = meters
        self._tokens = tokens
        self._open = True
        self._slots = [
            _take(limit, meter, micros, tokens) for limit, meter in zip(limits, meters, strict=True)
        ]

    def finish(self, tokens: int | None, *, micros: int) -> None:
        """The request has ended and used *tokens*; None: nobody knows, the estimate stands."""
        if not self._open:
            return
        self._open = False
        for limit, meter, slot in zip(self._limits, self._meters, self._slots, strict=True):
            if limit.measure == "concurrency":
                meter.running -= 1
            elif limit.measure == "tokens" and tokens is not None:
                meter.rolling.correct(slot, tokens - self._tokens, now=micros)

    def headers(self, *, micros: int) -> list[tuple[bytes, bytes]]:
        """`x-ratelimit-*` as they stand after this request."""
        return standing(self._limits, self._meters, micros=micros)


def standing(
    limits: Sequence[RateLimit], meters: Sequence[Meter], *, micros: int
) -> list[tuple[bytes, bytes]]:
    """`x-ratelimit-*` of requests and tokens: of the tightest limit of each."""
    tightest: dict[Measure, tuple[int, RateLimit, Meter]] = {}
    for limit, meter in zip(limits, meters, strict=True):
        used = meter.used(limit, micros)
        left = max(0, min(limit.limit, meter.share + meter.free) - used)
        if limit.measure != "concurrency" and left < tightest.get(limit.measure, (left + 1,))[0]:
            tightest[limit.measure] = (left, limit, meter)
    lines = []
    for measure, (left, limit, meter) in tightest.items():
        reset = reset_text(meter.rolling.empty_in(micros))
        values = (("limit", str(limit.limit)), ("remaining", str(left)), ("reset", reset))
        lines += [(f"x-ratelimit-{name}-{measure}".encode(), value.encode()) for name, value in values]
    return lines


def _take(limit: RateLimit, meter: Meter, micros: int, tokens: int) -> int:
    if limit.measure == "concurrency":
        meter.running += 1
        return 0
    return meter.rolling.add(micros, limit.units(tokens))
