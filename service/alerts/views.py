"""Rules, channels and events as API, command line and dashboard show them. Pure.

The fields of a rule are those it is made of. Of a channel only its target is shown; a webhook's secret once.
"""

from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

import msgspec

from service.alerts.channel_registry import ChannelRecord
from service.alerts.event_log import AlertEvent, Attempt, Delivery
from service.alerts.rules import Rule
from service.alerts.values import as_given


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """A rule. No channels: every channel."""

    id: str
    name: str
    metric: str
    group_by: list[str]
    filter: dict[str, Any]
    window: str | None
    warning: float | None
    critical: float | None
    min_requests: int
    no_data: Literal["ok", "alert"]
    renotify: str | None
    channels: list[str]
    muted_until: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, rule: Rule) -> Self:
        """The rule as it would be given, with its id and dates."""
        given: dict[str, Any] = msgspec.structs.asdict(as_given(rule))
        return cls(
            **given,
            id=rule.id,
            muted_until=rule.muted_until,
            created_at=rule.created_at,
            updated_at=rule.updated_at,
        )


class ChannelView(msgspec.Struct, frozen=True, kw_only=True):
    """A channel without its secrets."""

    id: str
    name: str
    kind: str
    target: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, channel: ChannelRecord, **more: Any) -> Self:
        """The channel; *more* are fields of a subclass."""
        return cls(**msgspec.structs.asdict(channel), **more)


class NewChannelView(ChannelView, frozen=True, kw_only=True):
    """A channel with the secret its receiver checks signatures with, which nothing shows again."""

    secret: str | None


class EventView(AlertEvent, frozen=True, kw_only=True):
    """An alert with its deliveries."""

    deliveries: list[Delivery]


class DeliveryView(Delivery, frozen=True, kw_only=True):
    """A delivery with its attempts."""

    log: list[Attempt]


class TestView(msgspec.Struct, frozen=True):
    """A test message that was put into the outbox."""

    delivery_id: UUID


class Mute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long nobody is to be told, as `2h`, or until when."""

    duration: str | None = msgspec.field(default=None, name="for")
    until: datetime | None = None
