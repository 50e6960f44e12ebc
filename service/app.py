"""The composition root: the only place where a relay process is put together.

Order at the start: store, secret, prices, snapshot, journal, recorder, recovery of dead processes' journals, routes.
Order at the end, after the last request: refusals, recorder, journal, poller, store.
"""

import contextlib
import os
import random
import time
from datetime import UTC, datetime
from functools import partial

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from service.admin.context import AdminContext
from service.alerts.desk import AlertDesk, AlertSurroundings
from service.budgets import leases
from service.budgets.gate import BudgetGate
from service.budgets.limiter import RateLimiter
from service.budgets.registry import BudgetRegistry, load_budgets
from service.budgets.surroundings import Surroundings
from service.content.capturer import Capturer
from service.content.registry import ContentRegistry
from service.errors import StoreError
from service.http_app import create_http_app
from service.keys.admin_registry import AdminKeyRegistry
from service.keys.projects import ProjectRegistry
from service.keys.registry import KeyRegistry
from service.keys.secrets import Peppers, audit_trail, content_vault, installation_secret
from service.keys.snapshot import AdminGrant, load_keys
from service.ledger.adoption import AdoptionLoop
from service.ledger.batches import BatchWriter
from service.ledger.costs import rate_usage
from service.ledger.journal import Journal
from service.ledger.record import Opening
from service.ledger.recorder import Recorder
from service.ledger.refusals import RefusalCoalescer
from service.ledger.writer import Writer
from service.logs import get_logger
from service.pricing.catalog import load_book
from service.pricing.rating import Rating
from service.pricing.seeding import seed_prices
from service.pricing.upkeep import PriceUpkeep
from service.relay.context import Clock, RelayContext, RelaySnapshot
from service.relay.holds import Holding
from service.relay.idempotency import IdempotencyKeys
from service.relay.metrics_route import metrics_route, relay_figures
from service.settings import Settings
from service.settings.proxies import TrustedProxies
from service.settings.redaction import BUILT_IN
from service.store.engine import Store
from service.store.revision import RevisionPoller
from service.store.schema import migrate_if_needed, require_head
from service.store.types import from_micros
from service.telemetry.budget_figures import BudgetFigures
from service.telemetry.pipeline import telemetry_for
from service.upstream.client import make_client
from service.upstream.provider import provider_from
from service.upstream.routing import Router
from service.usage.tokens import TokenUsage

JOURNAL_FOLDER = "journal"
STOP_TIMEOUT_S = 30.0


def system_clock() -> Clock:
    """The machine's clocks and chance."""
    return Clock(
        micros=lambda: time.time_ns() // 1_000,
        monotonic=time.perf_counter,
        random_bytes=os.urandom,
    )


def open_store(settings: Settings) -> Store:
    """The store at the schema of this code: SQLite is migrated, PostgreSQL must have been."""
    store = Store(settings.store.url)
    if store.is_sqlite:
        prepare_store(store)
    else:
        require_head(store)
    return store


def prepare_store(store: Store) -> tuple[str | None, str | None]:
    """Bring the store to head, with the prices of the installed price data; returns revisions before and after."""
    revisions = migrate_if_needed(store)
    seed_prices(store, now=datetime.now(UTC))  # noqa: TID251  (the composition root)
    return revisions


class RelayProcess:
    """One relay process, from its store to its routes."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or system_clock()
        self.store = open_store(settings)
        root = installation_secret(self.store, settings)
        self.peppers, self.trail = Peppers.of(root), audit_trail(root, now=self._now)
        around = AlertSurroundings(self._now, self.clock.random_bytes, random.random)
        self.alerts = AlertDesk.of(root, settings.alerts, trail=self.trail, surroundings=around)
        self.configuration = RevisionPoller(
            self.store,
            self._load_snapshot,
            clock=self.clock.monotonic,
            stale_after_s=settings.relay.auth_stale_ttl_s,
        )
        directory = settings.relay.data_dir / JOURNAL_FOLDER
        self.journal = Journal(
            directory,
            max_bytes=settings.relay.journal_max_bytes,
            alarm=alarm,
            clock_ns=lambda: self.clock.micros() * 1_000,
        )
        self.telemetry = telemetry_for(settings, micros=self.clock.micros, monotonic=self.clock.monotonic)
        observers = () if self.telemetry is None else (self.telemetry.observe,)
        batches = BatchWriter(Writer(self.store, clock=self.clock.micros, observers=observers), alarm=alarm)
        self.recorder = Recorder(batches, self.journal, alarm=alarm)
        self.refusals = RefusalCoalescer(self.journal, self.recorder, clock=self.clock.micros)
        vault = content_vault(root)
        self.content = ContentRegistry(vault, trail=self.trail, now=self._now)
        self.capturer = Capturer(self.store, vault, settings=settings.content, report=_warn)
        self.adoption = AdoptionLoop(
            directory, batches=batches, rate=self._rate_crashed, settled=partial(free_leases, self.store)
        )

    def start(self) -> None:
        """Start the threads: recorder, poller, adoption of what dead processes left."""
        self.recorder.start()
        self.capturer.start()
        self.configuration.start()
        self.adoption.start()

    def build(self) -> tuple[Litestar, RelayContext]:
        """The ASGI application; called on the event loop that will run it."""
        context = RelayContext(
            settings=self.settings.relay,
            accounting=self.settings.accounting,
            configuration=self.configuration,
            router=Router(map(provider_from, self.settings.upstreams), chance=random.random),
            client=make_client(),
            journal=self.journal,
            recorder=self.recorder,
            refusals=self.refusals,
            holding=self._holding(),
            idempotency=IdempotencyKeys(self.store, now=self._now, ended=self.recorder.ended),
            clock=self.clock,
            capturer=self.capturer,
            traced=self.telemetry is not None and self.telemetry.traced,
        )
        admin = AdminContext(
            store=self.store,
            trail=self.trail,
            prices=PriceUpkeep(self.trail, now=self._now),
            content=self.content,
            keys=KeyRegistry(
                self.peppers, trail=self.trail, now=self._now, random_bytes=self.clock.random_bytes
            ),
            admin_keys=AdminKeyRegistry(
                self.peppers, trail=self.trail, now=self._now, random_bytes=self.clock.random_bytes
            ),
            projects=ProjectRegistry(
                trail=self.trail,
                now=self._now,
                random_bytes=self.clock.random_bytes,
                redactions=(*BUILT_IN, *self.settings.content.patterns),
            ),
            budgets=BudgetRegistry(trail=self.trail, now=self._now, random_bytes=self.clock.random_bytes),
            alerts=self.alerts,
            authenticate=self._authenticate_admin,
            refresh=self.configuration.refresh_now,
            now=self._now,
            reporting_timezone=self.settings.accounting.reporting_timezone,
            upstreams=self.settings.upstreams,
            proxies=TrustedProxies(self.settings.relay.trusted_proxies),
        )
        return create_http_app(context, admin, metrics=self._metrics(context)), context

    def _metrics(self, context: RelayContext) -> HTTPRouteHandler | None:
        """The route of `/metrics`, and the threads behind it; None where the settings want none."""
        if self.telemetry is None:
            return None
        self.telemetry.watch(relay_figures(context))
        budgets = BudgetFigures(
            self.store,
            book=lambda: self.configuration.value.budgets,
            now=self._now,
            monotonic=self.clock.monotonic,
        )
        page = self.telemetry.page(journal=self.journal.directory, more=budgets.samples)
        self.telemetry.start()
        if page is None:
            return None
        return metrics_route(
            page, access=self.settings.telemetry.prometheus, authenticate=self._authenticate_admin
        )

    def _holding(self) -> Holding:
        """Budgets and rate limits, for the event loop that is running."""
        surroundings = Surroundings(
            now=self._now,
            monotonic=self.clock.monotonic,
            new_id=lambda: int.from_bytes(self.clock.random_bytes(8)) >> 1 or 1,
        )
        holder, settings = self.journal.owner, self.settings.budgets
        gate = BudgetGate(
            self.store,
            holder=holder,
            book=lambda: self.configuration.value.budgets,
            surroundings=surroundings,
            allow_unpriced=settings.unpriced == "allow",
        )
        limiter = RateLimiter(self.store, holder=holder, surroundings=surroundings)
        return Holding(gate, limiter, cap_output=settings.cap_output)

    def _authenticate_admin(self, bearer: str) -> AdminGrant | None:
        return self.configuration.value.keys.authenticate_admin(bearer)

    def _now(self) -> datetime:
        return from_micros(self.clock.micros())

    def close(self) -> None:
        """Write what is left; what the store does not take stays in the journal for the next start."""
        self.adoption.stop()
        self.refusals.close()
        if self.recorder.stop(timeout_s=STOP_TIMEOUT_S):
            with contextlib.suppress(StoreError):  # then they expire
                free_leases(self.store, self.journal.owner)
        else:
            alarm(
                "the store did not take every record in time; the rest is in the journal and follows at the next start"
            )
        self.journal.close()
        self.capturer.stop(timeout_s=STOP_TIMEOUT_S)
        if self.telemetry is not None:
            self.telemetry.stop()
        self.configuration.stop()
        self.store.close()

    def _load_snapshot(self, tx: Connection) -> RelaySnapshot:
        keys = load_keys(tx, peppers=self.peppers, configured_admin=self.settings.admin_key)
        return RelaySnapshot(keys, load_book(tx), load_budgets(tx))

    def _rate_crashed(self, opening: Opening, usage: TokenUsage) -> Rating:
        return rate_usage(
            opening, usage, book=self.configuration.value.prices, models=(opening.upstream_model,)
        )


def free_leases(store: Store, holder: str) -> None:
    """Everything that *holder* spent is in the store: what else its leases hold is free again."""
    with store.write() as tx:
        leases.adopt(tx, holder=holder)


def _warn(message: str) -> None:
    """Something that costs no request and no cent."""
    get_logger().warning("content_not_kept", message=message)


def alarm(message: str) -> None:
    """Something an operator must hear of."""
    get_logger().error("alarm", message=message)
