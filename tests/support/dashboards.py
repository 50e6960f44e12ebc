"""A running dashboard process, and records of the last days for it: it reads the wall clock."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import psycopg
from psycopg import sql

from service.ledger.record import RequestRecord, uuid7
from service.store.types import to_micros
from tests.support.records import START
from tests.support.stores import Postgres

START_TIMEOUT_S = 60
SECRET = "the-root-secret-of-a-dashboard-under-test-1"


class Dashboard(msgspec.Struct, frozen=True):
    """The process and its address."""

    process: subprocess.Popen[str]
    url: str

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the status it ended with."""
        self.process.send_signal(number)
        return self.process.wait(START_TIMEOUT_S)


def environment() -> dict[str, str]:
    """No settings of the machine's own, and a secret, without which no dashboard starts."""
    return {**os.environ, "TOLLKEEPER_CONFIG": "", "TOLLKEEPER_SECRET_KEY": SECRET}


def command(store_url: str, *, port: int = 0) -> list[str]:
    """The command line of a dashboard."""
    return [
        sys.executable,
        "-m",
        "service.cli",
        "dashboard",
        "--store-url",
        store_url,
        "--dashboard-port",
        str(port),
    ]


@contextmanager
def running(store_url: str) -> Iterator[Dashboard]:
    """A dashboard on a free port of 127.0.0.1, from when it listens."""
    process = subprocess.Popen(command(store_url), stderr=subprocess.PIPE, text=True, env=environment())
    assert process.stderr is not None
    try:
        for line in process.stderr:
            found = json.loads(line) if line.startswith("{") else {}
            if found.get("event") == "dashboard_ready":
                yield Dashboard(process, found["url"])
                break
        else:
            raise RuntimeError(f"the dashboard ended with status {process.wait()}")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stderr.close()


def wall_clock() -> datetime:
    """The clock that the process reads."""
    return datetime.now(UTC)  # noqa: TID251  (the dashboard under test reads the wall clock)


def recent(records: Sequence[RequestRecord], *, days: int) -> list[RequestRecord]:
    """*records* that began within *days* from `START`, moved so that those days end an hour ago."""
    shift = to_micros(wall_clock() - timedelta(days=days, hours=1)) - to_micros(START)
    rng = Random(1)
    requests: dict[bytes, bytes] = {}
    moved = []
    for record in sorted(records, key=lambda record: record.started_at):
        started_at = record.started_at + shift
        identifier = uuid7(started_at, rng.randbytes(8))
        request_id = requests.setdefault(record.request_id, identifier)
        moved.append(
            msgspec.structs.replace(record, id=identifier, request_id=request_id, started_at=started_at)
        )
    return moved


@contextmanager
def away(postgres: Postgres, url: str) -> Iterator[None]:
    """Meanwhile nobody reaches the database of *url*, and who was connected is not any more."""
    name = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    door = "ALTER DATABASE {} ALLOW_CONNECTIONS {}"
    postgres._run(sql.SQL(door).format(sql.Identifier(name), sql.SQL("false")))
    try:
        postgres._run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)
        yield
    finally:
        postgres._run(sql.SQL(door).format(sql.Identifier(name), sql.SQL("true")))
