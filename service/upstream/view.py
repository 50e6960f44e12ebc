"""An upstream as it is shown: everything but its key. Pure."""

from typing import Literal, Self
from urllib.parse import urlsplit

import msgspec

from service.settings import UpstreamSettings


class TimeoutsView(msgspec.Struct, frozen=True, kw_only=True):
    """How long it may take, in seconds."""

    connect_s: float
    first_byte_s: float
    idle_s: float
    total_s: float


class UpstreamView(msgspec.Struct, frozen=True, kw_only=True):
    """A configured upstream. *host* is that of its address; *has_key* says whether it is asked with a key."""

    name: str
    host: str
    provider: str
    models: tuple[str, ...]
    model_map: dict[str, str]
    priority: int
    weight: int
    has_key: bool
    on_disconnect: Literal["drain", "cancel"]
    cost: Literal["computed", "provider"]
    timeouts: TimeoutsView

    @classmethod
    def of(cls, settings: UpstreamSettings) -> Self:
        """The upstream that *settings* describe."""
        return cls(
            name=settings.name,
            host=urlsplit(settings.base_url).netloc.rpartition("@")[2],
            provider=settings.provider,
            models=settings.models,
            model_map=settings.model_map,
            priority=settings.priority,
            weight=settings.weight,
            has_key=settings.api_key is not None,
            on_disconnect=settings.on_disconnect,
            cost=settings.cost,
            timeouts=TimeoutsView(
                connect_s=settings.connect_timeout_s,
                first_byte_s=settings.first_byte_timeout_s,
                idle_s=settings.idle_timeout_s,
                total_s=settings.total_timeout_s,
            ),
        )
