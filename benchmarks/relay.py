"""What the relay costs, beside nginx and beside its own stack without accounting, in one run.

    python -m benchmarks.relay [--seconds 2] [--rounds 3] [--json results.json]

One provider process answers all of them; the targets take turns within each round, so that a noisy machine is
noisy for all. CPU is user + system time of the target's processes per request; "per core" is its inverse. Added
latency is the difference to asking the provider directly, with the provider answering as many milliseconds late as
there are connections (about 1,000 requests/s at most). The median of the rounds is shown. Read the ratios, not
the numbers. Exit 1 if any request failed.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from benchmarks import gauge, targets
from benchmarks.load import Outcome, load, request_bytes
from benchmarks.targets import SkippedError, Target

COST = {
    "non-stream": ("plain", 32),
    "53 events, burst": ("burst", 32),
    "53 events, paced": ("paced", 64),
}
LATENCY = {connections: (f"wait-{connections}", connections) for connections in (1, 32, 256)}
WARM_UP_S = 0.5


@dataclass
class Run:
    """One target, one workload, one round."""

    target: str
    workload: str
    requests: int
    errors: int
    cpu_us: float
    p50_ms: float
    p99_ms: float


def _percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else float("nan")


async def measure(target: Target, workload: str, *, kind: str, connections: int, seconds: float) -> Run:
    """Load *target* and read its CPU clock around that."""
    assert target.process is not None
    request = request_bytes(kind, port=target.port, key=target.key)
    await load(request, port=target.port, connections=connections, seconds=WARM_UP_S)
    pids = gauge.family(target.process.pid)
    before = gauge.cpu_us(pids)
    outcome: Outcome = await load(request, port=target.port, connections=connections, seconds=seconds)
    spent = gauge.cpu_us(pids) - before
    return Run(
        target=target.name,
        workload=workload,
        requests=outcome.requests,
        errors=outcome.errors,
        cpu_us=spent / max(outcome.requests, 1),
        p50_ms=_percentile(outcome.whole_s, 0.50),
        p99_ms=_percentile(outcome.whole_s, 0.99),
    )


async def all_rounds(everyone: list[Target], *, rounds: int, seconds: float) -> list[Run]:
    """Every workload on every target, turn by turn."""
    workloads = COST | {f"latency, {connections}": plan for connections, plan in LATENCY.items()}
    runs = []
    for number in range(rounds):
        for name, (kind, connections) in workloads.items():
            order = everyone if number % 2 == 0 else everyone[::-1]
            for target in order:
                runs.append(await measure(target, name, kind=kind, connections=connections, seconds=seconds))
                done = f"{runs[-1].requests} requests, {runs[-1].errors} failed, {runs[-1].cpu_us:.0f} us"
                print(f"round {number + 1}: {name}: {target.name}: {done}", file=sys.stderr)
    return runs


def _medians(runs: list[Run], field: str) -> dict[tuple[str, str], float]:
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in runs:
        values[run.target, run.workload].append(getattr(run, field))
    return {key: statistics.median(found) for key, found in values.items()}


def cost_table(runs: list[Run], names: list[str]) -> str:
    """CPU per request, its inverse, and the ratio to the first of *names*."""
    cpu = _medians(runs, "cpu_us")
    measured = [name for name in names if name != "direct"]
    base = measured[0]
    lines = [f"| CPU µs per request (requests/s per core; {base} = 1) | " + " | ".join(COST) + " |"]
    lines.append("|---" * (len(COST) + 1) + "|")
    for name in measured:
        cells = []
        for work in COST:
            spent = max(cpu[name, work], 1e-9)
            cells.append(f"{spent:,.0f} ({1e6 / spent:,.0f}; {spent / max(cpu[base, work], 1e-9):.1f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def latency_table(runs: list[Run], names: list[str]) -> str:
    """What each target adds to asking the provider directly."""
    p50, p99 = _medians(runs, "p50_ms"), _medians(runs, "p99_ms")
    lines = [
        "| added latency, ms, p50 / p99 | " + " | ".join(f"{count} connections" for count in LATENCY) + " |"
    ]
    lines.append("|---" * (len(LATENCY) + 1) + "|")
    for name in names:
        if name == "direct":
            continue
        cells = []
        for count in LATENCY:
            work = f"latency, {count}"
            added = [clock[name, work] - clock["direct", work] for clock in (p50, p99)]
            cells.append(f"{added[0]:.2f} / {added[1]:.2f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


async def start_all(folder: Path, options: argparse.Namespace) -> list[Target]:
    """The provider first; what cannot be started is left out with a word."""
    direct = targets.provider()
    everyone = [await targets.started(direct)]
    starters = {
        "nginx": lambda: targets.nginx(folder, upstream=direct.port),
        "relay": lambda: targets.relay(folder, upstream=direct.port, budget=options.budget),
        "unaccounted": lambda: targets.unaccounted(folder, upstream=direct.port),
        "forwarder": lambda: targets.forwarder(upstream=direct.port, transport="default"),
        "httpx": lambda: targets.forwarder(upstream=direct.port, transport="httpx"),
    }
    for name in options.targets.split(","):
        try:
            target = starters[name]()
        except SkippedError as reason:
            print(f"{name}: skipped: {reason}", file=sys.stderr)
            continue
        everyone.append(target)
        try:
            await targets.started(target)
        except (SkippedError, TimeoutError) as reason:
            print(f"{name}: skipped: {reason!r}; see {folder}", file=sys.stderr)
            targets.stop(everyone.pop())
    return everyone


async def run(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="tollkeeper-bench-") as name:
        everyone = await start_all(Path(name), options)
        try:
            runs = await all_rounds(everyone, rounds=options.rounds, seconds=options.seconds)
            memory = {
                target.name: gauge.peak_rss_mb(gauge.family(target.process.pid))
                for target in everyone
                if target.process is not None
            }
        finally:
            for target in everyone[::-1]:
                targets.stop(target)
    names = [target.name for target in everyone]
    if len(names) > 1:
        print(cost_table(runs, names), latency_table(runs, names), sep="\n\n")
        print("\nPeak RSS, MB: " + ", ".join(f"{name} {memory[name]:.0f}" for name in names[1:]))
    errors = sum(run.errors for run in runs)
    print(f"Requests: {sum(run.requests for run in runs):,}; failed: {errors}")
    if options.json is not None:
        report = {"runs": [asdict(run) for run in runs], "peak_rss_mb": memory}
        json.dump(report, options.json, indent=1)
    return 1 if errors else 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--targets", default="nginx,forwarder,unaccounted,relay", help="of these and httpx")
    parser.add_argument("--budget", default="", help="hard budget of the relay's key; may be empty")
    parser.add_argument(
        "--json", type=argparse.FileType("w", encoding="utf-8"), help="also write every run to this file"
    )
    sys.exit(uvloop.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
