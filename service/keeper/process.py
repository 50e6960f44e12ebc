"""The keeper's composition root: its tasks, one line each in `_tasks`, and what they work with.

Order at the start: store, secret, prices, alerts, threads. At the end: threads, what is being delivered, leadership,
store. Several keepers may run: those of one data directory adopt its journals, all deliver, one leads.
"""

import contextlib
import os
import random
import socket
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from service.alerts.channels.opening import ChannelOpener
from service.alerts.channels.posting import Poster
from service.alerts.courier import Courier, CourierClock
from service.alerts.defaults import ensure_defaults
from service.alerts.desk import AlertDesk, AlertSurroundings
from service.alerts.events import EventBook
from service.alerts.gauges import DRIFT, JOURNAL, journal_share, measure_drift, put_gauge
from service.alerts.outbox import drop_old
from service.alerts.watcher import AlertWatcher
from service.app import JOURNAL_FOLDER, alarm, free_leases, open_store, system_clock
from service.budgets import leases
from service.content.registry import ContentRegistry
from service.errors import StoreError
from service.keeper.leadership import Leadership
from service.keeper.tasks import Task, TaskRunner
from service.keys.secrets import audit_trail, content_vault, installation_secret
from service.ledger import idempotency
from service.ledger.adoption import AdoptionLoop
from service.ledger.batches import BatchWriter
from service.ledger.costs import rate_usage
from service.ledger.record import Opening
from service.ledger.writer import Writer
from service.pricing.catalog import load_book
from service.pricing.rating import Rating
from service.relay.context import Clock
from service.settings import Settings
from service.store.revision import RevisionPoller
from service.store.types import from_micros
from service.telemetry import names
from service.telemetry.pipeline import telemetry_for
from service.usage.tokens import TokenUsage

CLOCK_SKEW = timedelta(seconds=5)
"""How far clocks of relays may be apart."""
LONGEST_REQUEST = timedelta(hours=1)
MARGIN = timedelta(minutes=2)
DELIVERY = "delivery"


class KeeperProcess:
    """One keeper, from its store to its threads. *holder* tells it from every other."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None, holder: str | None = None) -> None:
        self.settings = settings
        self.clock = clock or system_clock()
        self.holder = holder or f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        self.store = open_store(settings)
        self.journal = settings.relay.data_dir / JOURNAL_FOLDER
        self.journal.mkdir(parents=True, exist_ok=True)
        self.prices = RevisionPoller(self.store, load_book, clock=self.clock.monotonic)
        self.leadership = Leadership(self.store, holder=self.holder, monotonic=self.clock.monotonic)
        root = installation_secret(self.store, settings)
        trail = audit_trail(root, now=self._now)
        self.content = ContentRegistry(content_vault(root), trail=trail, now=self._now)
        self.desk = AlertDesk.of(
            root,
            settings.alerts,
            trail=trail,
            surroundings=AlertSurroundings(self._now, self.clock.random_bytes, random.random),
        )
        self.telemetry = telemetry_for(settings, micros=self.clock.micros, monotonic=self.clock.monotonic)
        self.adoption = self._adoption()
        self.courier = self._courier()
        self.watcher = self._watcher()
        self.runner = TaskRunner(self._tasks(), leads=lambda: self.leadership.leads)

    def start(self) -> None:
        """Start the threads."""
        if self.telemetry is not None:
            self.telemetry.watch(lambda: {names.KEEPER_LEADS.name: self.leadership.leads})
            self.telemetry.start()
        self.runner.start()

    def close(self) -> None:
        """End the threads, hand over, and close the store."""
        self.runner.stop()
        self.courier.stop()
        if self.telemetry is not None:
            self.telemetry.stop()
        with contextlib.suppress(StoreError):  # then another takes over a few seconds later
            self.leadership.resign()
        self.store.close()

    def _tasks(self) -> list[Task]:
        """What the keeper does. A new task is a new line."""
        return [
            Task(name="leadership", interval_s=1, run=self.leadership.tick, leader_only=False, longest_s=2),
            Task(name="adoption", interval_s=5, run=self._adopt, leader_only=False),
            Task(name="journal gauge", interval_s=15, run=self._measure_journal, leader_only=False),
            Task(name=DELIVERY, interval_s=0.5, run=self.courier.run_once, leader_only=False, longest_s=5),
            Task(name="default rules", interval_s=3600, run=self._make_default_rules),
            Task(name="budget alerts", interval_s=0.5, run=self.watcher.watch_budgets, longest_s=5),
            Task(name="alerts", interval_s=5, run=self.watcher.watch),
            Task(name="lease reaping", interval_s=10, run=self._reap_leases),
            Task(name="drift gauge", interval_s=600, run=self._measure_drift),
            Task(name="old deliveries", interval_s=3600, run=self._drop_old_deliveries),
            Task(name="idempotency keys", interval_s=600, run=self._purge_idempotency),
            Task(name="expired content", interval_s=300, run=partial(self.content.purge, self.store)),
        ]

    def _adopt(self) -> None:
        self.prices.refresh_now()
        self.adoption.adopt_now()

    def _rate_crashed(self, opening: Opening, usage: TokenUsage) -> Rating:
        return rate_usage(opening, usage, book=self.prices.value, models=(opening.upstream_model,))

    def _make_default_rules(self) -> None:
        with self.store.write() as tx:
            self.leadership.require(tx)
            ensure_defaults(tx, self.desk.rules)

    def _reap_leases(self) -> None:
        longest = max((one.total_timeout_s for one in self.settings.upstreams), default=0.0)
        quarantine = max(LONGEST_REQUEST, timedelta(seconds=longest)) + MARGIN
        with self.store.write() as tx:
            self.leadership.require(tx)
            leases.reap(tx, now=self._now(), grace=CLOCK_SKEW, quarantine=quarantine)

    def _purge_idempotency(self) -> None:
        with self.store.write() as tx:
            self.leadership.require(tx)
            idempotency.purge(tx, now=self._now())

    def _measure_journal(self) -> None:
        share, details = journal_share(self.journal, max_bytes=self.settings.relay.journal_max_bytes)
        subject = f"{socket.gethostname()}:{self.journal.resolve()}"
        with self.store.write() as tx:
            put_gauge(tx, JOURNAL, subject=subject, value=share, details=details, now=self._now())

    def _measure_drift(self) -> None:
        now = self._now()
        measured = measure_drift(self.store, now=now)
        with self.store.write() as tx:
            self.leadership.require(tx)
            for subject, (value, details) in measured.items():
                put_gauge(tx, DRIFT, subject=subject, value=value, details=details, now=now)

    def _drop_old_deliveries(self) -> None:
        with self.store.write() as tx:
            self.leadership.require(tx)
            drop_old(tx, now=self._now())

    def _adoption(self) -> AdoptionLoop:
        observers = () if self.telemetry is None else (self.telemetry.observe,)
        batches = BatchWriter(Writer(self.store, clock=self.clock.micros, observers=observers), alarm=alarm)
        settled = partial(free_leases, self.store)
        return AdoptionLoop(self.journal, batches=batches, rate=self._rate_crashed, settled=settled)

    def _courier(self) -> Courier:
        poster = Poster(self.desk.channels.guard, monotonic=self.clock.monotonic)
        return Courier(
            self.store,
            self.desk.outbox,
            opener=ChannelOpener(self.desk.channels, poster=poster),
            clock=CourierClock(self._now, self.clock.monotonic),
            name=self.holder,
            done=lambda: self.runner.wake(DELIVERY),
        )

    def _watcher(self) -> AlertWatcher:
        return AlertWatcher(
            self.store,
            EventBook(
                self.desk.outbox,
                new_id=self.desk.new_id,
                dashboard_url=self.desk.dashboard_url,
            ),
            zone=ZoneInfo(self.settings.accounting.reporting_timezone),
            now=self._now,
            fence=self.leadership.require,
            woken=lambda: self.runner.wake(DELIVERY),
        )

    def _now(self) -> datetime:
        return from_micros(self.clock.micros())
