"""Everything that changes alerts, put together once for each process: keeper, relay, command line, dashboard."""

import threading
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from service.alerts.channel_registry import ChannelRegistry
from service.alerts.channels.addresses import AddressGuard, Resolve
from service.alerts.outbox import Message, Outbox
from service.alerts.payload import sample_payload
from service.alerts.registry import RuleRegistry
from service.alerts.vault import Vault
from service.audit.actor import Actor, Target
from service.audit.trail import AuditTrail
from service.ledger.record import uuid7
from service.settings.values import AlertSettings
from service.store.types import to_micros


class RisingIds:
    """UUIDv7s, each above the one before, also within a microsecond: their order is that of the events."""

    def __init__(self, now: Callable[[], datetime], random_bytes: Callable[[int], bytes]) -> None:
        self._now = now
        self._random_bytes = random_bytes
        self._lock = threading.Lock()
        self._last = 0

    def __call__(self) -> UUID:
        """The next one."""
        fresh = int.from_bytes(uuid7(to_micros(self._now()), self._random_bytes(8)))
        with self._lock:
            self._last = max(fresh, self._last + 1)
            return UUID(int=self._last)


class AlertSurroundings(msgspec.Struct, frozen=True):
    """Wall clock (UTC), randomness, chance from 0 to 1, and the name server (None: the system's)."""

    now: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]
    chance: Callable[[], float]
    resolve: Resolve | None = None


class AlertDesk(msgspec.Struct, frozen=True, kw_only=True):
    """The registries and the outbox."""

    rules: RuleRegistry
    channels: ChannelRegistry
    outbox: Outbox
    trail: AuditTrail
    new_id: Callable[[], UUID]
    now: Callable[[], datetime]
    dashboard_url: str

    @classmethod
    def of(
        cls, root: bytes, settings: AlertSettings, *, trail: AuditTrail, surroundings: AlertSurroundings
    ) -> "AlertDesk":
        """*root* is the installation's secret."""
        now, random_bytes = surroundings.now, surroundings.random_bytes
        guard = AddressGuard(settings.allowed_networks, resolve=surroundings.resolve)
        new_id = RisingIds(now, random_bytes)
        return cls(
            rules=RuleRegistry(now=now, random_bytes=random_bytes, trail=trail),
            channels=ChannelRegistry(
                Vault(root), guard=guard, now=now, random_bytes=random_bytes, trail=trail
            ),
            outbox=Outbox(new_id=new_id, chance=surroundings.chance),
            trail=trail,
            new_id=new_id,
            now=now,
            dashboard_url=settings.dashboard_url,
        )

    def put_test(self, tx: Connection, channel_id: str, *, by: Actor) -> UUID:
        """A test message for a channel into the outbox; returns its delivery's id."""
        channel = self.channels.get(tx, channel_id)
        now = self.now()
        payload = sample_payload(
            self.new_id(), channel=channel.name, now=now, dashboard_url=self.dashboard_url
        )
        message = Message(event_id=None, kind="test", number=1, payload=payload)
        (delivery,) = self.outbox.put(tx, message, channels=[channel.id], now=now)
        target = Target("alert_channel", channel.id, channel.name)
        self.trail.record(tx, by=by, action="alert_channel.test", target=target, before=None, after={})
        return delivery
