"""Whether a relay worker's memory stays flat: over many requests, then with many open streams.

    python -m benchmarks.memory [--requests 100000] [--streams 500]

Prints the resident set of the relay process (MB) as the requests go by, and with the streams open.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

import uvloop

from benchmarks import gauge, targets
from benchmarks.load import load, request_bytes

CONNECTIONS = 32
STEPS = 10
SLICE_S = 2.0


def rss_mb(pid: int) -> float:
    """What the process has in memory now."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no process {pid}")


async def run(options: argparse.Namespace) -> None:
    direct = await targets.started(targets.provider())
    with tempfile.TemporaryDirectory(prefix="tollkeeper-bench-") as folder:
        relay = await targets.started(targets.relay(Path(folder), upstream=direct.port, budget=""))
        assert relay.process is not None
        pid = gauge.family(relay.process.pid)[0]
        try:
            print(f"at start: {rss_mb(pid):.0f} MB", flush=True)
            done, shown = 0, 0
            plain = request_bytes("plain", port=relay.port, key=relay.key)
            while done < options.requests:
                done += (
                    await load(plain, port=relay.port, connections=CONNECTIONS, seconds=SLICE_S)
                ).requests
                if done >= shown + options.requests / STEPS:
                    shown = done
                    print(f"after {done:,} requests: {rss_mb(pid):.0f} MB", flush=True)
            paced = request_bytes("paced", port=relay.port, key=relay.key)
            streams = asyncio.ensure_future(
                load(paced, port=relay.port, connections=options.streams, seconds=SLICE_S)
            )
            await asyncio.sleep(SLICE_S / 2)
            print(f"with {options.streams} open streams: {rss_mb(pid):.0f} MB", flush=True)
            await streams
            print(f"after them: {rss_mb(pid):.0f} MB; peak {gauge.peak_rss_mb([pid]):.0f} MB", flush=True)
        finally:
            targets.stop(relay)
            targets.stop(direct)


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory of the relay.")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--streams", type=int, default=500)
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
