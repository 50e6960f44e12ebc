"""The relay's own stack without the books: same server, routes, door and upstream client, nothing measured or recorded.

    python -m benchmarks.unaccounted --config tollkeeper.toml --port 4001

The peer that `benchmarks.relay` holds the relay against. Keys are still checked; journal, recorder, meters and
pricing are replaced by parts that do nothing.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from service.app import RelayProcess
from service.ledger.record import Intent, Outcome, Progress, RequestRecord
from service.relay import attempt as attempts
from service.relay import exchange as exchanges
from service.relay.context import RelayContext
from service.server import run_server
from service.settings import load
from service.supervisor import listen
from service.usage.metered import Metered


class NoJournal:
    """Writes nothing."""

    nearly_full = False

    def open(self, intent: Intent) -> int:
        del intent
        return 0

    def complete(self, record: RequestRecord) -> int:
        del record
        return 0

    def progress(self, progress: Progress) -> None:
        del progress


class NoRecorder:
    """Stores nothing."""

    store_available = True
    backlog = 0

    def put(self, record: RequestRecord, *, may_spill: bool = True) -> None:
        del record, may_spill


NOTHING = Metered(
    usage=None,
    usage_source="none",
    usage_raw=None,
    usage_flags=(),
    provider_cost_nanos=None,
    response_id=None,
    response_model=None,
    service_tier=None,
    finish_reasons=(),
    error_type=None,
    error_code=None,
    has_error=False,
    terminal=True,
    complete=True,
)


class NoMeter:
    """Forwards."""

    events = 1
    terminal = False

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def feed(self, chunk: bytes) -> bytes:
        return chunk

    def end(self) -> bytes:
        return b""

    def result(self) -> Metered:
        return NOTHING


def no_close(self: attempts.Attempt, outcome: Outcome, **_: Any) -> RequestRecord:
    """An attempt that ends without a record."""
    if self.record is None:
        self.record = RequestRecord(b"", b"", 1, 0, outcome=outcome)
    return self.record


async def settled(self: attempts.Attempt) -> None:
    del self


def main() -> None:
    parser = argparse.ArgumentParser(description="The relay without accounting.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    loaded = load(config_path=options.config, environ=os.environ, flags={})
    process = RelayProcess(loaded.settings)
    for name, replacement in {
        "close": no_close,
        "settled": settled,
        "note_progress": lambda *_, **__: None,
    }.items():
        setattr(attempts.Attempt, name, replacement)
    for name in ("StreamMeter", "BodyMeter"):
        setattr(exchanges, name, NoMeter)

    def build() -> tuple[Any, RelayContext]:
        app, context = process.build()
        context.journal = NoJournal()  # type: ignore[assignment]
        context.recorder = NoRecorder()  # type: ignore[assignment]
        return app, context

    listener = listen("127.0.0.1", options.port, purpose="the peer", flag="--port")
    run_server(build, listener=listener, on_ready=lambda: None, on_stopped=lambda: None)


if __name__ == "__main__":
    main()
