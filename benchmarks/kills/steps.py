"""`kill -9` at every system call of a scripted run with which the journal and the store change the disk.

strace kills the relay as it enters the Nth call of a kind, for every N that the run makes: so it dies between any two
of them. Calls are counted per thread. The next run, which dies at the call after, is at the same time the recovery
of the one before; what it has to recover may thus be left by many deaths. Frames are written through a memory map
and make no call of their own: random kills and the property tests die inside of them.
"""

import asyncio
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.kills.clients import Kind, Seen, ask
from benchmarks.kills.rig import Rig
from benchmarks.kills.scenarios import require
from benchmarks.kills.verdict import Verdict, examine

CALLS = ("fallocate", "rename", "unlink", "ftruncate", "flock", "fsync", "fdatasync", "pwrite64")
SETTINGS = 'journal_max_bytes = 1048576\ndurability = "{durability}"\n'
"""A small cap makes small segments, so that the scripted run begins and deletes some."""
SCRIPT = (
    *[Kind("long texts", 1, padding=4_000)] * 8,
    Kind("whole", 1),
    Kind("stream", 1, stream=True),
    Kind(
        "stream, left",
        1,
        model="sim-slow-stream-20:gpt-4o-mini",
        stream=True,
        max_tokens=30,
        leaves_after=300,
    ),
    Kind("cut by the upstream", 1, model="sim-cut-4:gpt-4o-mini", stream=True),
    Kind("wrong key", 1, key="tk_wrong"),
) * 4
AT_ONCE = 4
_CALL = re.compile(r"^(\d+)\s.*?\b([a-z0-9]+)\(")


def kill_at_each(rig: Rig, *, limit: int, progress: Callable[[str], None]) -> tuple[str, Verdict]:
    """Die at each of the calls, at most *limit* of them; returns what was done, and the verdict."""
    seen: list[Seen] = []
    rig.settle()  # a new store has a long checkpoint before it that no later run makes
    counts = _count_calls(rig, seen)
    chosen = _points(counts, limit)
    killed = 0
    for number, (call, occurrence) in enumerate(chosen):
        injection = f"inject={call}:signal=SIGKILL:when={occurrence}"
        if _scripted_run(rig, seen, "-e", f"trace={call}", "-e", injection, "-o", "/dev/null"):
            killed += 1
        progress(f"{call} {occurrence} ({number + 1} of {len(chosen)}), {killed} died")
    rig.settle()
    done = ", ".join(f"{call} {counts[call]}" for call in CALLS if counts[call])
    tried = f"{killed} deaths, {len(chosen)} of {counts.total()} points: {done}"
    return tried, examine(rig.log, rig.store_url, seen)


def _points(counts: Counter[str], limit: int) -> list[tuple[str, int]]:
    """Calls and their numbers: every one where they are few, evenly spaced where a checkpoint makes many."""
    points: list[tuple[str, int]] = []
    rarest_first = sorted(counts, key=lambda call: counts[call])
    for number, call in enumerate(rarest_first):
        share = max(1, (limit - len(points)) // (len(rarest_first) - number))
        points += [(call, occurrence) for occurrence in range(1, counts[call] + 1, -(-counts[call] // share))]
    return points


def _count_calls(rig: Rig, seen: list[Seen]) -> Counter[str]:
    """How often one thread makes each call, at most, in a scripted run that nothing kills."""
    trace = rig.folder / "calls.txt"
    require(not _scripted_run(rig, seen, "-e", "trace=" + ",".join(CALLS), "-o", str(trace)), "it died", rig)
    by_thread = Counter(_calls(trace))
    counts: Counter[str] = Counter()
    for (_, call), count in by_thread.items():
        counts[call] = max(counts[call], count)
    return counts


def _calls(trace: Path) -> Iterator[tuple[str, str]]:
    for line in trace.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _CALL.match(line)
        if found is not None:
            yield found[1], found[2]


def _scripted_run(rig: Rig, seen: list[Seen], *options: str) -> bool:
    """The script against a relay under strace, then SIGTERM; whether the relay was killed on the way."""
    if rig.start("strace", "-D", "-f", "-qq", *options):
        asyncio.run(_play(rig, seen))
        if not rig.died():
            rig.send(signal.SIGTERM)
    rig.died(60.0)
    return rig.killed


async def _play(rig: Rig, seen: list[Seen]) -> None:
    script = iter(SCRIPT)

    async def client() -> None:
        for kind in script:
            one = await ask(kind, port=rig.port, key=kind.key or rig.key)
            seen.append(one)
            if one.ended == "not connected":
                return

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
