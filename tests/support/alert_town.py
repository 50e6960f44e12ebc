"""A small town of keys, budgets and alerts on a real store, with a clock that tests turn by hand."""

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert, select

from service.alerts.channel_values import NewChannel, prepared
from service.alerts.channels.addresses import Resolve, system_resolve
from service.alerts.channels.opening import ChannelOpener
from service.alerts.channels.posting import Poster
from service.alerts.courier import Courier, CourierClock
from service.alerts.desk import AlertDesk, AlertSurroundings
from service.alerts.event_log import (
    AlertEvent,
    Delivery,
    DeliveryFilter,
    EventFilter,
    list_deliveries,
    list_events,
)
from service.alerts.events import EventBook
from service.alerts.rules import Rule
from service.alerts.values import NewRule
from service.alerts.watcher import AlertWatcher
from service.audit.trail import AuditTrail
from service.budgets.charges import NO_LEASE, Charge
from service.budgets.policy import Budget
from service.budgets.registry import BudgetRegistry
from service.budgets.values import BudgetChanges, GivenScope, NewBudget
from service.keys.secrets import Peppers
from service.ledger.record import RequestRecord, uuid7
from service.ledger.writer import Writer
from service.settings import AlertSettings
from service.store.alert_tables import alert_delivery
from service.store.engine import Store
from service.store.tables import virtual_key
from service.store.types import to_micros
from tests.support.audit import TESTER
from tests.support.clock import HandClock

ROOT = b"root-secret-of-the-tests,-32-bytes-or-more"
LOOPBACK = ("127.0.0.0/8", "::1/128")
NANOS = 10**9


class Town:
    """Everything of alerts, put together as the keeper does it."""

    def __init__(
        self,
        store: Store,
        *,
        clock: HandClock | None = None,
        seed: int = 1,
        allowed: Sequence[str] = LOOPBACK,
        resolve: Resolve | None = None,
        zone: str = "UTC",
        dashboard_url: str = "",
    ) -> None:
        self.store = store
        self.clock = clock or HandClock()
        self.random = random.Random(seed)
        self.trail = AuditTrail(b"the audit key of the tests, 32 b", now=self.clock.now)
        self.zone = ZoneInfo(zone)
        self.desk = AlertDesk.of(
            ROOT,
            AlertSettings(allowed_networks=tuple(allowed), dashboard_url=dashboard_url),
            trail=self.trail,
            surroundings=AlertSurroundings(
                self.clock.now, self.random.randbytes, self.random.random, resolve or system_resolve
            ),
        )
        self.events = EventBook(self.desk.outbox, new_id=self.desk.new_id, dashboard_url=dashboard_url)
        self.budgets = BudgetRegistry(
            now=self.clock.now, random_bytes=self.random.randbytes, trail=self.trail
        )
        self.peppers = Peppers.of(ROOT)

    def watcher(self, *, fence: Callable[[Connection], None] = lambda _tx: None) -> AlertWatcher:
        """A new evaluator, as after a restart."""
        return AlertWatcher(self.store, self.events, zone=self.zone, now=self.clock.now, fence=fence)

    def courier(self, *, name: str = "courier", **poster: Any) -> Courier:
        """Something that delivers."""
        post = Poster(self.desk.channels.guard, monotonic=self.clock.monotonic, **poster)
        return Courier(
            self.store,
            self.desk.outbox,
            opener=ChannelOpener(self.desk.channels, poster=post),
            clock=CourierClock(self.clock.now, self.clock.monotonic),
            name=name,
        )

    def rule(self, metric: str = "budget_used", **fields: Any) -> Rule:
        """A new rule."""
        with self.store.write() as tx:
            return self.desk.rules.create(
                tx, NewRule(name=fields.pop("name", metric), metric=metric, **fields), by=TESTER
            )

    def channel(self, name: str = "ops", **fields: Any) -> tuple[str, str | None]:
        """A new channel: its id, and a webhook's secret."""
        channels = self.desk.channels
        made = prepared(
            NewChannel(name=name, **fields), guard=channels.guard, random_bytes=channels.random_bytes
        )
        with self.store.write() as tx:
            return channels.create(tx, made, by=TESTER).id, made.signing_secret

    def budget(self, limit_usd: str = "10.00", **fields: Any) -> Budget:
        """A new soft budget, of everything unless *fields* say otherwise."""
        given: dict[str, Any] = {
            "scope": GivenScope("global"),
            "window": "month",
            "mode": "soft",
            **fields,
        }
        with self.store.write() as tx:
            return self.budgets.create(tx, NewBudget(limit_usd=limit_usd, **given), by=TESTER).budget

    def change_budget(self, budget: Budget, **changes: Any) -> None:
        """Change a budget."""
        with self.store.write() as tx:
            self.budgets.update(tx, budget.id, changes=BudgetChanges(**changes), by=TESTER)

    def key(self, name: str, **fields: Any) -> str:
        """A virtual key; nobody uses it."""
        now = self.clock.now()
        key_id = f"key_{name}"
        values = {"id": key_id, "name": name, "project": "default", "created_at": now, "updated_at": now}
        with self.store.write() as tx:
            tx.execute(insert(virtual_key).values(**{**values, **fields}))
        return key_id

    def spend(self, usd: float = 0.0, *, charged: Sequence[tuple[Budget, str]] = (), **fields: Any) -> None:
        """One request that cost *usd*, as the recorder stores it."""
        self.record(
            cost_nanos=round(usd * NANOS),
            cost_status="priced",
            charges=tuple(Charge(budget.id, subject, NO_LEASE, 0) for budget, subject in charged) or None,
            **fields,
        )

    def record(self, *, at: datetime | None = None, count: int = 1, **fields: Any) -> None:
        """*count* requests like this one; they began a second ago unless *at* says when."""
        started = to_micros(at or self.clock.now() - timedelta(seconds=1))
        given = {
            "key_id": "key_a",
            "key_name": "a",
            "project": "default",
            "upstream": "openai",
            "provider": "openai",
            "requested_model": "gpt-4o",
            "upstream_model": "gpt-4o",
            "stream": False,
            "http_status": 200,
            "usage_source": "provider",
            "input_tokens": 10,
            "output_tokens": 5,
            "duration_ms": 100.0,
            "cost_nanos": 0,
            "cost_status": "free",
            **fields,
        }
        records = []
        for _ in range(count):
            identifier = uuid7(started, self.random.randbytes(8))
            records.append(
                RequestRecord(id=identifier, request_id=identifier, attempt=1, started_at=started, **given)
            )
        Writer(self.store, clock=lambda: started).write(records)

    def alerts(self, **wanted: Any) -> list[AlertEvent]:
        """What was raised, the oldest first."""
        with self.store.read() as tx:
            return list_events(tx, EventFilter(**wanted), limit=1000)[::-1]

    def deliveries(self, **wanted: Any) -> list[Delivery]:
        """What is in the outbox, the oldest first."""
        with self.store.read() as tx:
            return list_deliveries(tx, DeliveryFilter(**wanted), limit=1000)[::-1]

    def payloads(self) -> list[dict[str, Any]]:
        """The messages in the outbox, the oldest first."""
        with self.store.read() as tx:
            return list(tx.scalars(select(alert_delivery.c.payload).order_by(alert_delivery.c.id)))

    def in_short(self) -> list[tuple[str, str, str]]:
        """Claims as severity, threshold and state, in the order in which they were raised."""
        return [(one.severity, f"{one.threshold:g}", one.state) for one in self.alerts()]

    def pass_time(self, step: timedelta) -> None:
        """Let time pass."""
        self.clock.advance(step)

    def delivery_id(self) -> UUID:
        """The only delivery's id."""
        (one,) = self.deliveries()
        return one.id
