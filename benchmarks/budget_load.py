"""One small hard budget, many relays, very many requests at once, relays killed meanwhile: what it spends, exactly.

Relay workers share one port, one store and one data directory. Clients ask without pause until the budget refuses for
good; some workers are killed with `kill -9` at random moments, and others adopt what they left. Then everything is
settled, and the books are compared with the upstream's own log, with the clients' answers and with the limit.

Run: python -m benchmarks.budget_load --workers 8 --clients 1000 --limit 1.00 --kills 2
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import closing, nullcontext
from pathlib import Path

import msgspec
from sqlalchemy import func, select

from benchmarks.kills.clients import Crowd, Kind
from benchmarks.kills.postgres import OwnPostgres
from benchmarks.kills.rig import Rig
from benchmarks.kills.scenarios import wait
from benchmarks.kills.verdict import Verdict, examine
from service.budgets.check import check_budgets
from service.pricing.money import format_usd, parse_usd
from service.store.budget_tables import budget_period
from service.store.engine import Store
from service.store.tables import request_record

MODEL = "gpt-4o"
MIX = (
    Kind("paid", 3, model=MODEL, max_tokens=100),
    Kind("paid stream", 1, model=MODEL, stream=True, max_tokens=100),
)
OPENAI = 'provider = "openai"'
PAUSE_S = 0.5
"""Between two requests of one client: a client that is told `x-should-retry: false` and asks again all the same."""
QUIET_S = 6.0
"""Nothing was paid for so long, with every worker alive and asked: the budget is used up."""
PATIENCE_S = 600.0


class Spent(msgspec.Struct, frozen=True):
    """What became of the budget; times in seconds, amounts in nano-USD."""

    limit: int
    cost: int
    answers: int
    refusals: int
    took_s: float
    killed: int
    verdict: Verdict

    @property
    def overshoot(self) -> int:
        """What was spent beyond the limit."""
        return max(0, self.cost - self.limit)

    @property
    def used(self) -> float:
        """The part of the limit that could be used."""
        return self.cost / self.limit

    def __str__(self) -> str:
        return (
            f"limit {format_usd(self.limit)} USD, spent {format_usd(self.cost)} USD ({self.used:.2%}), "
            f"overshoot {format_usd(self.overshoot)} USD; {self.answers} answers, {self.refusals} refusals, "
            f"{self.killed} workers killed, {self.took_s:.0f} s\n{self.verdict}"
        )


def configured(folder: Path, *, store_url: str | None, workers: int) -> Rig:
    """A rig whose relay has so many workers and no budget yet."""
    return Rig(folder, store_url=store_url, relay=f"workers = {workers}", upstream=OPENAI, budget=False)


def spend(rig: Rig, *, limit_usd: str, workers: int, clients: int, kills: int, seed: int) -> Spent:
    """Ask until the budget is used up, while *kills* workers are killed; *clients* ask at once in all."""
    chance = random.Random(seed)
    limit = parse_usd(limit_usd, field="limit")
    rig.run("budgets", "create", f"{limit_usd}usd/total", "--global")
    if not rig.start():
        raise RuntimeError(f"the relay does not start: {rig.output()}")
    began = time.monotonic()
    with (
        closing(Store(rig.store_url)) as store,
        Crowd(rig, clients=clients, mix=MIX, pause_s=PAUSE_S, seed=seed) as crowd,
    ):
        for number in range(kills):
            share = chance.uniform(number, number + 1) / (kills + 1)
            wait(lambda: cost_of(store) >= share * limit, "no spending", rig)  # noqa: B023  (called before the loop goes on)
            os.kill(chance.choice(children(rig.pid)), signal.SIGKILL)
        await_quiet(store, crowd, rig, workers=workers)
    took_s = time.monotonic() - began
    if rig.stop() != 0:
        raise RuntimeError(f"the relay did not end well: {rig.output()}")
    rig.config.write_text(
        rig.config.read_text(encoding="utf-8").replace(f"workers = {workers}", "workers = 1"),
        encoding="utf-8",
    )
    rig.settle()
    with closing(Store(rig.store_url)) as store:
        cost = cost_of(store)
        verdict = examine(rig.log, rig.store_url, crowd.seen)
        verdict.wrong += [f"check: {found}" for found in check_budgets(store)]
        if (spent := spent_of(store)) != cost:
            verdict.wrong.append(f"the records cost {cost}, the budget says {spent}")
    if cost > limit:
        verdict.wrong.append(f"{cost - limit} nano-USD were spent beyond the limit")
    return Spent(limit, cost, crowd.count(200), crowd.count(429), took_s, kills, verdict)


def await_quiet(store: Store, crowd: Crowd, rig: Rig, *, workers: int) -> None:
    """Wait until nothing has been paid for a while, although every worker lives and clients are refused."""
    deadline = time.monotonic() + PATIENCE_S
    cost, refusals, since = -1, 0, time.monotonic()
    while True:
        now = time.monotonic()
        if now > deadline:
            raise TimeoutError(f"the budget is not used up after {PATIENCE_S:g} s: {cost_of(store)}")
        found = cost_of(store)
        if found != cost or len(children(rig.pid)) < workers:
            cost, refusals, since = found, crowd.count(429), now
        elif now - since > QUIET_S and crowd.count(429) > refusals + workers:
            return
        time.sleep(0.2)


def children(pid: int) -> list[int]:
    """The processes that *pid* has started."""
    return [
        int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    ]


def cost_of(store: Store) -> int:
    """What the records in the store cost."""
    with store.read() as tx:
        return int(tx.scalar(select(func.coalesce(func.sum(request_record.c.cost_nanos), 0))) or 0)


def spent_of(store: Store) -> int:
    """What the budget has committed; nothing is held any more."""
    with store.read() as tx:
        return int(tx.scalar(select(func.sum(budget_period.c.committed_nanos))) or 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stores", default="sqlite,postgresql")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--clients", type=int, default=1_000, help="requests at once, for each worker")
    parser.add_argument("--limit", default="1.00")
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    failed = 0
    for kind in given.stores.split(","):
        server = OwnPostgres() if kind == "postgresql" else nullcontext()
        with tempfile.TemporaryDirectory(prefix="tollkeeper-budget-") as folder, server as own:
            url = None if own is None else own.url
            with configured(Path(folder), store_url=url, workers=given.workers) as rig:
                spent = spend(
                    rig,
                    limit_usd=given.limit,
                    workers=given.workers,
                    clients=given.clients * given.workers,
                    kills=given.kills,
                    seed=given.seed,
                )
        print(f"{kind}: {spent}", flush=True)
        failed += not spent.verdict.clean or spent.used < 0.95
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
