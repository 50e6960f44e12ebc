"""How fast records become files: `python -m benchmarks.export [--records N] [--store URL] [--keep FILE]`.

Fills a new SQLite file (or the empty PostgreSQL database at URL) with N records and exports all of them in each
format, each in a process of its own: rows a second on the clock and of CPU time, and the process's peak memory, which
also shows at a tenth of the records whether it grows. Beside them "plain": the same CSV as most programs write it, the
store's rows through Python's csv module. At last the same export in a thread beside an event loop, as the admin API
does it: how late the loop's timers come, with and without.
"""

import argparse
import asyncio
import csv
import io
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, cast, get_args

from sqlalchemy import select

from benchmarks.reporting import fill
from service.reporting.csv_file import FORMULA_STARTS
from service.reporting.export import export_requests
from service.reporting.files import FileFormat
from service.reporting.rows import RequestFilter
from service.store import schema
from service.store.engine import Store
from service.store.tables import request_record

TICK_S = 0.001
TICKS = 2_000
PLAIN = "plain"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--store", help="URL of an empty PostgreSQL database")
    parser.add_argument("--keep", type=Path, help="SQLite file to fill, or to use again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.store or f"sqlite:///{given.keep or Path(folder) / 'books.db'}"
        with closing(Store(url)) as store:
            schema.migrate(store)
            fill(store, given.records)
        spawn = multiprocessing.get_context("spawn")
        kinds = (PLAIN, *get_args(FileFormat))
        for work in (*((timed, url, kind) for kind in kinds), (beside, url, "csv")):
            process = spawn.Process(target=work[0], args=work[1:])
            process.start()
            process.join()


def timed(url: str, kind: str) -> None:
    """One export; progress counts the rows."""
    rows = [0]
    early = 0.0
    with closing(Store(url)) as store:
        clock, cpu = time.perf_counter(), time.process_time()
        size = 0
        for piece in pieces(store, kind, rows):
            size += len(piece)
            early = early or (peak_rss_mb() if rows[0] > 20_000 else 0.0)
        spent, used = time.perf_counter() - clock, time.process_time() - cpu
    count = rows[0]
    print(
        f"{kind:8} {count} rows, {size / 1e6:.0f} MB: {count / spent:7.0f} rows/s, {count / used:7.0f} a second of CPU "
        f"({used / count * 1e6:.1f} us a row), peak RSS {peak_rss_mb():.0f} MB (at 20000 rows {early:.0f})",
        flush=True,
    )


def pieces(store: Store, kind: str, rows: list[int]) -> Iterator[bytes]:
    def count(read: int) -> None:
        rows[0] = read

    if kind == PLAIN:
        return plain(store, count)
    return export_requests(store, RequestFilter(), file_format=cast("FileFormat", kind), progress=count)


def plain(store: Store, count: Callable[[int], None]) -> Iterator[bytes]:
    """Rows of SQLAlchemy, made presentable value by value, through `csv.writer`."""
    written = 0
    with store.read() as tx:
        statement = select(request_record).order_by(request_record.c.id.desc())
        for found in tx.execute(statement.execution_options(yield_per=1_000)).partitions():
            text = io.StringIO()
            writer = csv.writer(text)
            writer.writerows([presentable(value) for value in row] for row in found)
            written += len(found)
            count(written)
            yield text.getvalue().encode()


def presentable(value: Any) -> Any:
    match value:
        case str():
            return f"'{value}" if value.startswith(FORMULA_STARTS) else value
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case list():
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        case _:
            return value


def peak_rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def beside(url: str, kind: str) -> None:
    """Timers of an event loop while an export runs in a thread."""

    async def late(*, exporting: bool) -> list[float]:
        with closing(Store(url)) as store:
            found = pieces(store, kind, [0])
            await asyncio.to_thread(lambda: list(islice(found, 2)))
            work = asyncio.ensure_future(drain(found)) if exporting else None
            delays = []
            for _ in range(TICKS):
                due = time.perf_counter() + TICK_S
                await asyncio.sleep(TICK_S)
                delays.append((time.perf_counter() - due) * 1000)
                if work is not None and work.done():
                    break
            if work is not None:
                work.cancel()
                await asyncio.wait([work])
        return sorted(delays)

    async def drain(found: Iterator[bytes]) -> None:
        while await asyncio.to_thread(next, found, None) is not None:
            pass

    for exporting in (False, True):
        delays = asyncio.run(late(exporting=exporting))
        parts = ", ".join(f"p{q} {delays[len(delays) * q // 100]:.2f} ms" for q in (50, 95, 99))
        print(f"timers late {'beside an export' if exporting else 'alone':17} {parts}", flush=True)


if __name__ == "__main__":
    main()
