"""What viewers of the dashboard cost the relay: the same load without them and with them, in turns, in one run."""

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from benchmarks import gauge
from benchmarks.installation import Installation
from benchmarks.load import load, request_bytes
from benchmarks.targets import ROOT

SETTLE_S = 2.0
KINDS = {
    "32 connections, as fast as it goes": ("plain", 32),
    "20 connections, answers after 20 ms": ("wait-20", 20),
}


@dataclass
class Load:
    """One load of the relay."""

    per_s: float
    p50_ms: float
    p99_ms: float
    relay_cpu_us: float
    dashboard_share: float
    """Of one core."""


@dataclass
class Crowd:
    """All loads by kind, without viewers and with them."""

    without: dict[str, list[Load]] = field(default_factory=dict)
    within: dict[str, list[Load]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Rows of the table."""
        found = []
        for kind in KINDS:
            alone, watched = self.without[kind], self.within[kind]
            ratios = [one.per_s / other.per_s for one, other in zip(watched, alone, strict=True)]
            found.append(
                f"| relay, {kind}: throughput with viewers / without | {statistics.median(ratios):.2f} "
                f"({_median(watched, 'per_s'):,.0f} / {_median(alone, 'per_s'):,.0f} per s) | {min(ratios):.2f} | |"
            )
            for label, name in (("p50", "p50_ms"), ("p99", "p99_ms")):
                found.append(
                    f"| relay, {kind}: {label} | {_median(watched, name):.1f} ms / {_median(alone, name):.1f} ms "
                    f"| {max(getattr(one, name) for one in watched):.1f} ms | |"
                )
            found.append(
                f"| relay, {kind}: CPU per request | {_median(watched, 'relay_cpu_us'):.0f} µs / "
                f"{_median(alone, 'relay_cpu_us'):.0f} µs | | |"
            )
            found.append(
                f"| dashboard meanwhile, {kind}: share of a core | {_median(watched, 'dashboard_share'):.2f} | | |"
            )
        return found + [f"| viewers | {said} | | |" for said in self.said]


def _median(loads: list[Load], name: str) -> float:
    values: list[float] = [getattr(one, name) for one in loads]
    return statistics.median(values)


async def measure(installed: Installation, token: str, *, viewers: int, rounds: int, seconds: float) -> Crowd:
    """All kinds of load, without and with viewers in turns."""
    crowd = Crowd()
    for number in range(rounds):
        for kind in KINDS:
            crowd.without.setdefault(kind, []).append(await _load(installed, kind, seconds=seconds))
        async with looking(installed.dashboard_url, token, viewers=viewers, said=crowd.said):
            for kind in KINDS:
                crowd.within.setdefault(kind, []).append(await _load(installed, kind, seconds=seconds))
        last = {kind: f"{crowd.within[kind][-1].per_s / crowd.without[kind][-1].per_s:.2f}" for kind in KINDS}
        print(f"relay round {number + 1} of {rounds}: with viewers / without: {last}", file=sys.stderr)
    return crowd


@asynccontextmanager
async def looking(url: str, token: str, *, viewers: int, said: list[str]) -> AsyncIterator[None]:
    """Meanwhile *viewers* look, in a process of their own; what it says in the end joins *said*."""
    arguments = ("--url", url, "--token", token, "--viewers", str(viewers))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.viewers", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        if not await process.stdout.readline():
            raise RuntimeError("the viewers ended before they saw anything")
        await asyncio.sleep(SETTLE_S)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        rest, _ = await process.communicate()
        said.append(rest.decode().strip())


async def _load(installed: Installation, kind: str, *, seconds: float) -> Load:
    name, connections = KINDS[kind]
    request = request_bytes(name, port=installed.relay_port, key=installed.key)
    await load(request, port=installed.relay_port, connections=connections, seconds=0.5)
    relay, dashboard = installed.relay_pids, [installed.dashboard_pid]
    before = gauge.cpu_us(relay), gauge.cpu_us(dashboard)
    outcome = await load(request, port=installed.relay_port, connections=connections, seconds=seconds)
    spent = gauge.cpu_us(relay) - before[0], gauge.cpu_us(dashboard) - before[1]
    if outcome.errors:
        raise RuntimeError(f"{outcome.errors} requests failed")
    ordered = sorted(outcome.whole_s)
    return Load(
        per_s=outcome.requests / seconds,
        p50_ms=ordered[len(ordered) // 2] * 1000,
        p99_ms=ordered[int(len(ordered) * 0.99)] * 1000,
        relay_cpu_us=spent[0] / outcome.requests,
        dashboard_share=spent[1] / seconds / 1e6,
    )
