"""How fast the books answer: `python -m benchmarks.reporting [--records N] [--store URL] [--keep FILE]`.

Fills a new SQLite file (or the empty PostgreSQL database at URL) with N records of 30 days and times what the
dashboard asks: each question three times, best and worst in milliseconds. `--records 10000000` is the long run;
`--keep` leaves the SQLite file for another run, which finds it full.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, get_args

from benchmarks.books import DAYS, START, batches
from service.ledger.writer import Writer
from service.reporting.check import check
from service.reporting.export import export_requests
from service.reporting.files import FileFormat
from service.reporting.focus import export_focus
from service.reporting.rows import RequestFilter, get_request, list_requests
from service.reporting.usage import UsageQuery, usage_report
from service.store import schema
from service.store.engine import Store

UNTIL = START + timedelta(days=DAYS)
SAID_EVERY = 500
"""Batches."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--store", help="URL of an empty PostgreSQL database")
    parser.add_argument("--keep", type=Path, help="SQLite file to fill, or to use again")
    parser.add_argument(
        "--whole", action="store_true", help="also time what reads every record: check and exports"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.store or f"sqlite:///{given.keep or Path(folder) / 'books.db'}"
        with closing(Store(url)) as store:
            schema.migrate(store)
            fill(store, given.records)
            questions(store)
            if given.whole:
                whole(store)


def fill(store: Store, count: int, *, start: datetime = START) -> None:
    """*count* records over 30 days from *start*, unless there are any; it says how far it is."""
    with store.read() as tx:
        if list_requests(tx, RequestFilter(), limit=1).data:
            print("the store is full already")
            return
    writer = Writer(store, clock=lambda: 0)
    begin = time.perf_counter()
    for number, batch in enumerate(batches(count, start=start), 1):
        writer.write(batch)
        if number % SAID_EVERY == 0:
            print(f"{number * len(batch):,} of {count:,} records written", file=sys.stderr)
    print(f"{count} records generated and written in {time.perf_counter() - begin:.0f} s")


def questions(store: Store) -> None:
    def usage(**asked: Any) -> Callable[[], object]:
        query = UsageQuery(**{"since": START, "until": UNTIL, **asked})
        return lambda: ask(store, lambda tx: usage_report(tx, query))

    last_day = UNTIL - timedelta(days=1)
    timed("30 days, total", usage())
    timed("30 days, by day, UTC", usage(interval="day"))
    timed(
        "30 days, by day and model, Los Angeles",
        usage(interval="day", group_by=("model",), timezone="America/Los_Angeles"),
    )
    timed(
        "30 days, by day and model, Kathmandu",
        usage(interval="day", group_by=("model",), timezone="Asia/Kathmandu"),
    )
    timed("30 days, by key", usage(group_by=("key",)))
    timed("30 days, by key, without percentiles", usage(group_by=("key",), percentiles=False))
    timed("30 days, by key and model", usage(group_by=("key", "model")))
    timed("30 days, by project, one model", usage(group_by=("project",), filters={"model": ("gpt-4o",)}))
    timed("last day, by quarter of an hour", usage(since=last_day, interval="15m"))
    timed("30 days, by end user", usage(group_by=("end_user",)))
    timed("30 days, one end user, by day", usage(interval="day", filters={"end_user": ("user-77",)}))
    timed("last day, by session (from records)", usage(since=last_day, group_by=("session",)))
    pages(store)
    with store.read() as tx:
        middle = RequestFilter(until=START + timedelta(days=DAYS / 2))
        identifier = list_requests(tx, middle, limit=1).data[0]["id"]
    timed("a page from the middle", lambda: ask(store, lambda tx: list_requests(tx, middle, limit=100)))
    timed("one request by id", lambda: ask(store, lambda tx: get_request(tx, identifier)))


def pages(store: Store) -> None:
    """Requests with what nearly all, some, few and none of the records have."""

    def page(**wanted: Any) -> Callable[[], object]:
        return lambda: ask(store, lambda tx: list_requests(tx, RequestFilter(**wanted), limit=100))

    old = START + timedelta(days=2)
    timed("100 newest requests", page())
    for name, filters in (
        ("of a key", {"key": ("key_0000000000000007",)}),
        ("of a model", {"model": ("gpt-4o",)}),
        ("failures", {"outcome": ("upstream_error",)}),
        ("failures of a key", {"key": ("key_0000000000000007",), "outcome": ("upstream_error",)}),
        ("of an end user", {"end_user": ("user-77",)}),
        ("of an end user who never was", {"end_user": ("nobody",)}),
        ("of a model that never was", {"model": ("nobody's",)}),
        ("with a status that never was", {"http_status": ("418",)}),
    ):
        timed(f"100 newest {name}", page(filters=filters))
        timed("  the same before the third day", page(filters=filters, until=old))


def whole(store: Store) -> None:
    timed("check", lambda: check(store), rounds=1)
    for kind in get_args(FileFormat):
        timed(f"export, {kind}", partial(export, store, kind), rounds=1)
    timed("export, FOCUS", lambda: drain(export_focus(store, since=START, until=UNTIL)), rounds=1)


def export(store: Store, kind: FileFormat) -> None:
    drain(export_requests(store, RequestFilter(), file_format=kind))


def ask(store: Store, question: Callable[[Any], object]) -> object:
    with store.read() as tx:
        return question(tx)


def drain(pieces: Any) -> None:
    for _ in pieces:
        pass


def timed(name: str, run: Callable[[], object], *, rounds: int = 3) -> None:
    spent = []
    for _ in range(rounds):
        begin = time.perf_counter()
        run()
        spent.append((time.perf_counter() - begin) * 1000)
    print(f"{name:<45} {min(spent):9.1f} ms  (worst {max(spent):.1f})", flush=True)


if __name__ == "__main__":
    main()
