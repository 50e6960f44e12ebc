"""The keeper as a process and within one: what it does by itself, and that several of them act as one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from service.alerts.defaults import DEFAULTS, MADE
from service.alerts.registry import load_rules
from service.budgets.periods import open_period
from service.keeper.process import KeeperProcess
from service.ledger.record import uuid7
from service.settings import AlertSettings, RelaySettings, Secret, Settings, StoreSettings
from service.store.alert_tables import alert_gauge, leadership
from service.store.budget_tables import budget_lease
from service.store.engine import Store
from service.store.facts import fact_set_once
from service.store.tables import request_record
from service.store.types import to_micros
from tests.ledger.making import intent
from tests.support.alert_town import ROOT, Town
from tests.support.clock import HandClock
from tests.support.processes import command, environment
from tests.support.receivers import Receiver, receiver

PATIENCE_S = 60.0


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def settings(store_url: str, folder: Path) -> Settings:
    return Settings(
        store=StoreSettings(url=store_url),
        relay=RelaySettings(data_dir=folder / "data"),
        alerts=AlertSettings(allowed_networks=("127.0.0.0/8",)),
        secret_key=Secret(ROOT.decode()),
    )


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@contextmanager
def keeping(store_url: str, folder: Path) -> Iterator[KeeperProcess]:
    process = KeeperProcess(settings(store_url, folder))
    process.start()
    try:
        yield process
    finally:
        process.close()


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  (the keeper goes by the machine's clock)


def without_defaults(store: Store) -> None:
    """A store whose default rules were deleted."""
    with store.write() as tx:
        fact_set_once(tx, name=MADE, value="1")


def leader(store: Store) -> str:
    with store.read() as tx:
        return str(tx.scalar(select(leadership.c.holder)) or "")


def test_a_new_store_gets_its_rules_and_gauges_and_crossings_arrive(
    store_url: str, tmp_path: Path, hook: Receiver
) -> None:
    with closing(Store(store_url)) as store, keeping(store_url, tmp_path) as keeper:
        town = Town(store, clock=HandClock(now()))
        town.channel("hook", url=hook.url)

        def rules() -> int:
            with store.read() as tx:
                return len(load_rules(tx))

        until(lambda: rules() == len(DEFAULTS))
        budget = town.budget()
        town.spend(9, charged=[(budget, "")])
        until(lambda: len(hook.got) >= 2)
        sent = [json.loads(got.body) for got in hook.got]
        assert [(one["type"], one["rule"], one["threshold"]) for one in sent] == [
            ("alert.firing", "Budget used", 0.5),
            ("alert.firing", "Budget used", 0.8),
        ]
        with store.read() as tx:
            gauges = {row.name: row.subject for row in tx.execute(select(alert_gauge))}
        assert gauges["journal_backlog"] == f"{socket.gethostname()}:{(tmp_path / 'data/journal').resolve()}"
        assert leader(store) == keeper.holder


def test_handing_over_takes_a_moment_and_raises_nothing_twice(
    store_url: str, tmp_path: Path, hook: Receiver
) -> None:
    with closing(Store(store_url)) as store:
        without_defaults(store)
        town = Town(store, clock=HandClock(now()))
        town.rule()
        town.channel("hook", url=hook.url)
        budget = town.budget()
        town.spend(6, charged=[(budget, "")])
        with keeping(store_url, tmp_path) as second:
            with keeping(store_url, tmp_path) as first:
                until(lambda: leader(store))
                until(lambda: len(hook.got) == 1)
                assert leader(store) in (first.holder, second.holder)
            until(lambda: second.leadership.leads)
            town.spend(3, charged=[(budget, "")])
            until(lambda: len(hook.got) >= 2)
        assert leader(store) == ""
        assert [json.loads(got.body)["threshold"] for got in hook.got] == [0.5, 0.8]


def test_leases_that_nobody_renews_are_reaped(store_url: str, tmp_path: Path) -> None:
    with closing(Store(store_url)) as store:
        town = Town(store, clock=HandClock(now()))
        budget = town.budget(mode="hard")
        past = now() - timedelta(minutes=5)
        key = (budget.id, "", past)
        with store.write() as tx:
            open_period(tx, key, ends_at=None)
            tx.execute(
                budget_lease.insert().values(
                    id=1,
                    budget_id=budget.id,
                    subject="",
                    starts_at=past,
                    holder="dead",
                    granted_nanos=5,
                    spent_nanos=0,
                    burned_nanos=0,
                    state="active",
                    expires_at=past,
                    created_at=past,
                )
            )

        def state() -> str:
            with store.read() as tx:
                return str(tx.scalar(select(budget_lease.c.state)))

        with keeping(store_url, tmp_path):
            until(lambda: state() == "quarantined")


def test_the_journal_of_a_dead_relay_is_adopted(sqlite_url: str, tmp_path: Path) -> None:
    """A process writes an intent and dies; the keeper makes a record of it."""
    folder = tmp_path / "data" / "journal"
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from service.ledger.journal import Journal\n"
        "from service.ledger.record import Intent\n"
        "import msgspec\n"
        "journal = Journal(Path(sys.argv[1]), max_bytes=1 << 24, alarm=print, clock_ns=int)\n"
        "journal.open(msgspec.msgpack.decode(bytes.fromhex(sys.argv[2]), type=Intent))\n"
        "os._exit(9)\n"
    )
    started = to_micros(now())
    identifier = uuid7(started, os.urandom(8))
    encoded = msgspec.msgpack.encode(intent(id=identifier, request_id=identifier, started_at=started)).hex()
    died = subprocess.run([sys.executable, "-c", script, str(folder), encoded], check=False)
    assert died.returncode == 9
    with closing(Store(sqlite_url)) as store:

        def outcomes() -> list[str]:
            with store.read() as tx:
                return list(tx.scalars(select(request_record.c.outcome)))

        with keeping(sqlite_url, tmp_path):
            until(lambda: outcomes() == ["interrupted"])


class Pack:
    """Several `tollkeeper keeper` processes on one store."""

    def __init__(self, store_url: str, folder: Path, *, count: int) -> None:
        variables = {
            **environment(folder),
            "TOLLKEEPER_STORE_URL": store_url,
            "TOLLKEEPER_SECRET_KEY": ROOT.decode(),
            "TOLLKEEPER_ALERTS_ALLOWED_NETWORKS": "127.0.0.0/8",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        folder.mkdir(exist_ok=True)
        self.processes = [
            subprocess.Popen(
                command("keeper", "--data-dir", str(folder / f"data{number}")),
                cwd=folder,
                env=variables,
                stderr=subprocess.DEVNULL,
            )
            for number in range(count)
        ]

    def kill(self, holder: str) -> None:
        """`kill -9` the process of this holder."""
        pid = int(holder.split(":")[1])
        assert pid in [process.pid for process in self.processes]
        os.kill(pid, signal.SIGKILL)

    def stop(self) -> list[int]:
        """End the rest properly; returns the exit codes of all."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(PATIENCE_S) for process in self.processes]


def test_three_keepers_one_killed_every_alert_once(store_url: str, tmp_path: Path, hook: Receiver) -> None:
    with closing(Store(store_url)) as store:
        without_defaults(store)
        town = Town(store, clock=HandClock(now()))
        town.rule()
        town.channel("hook", url=hook.url)
        budget = town.budget(window="total")
        pack = Pack(store_url, tmp_path / "pack", count=3)
        try:
            town.spend(6, charged=[(budget, "")])
            until(lambda: [one.state for one in town.deliveries()] == ["delivered"])
            dead = leader(store)
            pack.kill(dead)
            killed = time.monotonic()
            town.spend(3, charged=[(budget, "")])
            until(lambda: leader(store) not in ("", dead))
            followed = time.monotonic() - killed
            until(lambda: len(hook.got) == 2)
            town.spend(1, charged=[(budget, "")])
            until(lambda: len(hook.got) == 3)
        finally:
            codes = pack.stop()
        assert sorted(codes) == [-signal.SIGKILL, 0, 0]
        assert followed < PATIENCE_S
        assert Counter(json.loads(got.body)["threshold"] for got in hook.got) == {0.5: 1, 0.8: 1, 1.0: 1}
        assert len({got.headers["webhook-id"] for got in hook.got}) == 3
