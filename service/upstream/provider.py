"""A configured upstream, as the relay uses it. Pure."""

import msgspec

from service.settings import UpstreamSettings
from service.upstream.call import Timeouts
from service.usage.dialects import Dialect, dialect_for


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests go, with whose credentials, and how its answers report usage."""

    name: str
    provider: str
    base_url: str
    chat_url: str
    api_key: str | None
    models: tuple[str, ...]
    model_map: dict[str, str]
    """Requested name → the name that this upstream knows."""
    priority: int
    weight: int
    drains: bool
    timeouts: Timeouts
    dialect: Dialect
    prefers_provider_cost: bool = False
    """A cost that its answers report counts, in place of the computed one."""

    def __repr__(self) -> str:
        return f"Provider({self.name!r}, {self.base_url!r})"


def provider_from(settings: UpstreamSettings) -> Provider:
    """The upstream that *settings* describe."""
    base_url = settings.base_url.rstrip("/")
    return Provider(
        name=settings.name,
        provider=settings.provider,
        base_url=base_url,
        chat_url=f"{base_url}/chat/completions",
        api_key=None if settings.api_key is None else settings.api_key.reveal(),
        models=settings.models,
        model_map=settings.model_map,
        priority=settings.priority,
        weight=settings.weight,
        drains=settings.on_disconnect == "drain",
        timeouts=Timeouts(
            connect_s=settings.connect_timeout_s,
            first_byte_s=settings.first_byte_timeout_s,
            idle_s=settings.idle_timeout_s,
            total_s=settings.total_timeout_s,
        ),
        dialect=dialect_for(settings.provider),
        prefers_provider_cost=settings.cost == "provider",
    )
