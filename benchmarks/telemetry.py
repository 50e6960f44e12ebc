"""What telemetry costs a request: off, `/metrics` on, every span exported too, in one run.

    python -m benchmarks.telemetry [--records 20000] [--rounds 5] [--batch 100] [--relay SECONDS]

Records go through telemetry as the recorder hands them over, in batches of what 200 ms bring; every span goes to a
real OTLP/HTTP receiver in another process. The figure is CPU of this process, all threads, per record; the modes take
turns within each round, the least of the rounds is shown. With `--relay`, whole relays are measured as well, side by
side under load, where the differences drown in noise sooner. Exit 1 if a promise is broken: 20 µs with metrics,
250 µs with every span, and nothing at all when off.
"""

import argparse
import http.server
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import targets
from benchmarks.books import batches
from benchmarks.relay import measure
from service.ledger.record import RequestRecord
from service.settings import RelaySettings, Settings, TelemetrySettings
from service.telemetry import trace_context
from service.telemetry.pipeline import Telemetry, telemetry_for

METRICS_LIMIT_US = 20.0
SPANS_LIMIT_US = 250.0
ROOM = 1_500
MODES: dict[str, dict[str, Any]] = {
    "off": {"prometheus": "off"},
    "metrics": {},
    "metrics and every span": {"enabled": True},
}
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class _Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def _receive(ready: Connection) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    ready.send(server.server_port)
    server.serve_forever()


@contextmanager
def receiver() -> Iterator[str]:
    """The address of an OTLP receiver in a process of its own."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_receive, args=(there,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.kill()
        process.join()


def telemetry(mode: str, folder: Path, endpoint: str) -> Telemetry | None:
    settings = Settings(
        relay=RelaySettings(data_dir=folder),
        telemetry=TelemetrySettings(otlp_endpoint=endpoint, metrics_interval_s=3600.0, **MODES[mode]),
    )
    return telemetry_for(settings, micros=lambda: time.time_ns() // 1000, monotonic=time.monotonic)


def cost_us(made: Telemetry | None, found: Sequence[Sequence[RequestRecord]]) -> float:
    """CPU of this process per record until everything is counted and sent."""
    begin = time.process_time()
    for batch in found:
        if made is not None:
            made.observe(batch)
            wait(made, below=ROOM)
    if made is not None:
        wait(made, below=1)
    return (time.process_time() - begin) / sum(map(len, found)) * 1e6


def wait(made: Telemetry, *, below: int) -> None:
    """Until fewer spans than that wait; the queue drops what it has no room for, which would cost nothing."""
    figures = made.figures if made.traced else None
    while figures is not None and len(made._queue or ()) >= below:  # noqa: SLF001  (to pace the load)
        time.sleep(0.02)


def micro(options: argparse.Namespace) -> dict[str, float]:
    """Each mode in turn, several rounds."""
    found = list(batches(options.records, size=options.batch))
    for batch in found:
        for record in batch:
            record.traceparent = TRACEPARENT
    least: dict[str, float] = dict.fromkeys(MODES, float("inf"))
    with receiver() as endpoint, tempfile.TemporaryDirectory(prefix="tollkeeper-bench-") as folder:
        made = {mode: telemetry(mode, Path(folder) / str(at), endpoint) for at, mode in enumerate(MODES)}
        for one in made.values():
            if one is not None:
                one.start()
        for _ in range(options.rounds):
            for mode, one in made.items():
                least[mode] = min(least[mode], cost_us(one, found))
        page(made["metrics"])
        for one in made.values():
            if one is not None:
                dropped = one.figures().get("tollkeeper.spans_dropped", 0)
                one.stop()
                assert not dropped, f"{dropped} spans were dropped"
    return least


def page(made: Telemetry | None) -> None:
    """What one scrape costs."""
    assert made is not None
    shown = made.page(journal=Path())
    assert shown is not None
    begin = time.process_time()
    text = shown.text()
    spent = (time.process_time() - begin) * 1e3
    print(f"one scrape: {spent:.1f} ms of CPU, {len(text.splitlines()):,} lines, {len(text) / 1024:.0f} KiB")


def header_us() -> float:
    """What reading `traceparent` adds to a request while spans are on."""
    headers = [(b"name-%d" % number, b"value") for number in range(12)]
    headers.append((b"traceparent", TRACEPARENT.encode()))
    begin = time.process_time()
    for _ in range(100_000):
        trace_context.of_headers(headers)
    return (time.process_time() - begin) * 10


async def whole_relays(options: argparse.Namespace) -> None:
    """A relay for each mode, under load in turn."""
    spent: dict[str, list[float]] = defaultdict(list)
    with receiver() as endpoint, tempfile.TemporaryDirectory(prefix="tollkeeper-bench-") as name:
        everyone = [targets.provider()]
        await targets.started(everyone[0])
        try:
            for at, (mode, wanted) in enumerate(MODES.items()):
                everyone.append(
                    relay(mode, Path(name) / str(at), wanted, upstream=everyone[0].port, to=endpoint)
                )
                await targets.started(everyone[-1])
            for number in range(options.rounds):
                for target in everyone[1:] if number % 2 else everyone[:0:-1]:
                    run = await measure(
                        target, "non-stream", kind="plain", connections=32, seconds=options.relay
                    )
                    spent[target.name].append(run.cpu_us)
        finally:
            for target in everyone[::-1]:
                targets.stop(target)
    for mode, values in spent.items():
        print(f"whole relay, {mode:<24} {statistics.median(values):8.1f} us a request (median)")


def relay(mode: str, folder: Path, wanted: dict[str, Any], *, upstream: int, to: str) -> targets.Target:
    variables = {"otlp_endpoint": to, **{key: str(value).lower() for key, value in wanted.items()}}
    command = ["env", *(f"TOLLKEEPER_TELEMETRY_{key.upper()}={value}" for key, value in variables.items())]
    return targets._relay(  # noqa: SLF001  (a relay of other settings)
        mode, [*command, str(targets.COMMAND), "serve"], folder, upstream=upstream, budget=""
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=100, help="records a flush; 100 are 500 requests/s")
    parser.add_argument("--relay", type=float, default=0.0, metavar="SECONDS", help="whole relays as well")
    options = parser.parse_args()
    least = micro(options)
    for mode, value in least.items():
        print(f"{mode:<24} {value:8.2f} us a request")
    print(
        f"reading traceparent      {header_us():8.2f} us a request, on the way of the request, only with spans"
    )
    if options.relay:
        uvloop.run(whole_relays(options))
    broken = (
        least["metrics"] > METRICS_LIMIT_US
        or least["metrics and every span"] > SPANS_LIMIT_US
        or least["off"] > 1.0
    )
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
