"""What budgets cost a relay: `python benchmarks/budgets.py [store url]`.

One hot key under two hard budgets (key and global), 2,000 requests a second on a real store. Prints the latency of all
admissions, how often the store was asked, and the CPU time of an admission that finds room in its leases.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.audit.actor import Actor
from service.audit.trail import AuditTrail
from service.budgets.gate import BudgetGate
from service.budgets.policy import RequestFacts
from service.budgets.registry import BudgetRegistry, load_budgets
from service.budgets.surroundings import Surroundings
from service.budgets.values import GivenScope, NewBudget
from service.store import schema
from service.store.engine import Store

REQUESTS = 12_000
PER_SECOND = 2_000
ANSWER_S = 0.05
ESTIMATE, COST = 20_000_000, 3_000_000
FACTS = RequestFacts("key_hot", "default", None, "gpt-4o")


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  (this script is its own composition root)


class Counted:
    """Runs the store's work in threads and counts it."""

    def __init__(self) -> None:
        self.questions = 0

    async def run(self, step: Callable[[], Any]) -> Any:
        self.questions += 1
        return await asyncio.to_thread(step)


async def measure(gate: BudgetGate, counted: Counted) -> None:
    times: list[float] = []

    async def request() -> None:
        began = time.perf_counter()
        admission = await gate.admit(FACTS, ESTIMATE)
        times.append(time.perf_counter() - began)
        await asyncio.sleep(ANSWER_S)
        admission.settle(COST)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(REQUESTS):
            await asyncio.sleep(began + number / PER_SECOND - time.perf_counter())
            group.create_task(request())
    elapsed = time.perf_counter() - began
    asked = counted.questions
    first, times = max(times[:PER_SECOND]), sorted(times[PER_SECOND:])
    p50, p99 = times[len(times) // 2] * 1e6, times[len(times) * 99 // 100] * 1e6
    cpu = min([await cpu_micros(gate) for _ in range(10)])
    print(
        f"{REQUESTS / elapsed:,.0f} admissions a second; the store was asked {asked / elapsed:.1f} times a second"
    )
    print(f"after the first second: p50 {p50:.0f} µs, p99 {p99:.0f} µs, worst {times[-1] * 1e3:.1f} ms")
    print(f"worst in the first second, from nothing leased: {first * 1e3:.0f} ms")
    print(f"CPU for admission and settling on two leases: {cpu:.1f} µs")


async def cpu_micros(gate: BudgetGate) -> float:
    began = time.process_time_ns()
    for _ in range(2_000):
        (await gate.admit(FACTS, ESTIMATE)).settle(COST)
    return (time.process_time_ns() - began) / 2_000 / 1_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder) / 'budgets.db'}"
        with closing(Store(url)) as store:
            schema.migrate_if_needed(store)
            budgets = BudgetRegistry(
                now=now, random_bytes=os.urandom, trail=AuditTrail(os.urandom(32), now=now)
            )
            with store.write() as tx:
                for scope in (GivenScope("global"), GivenScope("key", "*")):
                    new = NewBudget(scope=scope, limit_usd="1000000", window="month")
                    budgets.create(tx, new, by=Actor.system("benchmark"))
                book = load_budgets(tx)
            counted = Counted()
            surroundings = Surroundings(
                now=now,
                monotonic=time.perf_counter,
                new_id=lambda: int.from_bytes(os.urandom(8), "big") >> 1 or 1,
                in_thread=counted.run,
            )
            gate = BudgetGate(store, holder="benchmark", book=lambda: book, surroundings=surroundings)
            asyncio.run(measure(gate, counted))


if __name__ == "__main__":
    main()
