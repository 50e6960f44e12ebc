"""`python -m service.simulator`: the simulated upstream as a process of its own.

Prints `{"port": N}` on one line once it listens; ends on SIGTERM with status 0.
"""

import argparse
import sys
import time
from pathlib import Path

import msgspec

from service.simulator.app import create_simulator
from service.simulator.pace import BELIEVABLE, Pace
from service.simulator.request_log import RequestLog, discard
from service.simulator.server import serve


def main(arguments: list[str] | None = None) -> None:
    """Read the flags and serve."""
    flags = _parser().parse_args(arguments)
    log = RequestLog(flags.log) if flags.log else discard
    pace = Pace(tokens_per_s=flags.tokens_per_s, ttft_s=flags.ttft_ms / 1000)
    app = create_simulator(now=time.time, pace=pace, log=log)  # noqa: TID251  this is a composition root
    serve(app, host=flags.host, port=flags.port, ready=_announce)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m service.simulator", description="A simulated upstream.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--log", type=Path, help="append a JSON line per request to this file")
    parser.add_argument(
        "--tokens-per-s", type=float, default=BELIEVABLE.tokens_per_s, help="0: as fast as possible"
    )
    parser.add_argument(
        "--ttft-ms", type=float, default=BELIEVABLE.ttft_s * 1000, help="time to the first token"
    )
    return parser


def _announce(port: int) -> None:
    sys.stdout.buffer.write(msgspec.json.encode({"port": port}) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
