"""The limiter: lets a request pass every rate limit it falls under, or none, or says when to come again.

Each limit is a share of what the store divides among the relays (`permits`); a relay alone has all of it and asks
once. Shares that others need are given back, down to what was used in the last minute. While the store is away a relay
goes on with the share it has, and with the whole of a limit it has no share of: rate limits guard the upstream, they
are not money.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from service.budgets import permits
from service.budgets.meters import MICROS, Meter, Permit, RateLimit, standing
from service.budgets.permits import Ask, Full, Shared, Standing
from service.budgets.rates import retry_after_s
from service.budgets.surroundings import Surroundings
from service.budgets.turns import Turn, Turns
from service.errors import RateLimitedError, StoreUnavailableError
from service.store.engine import Store

TTL_S = 30.0
TTL = timedelta(seconds=TTL_S)
MARGIN_S = 2.0
PATIENCE_S = 1.0
"""How long a request waits for shares that other relays do not use."""
AGAIN_S = 0.1
REMEMBER_S = 0.5
AWAY_S = 5.0
ANSWER_WITHIN_S = 10.0
IDLE_S = 120.0

_WHAT = {"requests": "requests per minute", "tokens": "tokens per minute", "concurrency": "requests at once"}


class RateLimiter:
    """The rate limits of one relay process. Event loop only; *holder* names the process."""

    def __init__(self, store: Store, *, holder: str, surroundings: Surroundings) -> None:
        self._store = store
        self._holder = holder
        self._around = surroundings
        self._meters: dict[str, Meter] = {}
        self._turns: Turns[str] = Turns()
        self._asking: set[asyncio.Future[None]] = set()
        self._full: dict[str, tuple[float, Full]] = {}
        self._away_until = float("-inf")
        self._renewed_at = float("-inf")

    async def admit(self, limits: Sequence[RateLimit], *, tokens: int) -> Permit:
        """Let a request of about *tokens* tokens pass. Raises RateLimitedError."""
        around = self._around
        began = around.monotonic()
        while True:
            short = self._short(limits, tokens)
            if not short:
                return self._pass(limits, tokens)
            full = self._remembered(short)
            if around.monotonic() < self._away_until:
                raise self._refusal(short[0], tokens)
            if full is None:
                await self._fill(short, tokens)
            elif full.others and around.monotonic() - began < PATIENCE_S:
                await around.pause(AGAIN_S)
            else:
                raise self._refusal(next(each for each in short if each.name == full.name), tokens)

    def micros(self) -> int:
        """The monotonic clock in whole microseconds, as `Permit` wants it."""
        return int(self._around.monotonic() * MICROS)

    def _pass(self, limits: Sequence[RateLimit], tokens: int) -> Permit:
        meters = [self._meters[limit.name] for limit in limits]
        for meter in meters:
            meter.used_at = self._around.monotonic()
        return Permit(limits, meters, micros=self.micros(), tokens=tokens)

    def _short(self, limits: Sequence[RateLimit], tokens: int) -> list[RateLimit]:
        """The limits whose share has no room. Raises RateLimitedError where not even the whole limit has."""
        micros = self.micros()
        short = []
        for limit in limits:
            meter = self._meters.get(limit.name)
            if meter is None:
                meter = self._meters[limit.name] = Meter(self._around.monotonic())
            need = meter.used(limit, micros) + limit.units(tokens)
            if need > limit.limit:
                raise self._refusal(limit, tokens)
            if need > self._usable(limit, meter):
                short.append(limit)
        return short

    def _usable(self, limit: RateLimit, meter: Meter) -> int:
        monotonic = self._around.monotonic()
        if monotonic < meter.deadline:
            return min(meter.share, limit.limit)
        return limit.limit if monotonic < self._away_until else 0

    def _remembered(self, short: Sequence[RateLimit]) -> Full | None:
        monotonic = self._around.monotonic()
        for limit in short:
            until, full = self._full.get(limit.name, (monotonic, None))
            if full is not None and monotonic < until:
                return full
            self._full.pop(limit.name, None)
        return None

    async def _fill(self, short: Sequence[RateLimit], tokens: int) -> None:
        """Ask for larger shares, or wait for somebody who asks already."""
        names = [limit.name for limit in short]
        if await self._turns.wait(names):
            return
        asking = asyncio.ensure_future(self._ask(short, tokens, turn=self._turns.take(names)))
        self._asking.add(asking)  # it outlives a client that leaves: its answer must not be lost
        asking.add_done_callback(self._asking.discard)
        answered, _ = await asyncio.wait({asking}, timeout=ANSWER_WITHIN_S)
        if answered:
            asking.result()
        else:
            self._away_until = self._around.monotonic() + AWAY_S

    async def _ask(self, short: Sequence[RateLimit], tokens: int, *, turn: Turn[str]) -> None:
        around, micros = self._around, self.micros()
        now, asked_at = around.now(), around.monotonic()
        asks = []
        for limit in short:
            meter = self._meters[limit.name]
            meter.stored = limit.limit  # until the answer comes, the store may have given this much
            need = meter.used(limit, micros) + limit.units(tokens)
            asks.append(Ask(limit.name, limit.limit, need, limit.limit))
        try:
            answer = await around.in_thread(partial(self._ask_store, asks, now))
        except StoreUnavailableError:
            self._away_until = around.monotonic() + AWAY_S
            return
        finally:
            self._turns.end(turn)
        if isinstance(answer, Full):
            self._full[answer.name] = (around.monotonic() + REMEMBER_S, answer)
            self._meters[answer.name].wanted = answer.wanted
            return
        for shared in answer:
            meter = self._meters[shared.name]
            meter.share = meter.stored = shared.permits
            meter.free, meter.wanted = shared.free, shared.wanted
            meter.deadline = asked_at + TTL_S - MARGIN_S

    def _ask_store(self, asks: Sequence[Ask], now: datetime) -> tuple[Shared, ...] | Full:
        with self._store.write() as tx:
            return permits.ask(tx, asks, holder=self._holder, now=now, expires_at=now + TTL)

    async def tend(self) -> None:
        """One round of care, twice a second. Raises StoreUnavailableError."""
        around = self._around
        now, asked_at = around.now(), around.monotonic()
        self._rest(asked_at)
        if not self._meters:
            return
        renewing = asked_at - self._renewed_at >= TTL_S / 3
        for found in await around.in_thread(partial(self._look, now, renewing)):
            meter = self._meters.get(found.name)
            if meter is None or self._turns.taken([found.name]):
                continue
            if found.expires_at >= now + TTL and meter.share:
                meter.deadline = max(meter.deadline, asked_at + TTL_S - MARGIN_S)
            if found.wanted != meter.wanted:
                meter.wanted = found.wanted
                meter.share = min(meter.share, meter.in_use(self.micros()))
        self._renewed_at = asked_at if renewing else self._renewed_at
        await self._give_back()

    def _rest(self, monotonic: float) -> None:
        for name, meter in list(self._meters.items()):
            idle = monotonic - meter.used_at >= IDLE_S and not meter.in_use(self.micros())
            if idle and not self._turns.taken([name]):
                meter.share = 0
                if not meter.stored:
                    del self._meters[name]

    def _look(self, now: datetime, renewing: bool) -> list[Standing]:  # noqa: FBT001  (in a partial)
        if renewing:
            with self._store.write() as tx:
                permits.renew(tx, holder=self._holder, now=now, expires_at=now + TTL)
                return permits.standings(tx, holder=self._holder)
        with self._store.read() as tx:
            return permits.standings(tx, holder=self._holder)

    async def _give_back(self) -> None:
        names = [
            name
            for name, meter in self._meters.items()
            if meter.stored > meter.share and not self._turns.taken([name])
        ]
        if not names:
            return
        shares = [(name, self._meters[name].share) for name in names]
        turn = self._turns.take(names)
        try:
            await self._around.in_thread(partial(self._shrink, shares))
        finally:
            self._turns.end(turn)
        for name, share in shares:
            self._meters[name].stored = share

    def _shrink(self, shares: Sequence[tuple[str, int]]) -> None:
        with self._store.write() as tx:
            permits.shrink(tx, shares, holder=self._holder)

    async def close(self) -> None:
        """Give everything back that was not used in the last minute; the rest expires by itself."""
        await asyncio.gather(*self._asking, return_exceptions=True)
        for meter in self._meters.values():
            meter.share = meter.in_use(self.micros())
        await self._give_back()

    def _refusal(self, limit: RateLimit, tokens: int) -> RateLimitedError:
        meter, micros, units = self._meters[limit.name], self.micros(), limit.units(tokens)
        what = f"the limit of {limit.limit} {_WHAT[limit.measure]} of the {limit.whose}"
        if units > limit.limit:
            return RateLimitedError(
                f"The request asks for about {units} tokens, which {what} can never let pass.",
                retry_after_s=60,
                standing=tuple(standing([limit], [meter], micros=micros)),
            )
        seconds = 1
        if limit.measure != "concurrency":
            capacity = limit.limit if meter.share >= limit.limit else max(meter.share, units)
            seconds = retry_after_s(meter.rolling.wait(micros, units, capacity=capacity))
        return RateLimitedError(
            f"The request would exceed {what}; try again in {seconds} s.",
            retry_after_s=seconds,
            standing=tuple(standing([limit], [meter], micros=micros)),
        )
