"""Many relays, one small budget, everything that goes wrong: `python benchmarks/budget_simulator.py --seconds 30`.

Virtual time, the relays' real logic (`service.budgets.allowance`), the store's rules in memory
(`service.budgets.leasing`). Each seed is one history: requests, over-runs, hang-ups, flushes that fail before or after
the commit, crashes with and without the disk, partitions, clocks that drift, reaped leases, changed limits, periods
that end. After every step the invariants of `tests.support.budget_world` are checked; a seed that breaks one is
printed and can be run again with `--seed`.
"""

import argparse
import time
from collections.abc import Callable
from datetime import timedelta
from random import Random

from service.budgets.allowance import Demand
from service.budgets.policy import Budget
from tests.budgets.making import T0, USD, budget
from tests.support.budget_books import MemoryBooks
from tests.support.budget_world import Fate, Relay, World

FATES = (Fate.ANSWERED,) * 8 + (Fate.LOST, Fate.UNKNOWN)
STEPS_S = (0.1, 0.5, 0.5, 2.0, 5.0, 12.0, 31.0, 150.0)


class History:
    """One seed."""

    def __init__(self, seed: int, *, relays: int, steps: int) -> None:
        self.rng = Random(seed)
        self.budgets: list[Budget] = [
            budget("bud_a", limit_nanos=20 * USD),
            budget("bud_b", limit_nanos=self.rng.choice((1, 5, 50)) * USD, window="hour"),
        ]
        self.world = World(MemoryBooks(self.budgets), start=T0, seed=seed)
        self.world.limits = {each.id: each.limit_nanos for each in self.budgets}
        self.steps = steps
        self.admitted = 0
        for _ in range(relays):
            self.world.start_relay()

    def run(self) -> None:
        """Play the history; an AssertionError says what broke."""
        actions: tuple[tuple[Callable[[Relay], None], int], ...] = (
            (self._burst, 40),
            (self._finish, 40),
            (self._flush, 15),
            (self._tend, 20),
            (self._pass_time, 20),
            (self._crash, 2),
            (self._recover, 3),
            (self._reap, 3),
            (self._cut, 3),
            (self._drift, 1),
            (self._change, 1),
        )
        steps = [action for action, _ in actions]
        weights = [weight for _, weight in actions]
        for action in self.rng.choices(steps, weights, k=self.steps):
            action(self.rng.choice(self.world.relays))
            self.world.check()
        self.world.come_to_rest()

    def _burst(self, relay: Relay) -> None:
        chosen = self.rng.choice((self.budgets[:1], self.budgets[1:], self.budgets))
        current = [self.world.books.budget(each.id) for each in chosen]
        demands = [Demand((each.id, ""), each.limit_nanos, each.version) for each in current]
        for _ in range(self.rng.choice((1, 1, 3, 12))):
            amount = self.rng.choice((0, USD // 100, USD // 10, USD, 3 * USD))
            fate = self.rng.choice(FATES)
            self.admitted += self.world.admit(relay, demands, amount, fate=fate) is not None

    def _finish(self, relay: Relay) -> None:
        for request in relay.running[: self.rng.choice((1, 4, 20))]:
            share = self.rng.choice((0, 5, 30, 100, 100, 115))
            self.world.finish(
                relay, request, cost=request.held * share // 100, known=self.rng.random() > 0.05
            )

    def _flush(self, relay: Relay) -> None:
        self.world.flush(relay, fate=self.rng.choice(FATES))

    def _tend(self, relay: Relay) -> None:
        self.world.tend(relay, fate=self.rng.choice(FATES))

    def _pass_time(self, _relay: Relay) -> None:
        self.world.advance(timedelta(seconds=self.rng.choice(STEPS_S)))

    def _crash(self, relay: Relay) -> None:
        self.world.crash(relay, keep_disk=self.rng.random() < 0.7)
        self.world.start_relay()

    def _recover(self, _relay: Relay) -> None:
        if self.world.dead:
            self.world.recover(self.rng.choice(self.world.dead), fate=self.rng.choice(FATES))

    def _reap(self, _relay: Relay) -> None:
        self.world.reap()

    def _cut(self, relay: Relay) -> None:
        relay.cut_off = not relay.cut_off

    def _drift(self, relay: Relay) -> None:
        relay.clock_was_set = True
        relay.drift = timedelta(seconds=self.rng.choice((-600, -40, 0, 40, 600)))

    def _change(self, _relay: Relay) -> None:
        chosen = self.rng.choice(self.budgets)
        limit = self.rng.choice((1, USD, 20 * USD, 60 * USD))
        self.world.books.set_limit(chosen.id, limit)
        self.world.limits[chosen.id] = max(self.world.limits[chosen.id], limit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--relays", type=int, default=6)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seed", type=int, help="run this one seed")
    given = parser.parse_args()
    if given.seed is not None:
        History(given.seed, relays=given.relays, steps=given.steps).run()
        print(f"seed {given.seed}: every invariant holds")
        return
    began, seed, admitted = time.perf_counter(), given.first_seed, 0
    while time.perf_counter() - began < given.seconds:
        history = History(seed, relays=given.relays, steps=given.steps)
        try:
            history.run()
        except AssertionError as error:
            raise SystemExit(f"seed {seed} breaks an invariant: {error}") from error
        admitted += history.admitted
        seed += 1
    seeds, elapsed = seed - given.first_seed, time.perf_counter() - began
    print(
        f"seeds {given.first_seed} to {seed - 1}: every invariant holds; {seeds / elapsed * 60:,.0f} seeds a minute, "
        f"{seeds * given.steps:,} steps, {admitted:,} requests admitted by {given.relays} relays"
    )


if __name__ == "__main__":
    main()
