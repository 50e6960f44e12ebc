"""A running dashboard process, and records of the last days for it: it reads the wall clock."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from random import Random

import argon2
import msgspec
import psycopg
from psycopg import sql

from dashboard.door import COOKIE, Door
from service.accounts.passwords import Passwords
from service.accounts.values import Client, Role
from service.audit.actor import Actor
from service.ledger.record import RequestRecord, uuid7
from service.store.engine import Store
from service.store.types import to_micros
from tests.support.records import START
from tests.support.stores import Postgres

START_TIMEOUT_S = 60
SECRET = "the-root-secret-of-a-dashboard-under-test-1"


class Dashboard(msgspec.Struct, frozen=True):
    """The process, its address, and the cookie of somebody who is signed in."""

    process: subprocess.Popen[str]
    url: str
    token: str

    @property
    def cookies(self) -> dict[str, str]:
        """What a signed-in client sends."""
        return {COOKIE: self.token}

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


def door(store: Store) -> Door:
    """The accounts of a store that `environment` has the secret of; passwords at their lowest cost."""
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return Door.of(
        store,
        SECRET.encode(),
        now=wall_clock,
        monotonic=time.monotonic,
        random_bytes=os.urandom,
        passwords=Passwords(hasher),
    )


def signed_in(store_url: str, *, role: Role = "admin") -> str:
    """The token of a new session of a new account."""
    with closing(Store(store_url)) as store:
        found = door(store)
        name = f"somebody {os.urandom(4).hex()}"
        with store.write() as tx:
            account = found.accounts.create(tx, name=name, role=role, by=Actor.system("test")).account
            return found.sessions.begin(tx, account.id, client=Client()).token


@contextmanager
def running(store_url: str, *, role: Role = "admin") -> Iterator[Dashboard]:
    """A dashboard on a free port of 127.0.0.1, from when it listens, and somebody who is signed in."""
    with server(store_url) as (process, url):
        yield Dashboard(process, url, signed_in(store_url, role=role))


@contextmanager
def server(store_url: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process of a dashboard and its address."""
    process = subprocess.Popen(
        command(store_url), stderr=subprocess.PIPE, text=True, env={**environment(), **variables}
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            found = json.loads(line) if line.startswith("{") else {}
            if found.get("event") == "dashboard_ready":
                yield process, found["url"]
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
