"""Budgets hold whatever happens: the same random histories in memory, on SQLite and on PostgreSQL.

After every step: C is the sum of reserves; what is billed or held never exceeds the limit but for over-runs; a crash
or a reaped lease frees nothing. At the end, with every disk kept, C is exactly what was billed.
"""

from collections.abc import Callable
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from service.budgets.allowance import Demand
from service.budgets.policy import Budget
from service.store.engine import Store
from tests.budgets.making import T0, budget, registry, stored
from tests.support.budget_books import Books, MemoryBooks, SqlBooks
from tests.support.budget_world import Fate, Relay, Request, World

LIMIT = 1_000
RUNS = count(1)

fates = st.sampled_from([Fate.ANSWERED, Fate.ANSWERED, Fate.ANSWERED, Fate.LOST, Fate.UNKNOWN])
steps = st.sampled_from([0.3, 2.0, 6.0, 20.0, 40.0, 200.0, 3_700.0, 90_000.0]).map(
    lambda s: timedelta(seconds=s)
)
drifts = st.sampled_from([0.0, -45.0, 45.0, -600.0, 600.0]).map(lambda s: timedelta(seconds=s))


class LeaseMachine(RuleBasedStateMachine):
    """One history; *open_books* gives fresh books with two budgets."""

    def __init__(self, open_books: Callable[[], tuple[Books, list[Budget]]]) -> None:
        super().__init__()
        books, self.budgets = open_books()
        self.world = World(books, start=T0, seed=next(RUNS))
        self.world.limits = {each.id: each.limit_nanos for each in self.budgets}

    def demands(self, which: int) -> list[Demand]:
        chosen = [self.budgets[0]] if which == 0 else [self.budgets[1]] if which == 1 else self.budgets
        current = [self.world.books.budget(each.id) for each in chosen]
        return sorted(
            (Demand((each.id, ""), each.limit_nanos, each.version) for each in current),
            key=lambda each: each.place,
        )

    def relay(self, which: int) -> Relay:
        return self.world.relays[which % len(self.world.relays)]

    def request(self, relay: Relay, which: int) -> Request:
        return relay.running[which % len(relay.running)]

    @initialize(relays=st.integers(1, 3))
    def begin(self, relays: int) -> None:
        for _ in range(relays):
            self.world.start_relay()

    @rule(who=st.integers(0, 5), which=st.integers(0, 2), amount=st.integers(0, 400), fate=fates)
    def admit(self, who: int, which: int, amount: int, fate: Fate) -> None:
        self.world.admit(self.relay(who), self.demands(which), amount, fate=fate)

    @rule(who=st.integers(0, 5), which=st.integers(0, 2), number=st.integers(2, 8))
    def admit_many(self, who: int, which: int, number: int) -> None:
        for _ in range(number):
            self.world.admit(self.relay(who), self.demands(which), 30)

    @rule(
        who=st.integers(0, 5),
        which=st.integers(0, 20),
        share=st.sampled_from([0, 10, 50, 100, 100, 130]),
        known=st.sampled_from([True, True, True, False]),
    )
    def finish(self, who: int, which: int, share: int, known: bool) -> None:  # noqa: FBT001  (drawn)
        relay = self.relay(who)
        if relay.running:
            request = self.request(relay, which)
            self.world.finish(relay, request, cost=request.held * share // 100, known=known)

    @rule(who=st.integers(0, 5), fate=fates)
    def flush(self, who: int, fate: Fate) -> None:
        self.world.flush(self.relay(who), fate=fate)

    @rule(who=st.integers(0, 5), fate=fates)
    def tend(self, who: int, fate: Fate) -> None:
        self.world.tend(self.relay(who), fate=fate)

    @rule(step=steps)
    def advance(self, step: timedelta) -> None:
        self.world.advance(step)

    @rule()
    def reap(self) -> None:
        self.world.reap()

    @rule(who=st.integers(0, 5))
    def partition(self, who: int) -> None:
        relay = self.relay(who)
        relay.cut_off = not relay.cut_off

    @rule(who=st.integers(0, 5), drift=drifts)
    def drift(self, who: int, drift: timedelta) -> None:
        relay = self.relay(who)
        relay.clock_was_set = relay.clock_was_set or relay.drift != drift
        relay.drift = drift

    @rule(which=st.integers(0, 1), limit=st.sampled_from([1, 200, LIMIT, 2 * LIMIT]))
    def change_limit(self, which: int, limit: int) -> None:
        chosen = self.budgets[which]
        self.world.books.set_limit(chosen.id, limit)
        self.world.limits[chosen.id] = max(self.world.limits[chosen.id], limit)

    @rule(who=st.integers(0, 5), keep_disk=st.sampled_from([True, True, False]))
    def crash(self, who: int, keep_disk: bool) -> None:  # noqa: FBT001  (drawn)
        self.world.crash(self.relay(who), keep_disk=keep_disk)
        self.world.start_relay()

    @precondition(lambda self: self.world.dead)
    @rule(fate=fates)
    def recover(self, fate: Fate) -> None:
        self.world.recover(self.world.dead[0], fate=fate)

    @invariant()
    def holds(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        self.world.come_to_rest()


def run(open_books: Callable[[], tuple[Books, list[Budget]]], *, examples: int, steps: int) -> None:
    class Machine(LeaseMachine):
        def __init__(self) -> None:
            super().__init__(open_books)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_budgets_hold_in_memory() -> None:
    def open_books() -> tuple[Books, list[Budget]]:
        budgets = [budget("bud_a", limit_nanos=LIMIT), budget("bud_b", limit_nanos=LIMIT, window="hour")]
        return MemoryBooks(budgets), budgets

    run(open_books, examples=150, steps=60)


@pytest.mark.timeout(600)
def test_budgets_hold_in_the_store(store: Store) -> None:
    budgets = registry()

    def open_books() -> tuple[Books, list[Budget]]:
        made = [
            stored(store, limit_nanos=LIMIT, window=window, budgets=budgets) for window in ("day", "hour")
        ]
        return SqlBooks(store, [each.id for each in made]), made

    run(open_books, examples=12, steps=30)
