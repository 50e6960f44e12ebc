"""How fast records reach the books: `python -m benchmarks.recorder [--records N] [--keys K] [--store URL]`.

Prints microseconds a record for folding alone, and records a second for the whole write of batches of 1,000 (insert,
both rollups, commit) into a new SQLite file, and into PostgreSQL where a URL of an empty database is given.
"""

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.books import batches
from service.ledger.folding import fold
from service.ledger.writer import Writer
from service.store import schema
from service.store.engine import Store


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--keys", type=int, default=50, help="different keys; more keys are more rollup rows")
    parser.add_argument("--store", help="URL of an empty PostgreSQL database")
    given = parser.parse_args()
    folding(keys=given.keys)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "books.db"
        writing(f"sqlite:///{path}", count=given.records, keys=given.keys)
        print(f"sqlite       {path.stat().st_size / given.records:8.0f} bytes a record, rollups included")
    if given.store:
        writing(given.store, count=given.records, keys=given.keys)


def folding(*, keys: int) -> None:
    found = list(batches(20_000, keys=keys))
    best = float("inf")
    for _ in range(7):
        begin = time.process_time()
        for batch in found:
            fold(batch)
        best = min(best, time.process_time() - begin)
    print(f"fold         {best / 20_000 * 1e6:8.2f} us a record")


def writing(url: str, *, count: int, keys: int) -> None:
    with closing(Store(url)) as store:
        schema.migrate(store)
        writer = Writer(store, clock=lambda: 0)
        spent = cpu = 0.0
        for batch in batches(count, keys=keys):
            begin, begin_cpu = time.perf_counter(), time.process_time()
            writer.write(batch)
            spent += time.perf_counter() - begin
            cpu += time.process_time() - begin_cpu
        kind = "sqlite" if store.is_sqlite else "postgresql"
        print(
            f"{kind:<12} {count / spent:8.0f} records/s, {cpu / count * 1e6:6.1f} us of our own CPU a record, "
            f"{count} records, {keys} keys"
        )


if __name__ == "__main__":
    main()
