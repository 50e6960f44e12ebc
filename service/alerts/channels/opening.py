"""From a channel in the store to something that sends."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from service.alerts.channel_registry import ChannelRegistry
from service.alerts.channels.addresses import AddressGuard
from service.alerts.channels.apprise_channel import AppriseChannel
from service.alerts.channels.log import LogChannel
from service.alerts.channels.outcome import Channel
from service.alerts.channels.pagerduty import PagerDutyChannel
from service.alerts.channels.posting import Poster
from service.alerts.channels.webhook import WebhookChannel
from service.settings.secret import MASK


class OpenedChannel(msgspec.Struct, frozen=True):
    """Something that sends, and what of it no log may show."""

    channel: Channel
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"OpenedChannel({self.channel!r})"

    def masked(self, text: str) -> str:
        """*text* without the secrets."""
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        return text


class ChannelOpener:
    """Opens the channels of *registry*."""

    def __init__(self, registry: ChannelRegistry, *, poster: Poster) -> None:
        self._registry = registry
        self._poster = poster

    def open(self, tx: Connection, channel_id: str) -> OpenedChannel:
        """The channel; nothing is called yet.

        Raises:
            NotFoundError: it was deleted.
            ConfigurationError: it cannot be decrypted.
        """
        record, config = self._registry.config(tx, channel_id)
        named = (config.get("url"), config.get("routing_key"), *config.get("secrets", ()))
        secrets = tuple(text for text in named if text)
        channel = make_channel(record.kind, config, guard=self._registry.guard, poster=self._poster)
        return OpenedChannel(channel, secrets)


def make_channel(kind: str, config: Mapping[str, Any], *, guard: AddressGuard, poster: Poster) -> Channel:
    """A channel of this kind."""
    match kind:
        case "apprise":
            return AppriseChannel(config["url"], guard=guard)
        case "webhook":
            return WebhookChannel(config["url"], secrets=config["secrets"], poster=poster)
        case "pagerduty":
            return PagerDutyChannel(config["routing_key"], url=config["url"], poster=poster)
        case _:
            return LogChannel()
