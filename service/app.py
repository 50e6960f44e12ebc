"""The composition root: the only place where a relay process is put together.

Order at the start: store, secret, prices, snapshot, journal, recorder, recovery of dead processes' journals, routes.
Order at the end, after the last request: refusals, recorder, journal, poller, store.
"""

import os
import random
import time
from datetime import UTC, datetime
from importlib.metadata import version

from litestar import Litestar
from sqlalchemy import Connection, select

from service.admin.context import AdminContext
from service.http_app import create_http_app
from service.keys.registry import KeyRegistry
from service.keys.secrets import Peppers, installation_secret
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
from service.pricing.catalog import import_genai_prices, load_book, store_cards
from service.pricing.rating import Rating
from service.relay.context import Clock, RelayContext, RelaySnapshot
from service.settings import Settings
from service.store.engine import Store
from service.store.revision import RevisionPoller
from service.store.schema import migrate_if_needed, require_head
from service.store.tables import price_card
from service.store.types import from_micros
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
    with store.read() as tx:
        imported = tx.scalar(
            select(price_card.c.id).where(price_card.c.source_version == version("genai-prices")).limit(1)
        )
    if imported is None:
        cards = import_genai_prices()
        with store.write() as tx:
            store_cards(tx, cards, now=datetime.now(UTC))  # noqa: TID251  (the composition root)
    return revisions


class RelayProcess:
    """One relay process, from its store to its routes."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or system_clock()
        self.store = open_store(settings)
        self.peppers = Peppers.of(installation_secret(self.store, settings))
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
        batches = BatchWriter(Writer(self.store, clock=self.clock.micros), alarm=alarm)
        self.recorder = Recorder(batches, self.journal, alarm=alarm)
        self.refusals = RefusalCoalescer(self.journal, self.recorder, clock=self.clock.micros)
        self.adoption = AdoptionLoop(directory, batches=batches, rate=self._rate_crashed)

    def start(self) -> None:
        """Start the threads: recorder, poller, adoption of what dead processes left."""
        self.recorder.start()
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
            clock=self.clock,
        )
        admin = AdminContext(
            store=self.store,
            keys=KeyRegistry(self.peppers, now=self._now, random_bytes=self.clock.random_bytes),
            authenticate=self._authenticate_admin,
            refresh=self.configuration.refresh_now,
            now=self._now,
            reporting_timezone=self.settings.accounting.reporting_timezone,
        )
        return create_http_app(context, admin), context

    def _authenticate_admin(self, bearer: str) -> AdminGrant | None:
        return self.configuration.value.keys.authenticate_admin(bearer)

    def _now(self) -> datetime:
        return from_micros(self.clock.micros())

    def close(self) -> None:
        """Write what is left; what the store does not take stays in the journal for the next start."""
        self.adoption.stop()
        self.refusals.close()
        if not self.recorder.stop(timeout_s=STOP_TIMEOUT_S):
            alarm(
                "the store did not take every record in time; the rest is in the journal and follows at the next start"
            )
        self.journal.close()
        self.configuration.stop()
        self.store.close()

    def _load_snapshot(self, tx: Connection) -> RelaySnapshot:
        keys = load_keys(tx, peppers=self.peppers, configured_admin=self.settings.admin_key)
        return RelaySnapshot(keys, load_book(tx))

    def _rate_crashed(self, opening: Opening, usage: TokenUsage) -> Rating:
        return rate_usage(
            opening, usage, book=self.configuration.value.prices, models=(opening.upstream_model,)
        )


def alarm(message: str) -> None:
    """Something an operator must hear of."""
    get_logger().error("alarm", message=message)
