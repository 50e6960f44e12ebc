"""Rate limits on a real store: exact in any minute, on one relay and on several."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from service.budgets.limiter import RateLimiter
from service.budgets.meters import Permit, RateLimit, limits_of
from service.budgets.surroundings import Surroundings
from service.errors import RateLimitedError, StoreUnavailableError
from service.store.budget_tables import rate_permit
from service.store.engine import Store
from tests.support.clock import HandClock

RPM_10 = [RateLimit("key key_1", "requests", 10)]


class Relay:
    """A limiter whose pauses turn the shared clock and let the others be tended."""

    def __init__(self, store: Store, clock: HandClock, *, holder: str = "relay-1") -> None:
        self.clock = clock
        self.questions = 0
        self.away = False
        self.others: list[Relay] = []
        ids = count(1)
        self.limiter = RateLimiter(
            store,
            holder=holder,
            surroundings=Surroundings(
                now=clock.now,
                monotonic=clock.monotonic,
                new_id=lambda: next(ids),
                pause=self.pause,
                in_thread=self.in_thread,
            ),
        )

    async def in_thread(self, step: Callable[[], Any]) -> Any:
        self.questions += 1
        if self.away:
            raise StoreUnavailableError("the store is away")
        return await asyncio.to_thread(step)

    async def pause(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        for other in self.others:
            await other.limiter.tend()

    async def admit(self, limits: list[RateLimit], tokens: int = 0) -> Permit:
        return await self.limiter.admit(limits, tokens=tokens)

    async def refused(self, limits: list[RateLimit], tokens: int = 0) -> RateLimitedError:
        with pytest.raises(RateLimitedError) as caught:
            await self.admit(limits, tokens)
        return caught.value

    def headers(self, permit: Permit) -> dict[str, str]:
        lines = permit.headers(micros=self.limiter.micros())
        return {name.decode(): value.decode() for name, value in lines}


def running(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), timeout=100))


def test_limits_of_a_key() -> None:
    assert limits_of("key key_1", {"rpm": 5, "concurrency": 2}) == [
        RateLimit("key key_1", "requests", 5),
        RateLimit("key key_1", "concurrency", 2),
    ]
    assert limits_of("key key_1", None) == []


def test_no_limits_ask_nobody(sqlite_store: Store, clock: HandClock) -> None:
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        permit = await relay.admit([])
        permit.finish(10, micros=0)
        assert relay.headers(permit) == {}
        assert relay.questions == 0

    running(story)


def test_a_burst_up_to_the_limit_then_a_refusal_that_says_when(store: Store, clock: HandClock) -> None:
    relay = Relay(store, clock)

    async def story() -> None:
        for number in range(10):
            permit = await relay.admit(RPM_10)
            assert relay.headers(permit)["x-ratelimit-remaining-requests"] == str(9 - number)
            clock.advance(timedelta(seconds=1))
        assert relay.questions == 1, "a relay alone asks once"
        refusal = await relay.refused(RPM_10)
        assert refusal.retry_after_s == 51
        assert str(refusal) == (
            "The request would exceed the limit of 10 requests per minute of the key key_1; try again in 51 s."
        )
        clock.advance(timedelta(seconds=refusal.retry_after_s))
        await relay.admit(RPM_10)

    running(story)


def test_headers_are_those_of_openai(sqlite_store: Store, clock: HandClock) -> None:
    relay = Relay(sqlite_store, clock)
    limits = [
        RateLimit("key k", "requests", 10),
        RateLimit("project p", "requests", 3),
        RateLimit("key k", "tokens", 500),
    ]

    async def story() -> None:
        permit = await relay.admit(limits, tokens=120)
        assert relay.headers(permit) == {
            "x-ratelimit-limit-requests": "3",
            "x-ratelimit-remaining-requests": "2",
            "x-ratelimit-reset-requests": "1m0.1s",
            "x-ratelimit-limit-tokens": "500",
            "x-ratelimit-remaining-tokens": "380",
            "x-ratelimit-reset-tokens": "1m0.1s",
        }

    running(story)


def test_passing_is_all_or_nothing(sqlite_store: Store, clock: HandClock) -> None:
    relay = Relay(sqlite_store, clock)
    narrow = RateLimit("project p", "requests", 1)

    async def story() -> None:
        await relay.admit([narrow])
        for _ in range(20):
            await relay.refused([*RPM_10, narrow])
        assert relay.headers(await relay.admit(RPM_10))["x-ratelimit-remaining-requests"] == "9"

    running(story)


def test_tokens_are_corrected_once_they_are_known(sqlite_store: Store, clock: HandClock) -> None:
    relay = Relay(sqlite_store, clock)
    tpm = [RateLimit("key key_1", "tokens", 1_000)]

    async def story() -> None:
        permit = await relay.admit(tpm, tokens=800)
        assert (await relay.refused(tpm, tokens=300)).retry_after_s == 61
        permit.finish(200, micros=relay.limiter.micros())
        permit.finish(0, micros=relay.limiter.micros())
        await relay.admit(tpm, tokens=800)
        refusal = await relay.refused(tpm, tokens=1_001)
        assert "can never let pass" in str(refusal)

    running(story)


def test_at_once_means_at_once(store: Store, clock: HandClock) -> None:
    relay = Relay(store, clock)
    two = [RateLimit("key key_1", "concurrency", 2)]

    async def story() -> None:
        first = await relay.admit(two)
        await relay.admit(two)
        assert (await relay.refused(two)).retry_after_s == 1
        first.finish(None, micros=0)
        first.finish(None, micros=0)
        await relay.admit(two)
        await relay.refused(two)

    running(story)


@pytest.mark.parametrize("relays", [2, 4])
def test_relays_together_never_pass_more_than_the_limit_in_any_minute(
    store: Store, clock: HandClock, relays: int
) -> None:
    limits = [RateLimit("key key_1", "requests", 40)]
    all_relays = [Relay(store, clock, holder=f"relay-{number}") for number in range(relays)]
    for relay in all_relays:
        relay.others = [other for other in all_relays if other is not relay]
    rng = Random(relays)
    passed: list[float] = []

    async def story() -> None:
        for _ in range(300):
            try:
                await rng.choice(all_relays).admit(limits)
            except RateLimitedError:
                clock.advance(timedelta(seconds=rng.random()))
            else:
                passed.append(clock.monotonic())
            clock.advance(timedelta(seconds=rng.choice((0, 0, 0.1, 3))))
            if rng.random() < 0.3:
                for relay in all_relays:
                    await relay.limiter.tend()
        for began in passed:
            assert len([at for at in passed if began <= at < began + 60]) <= 40
        assert len(passed) > 40

    running(story)


def test_an_idle_relay_gives_its_share_to_one_that_needs_it(store: Store, clock: HandClock) -> None:
    first, second = Relay(store, clock, holder="relay-1"), Relay(store, clock, holder="relay-2")
    second.others = [first]

    async def story() -> None:
        for _ in range(3):
            await first.admit(RPM_10)
        before = clock.monotonic()
        for _ in range(7):
            await second.admit(RPM_10)
        assert clock.monotonic() - before <= 2
        assert (await second.refused(RPM_10)).retry_after_s <= 61
        await first.refused(RPM_10)

    running(story)


def test_a_dead_relay_s_share_comes_back_a_minute_after_it_expired(store: Store, clock: HandClock) -> None:
    dead, living = Relay(store, clock, holder="relay-1"), Relay(store, clock, holder="relay-2")

    async def story() -> None:
        for _ in range(10):
            await dead.admit(RPM_10)
        await living.refused(RPM_10)
        clock.advance(timedelta(seconds=92))
        await living.refused(RPM_10)
        clock.advance(timedelta(seconds=2))
        await living.admit(RPM_10)

    running(story)


def test_an_outage_of_the_store_stops_nobody(sqlite_store: Store, clock: HandClock) -> None:
    relay = Relay(sqlite_store, clock)
    relay.away = True

    async def story() -> None:
        for _ in range(10):
            await relay.admit(RPM_10)
        assert relay.questions == 1
        await relay.refused(RPM_10)

    running(story)


def test_a_share_that_is_too_small_while_the_store_is_away_is_what_there_is(
    sqlite_store: Store, clock: HandClock
) -> None:
    first, second = Relay(sqlite_store, clock), Relay(sqlite_store, clock, holder="relay-2")

    async def story() -> None:
        await first.admit([RateLimit("key key_1", "requests", 4)])
        await second.admit(RPM_10)
        second.away = True
        for _ in range(2):  # of the six that were free it took its half
            await second.admit(RPM_10)
        assert (await second.refused(RPM_10)).retry_after_s == 61

    running(story)


def test_shares_live_while_they_are_tended_and_idle_ones_vanish(store: Store, clock: HandClock) -> None:
    relay = Relay(store, clock)

    async def story() -> None:
        await relay.admit(RPM_10)
        for _ in range(120):
            clock.advance(timedelta(seconds=0.5))
            await relay.limiter.tend()
        before = relay.questions
        await relay.admit(RPM_10)
        assert relay.questions == before, "the share was renewed"
        for _ in range(250):
            clock.advance(timedelta(seconds=0.5))
            await relay.limiter.tend()
        with store.read() as tx:
            assert tx.execute(select(rate_permit)).all() == []
        before = relay.questions
        await relay.limiter.tend()
        assert relay.questions == before

    running(story)


def test_at_the_end_only_what_was_used_in_the_last_minute_stays(store: Store, clock: HandClock) -> None:
    relay, other = Relay(store, clock), Relay(store, clock, holder="relay-2")

    async def story() -> None:
        for _ in range(4):
            await relay.admit(RPM_10)
        await relay.limiter.close()
        for _ in range(6):
            await other.admit(RPM_10)
        await other.refused(RPM_10)

    running(story)


def test_a_lowered_limit_counts_at_once(sqlite_store: Store, clock: HandClock) -> None:
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        for _ in range(5):
            await relay.admit(RPM_10)
        await relay.refused([RateLimit("key key_1", "requests", 5)])
        await relay.admit([RateLimit("key key_1", "requests", 20)])

    running(story)
