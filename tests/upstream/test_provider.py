"""A configured upstream as the relay uses it."""

import pytest

from service.settings import Secret, UpstreamSettings
from service.upstream.call import Timeouts
from service.upstream.provider import provider_from


def settings(**more: object) -> UpstreamSettings:
    return UpstreamSettings(**{"name": "a", "base_url": "https://api.example/v1", **more})  # type: ignore[arg-type]  # a table of fields


def test_what_is_configured() -> None:
    provider = provider_from(
        settings(
            api_key=Secret("sk-1"),
            provider="mistral",
            models=("m-*",),
            priority=3,
            weight=2,
            on_disconnect="cancel",
            connect_timeout_s=1,
            first_byte_timeout_s=2,
            idle_timeout_s=3,
            total_timeout_s=4,
        )
    )
    assert (provider.name, provider.provider, provider.models) == ("a", "mistral", ("m-*",))
    assert (provider.priority, provider.weight, provider.drains) == (3, 2, False)
    assert provider.api_key == "sk-1"
    assert provider.timeouts == Timeouts(connect_s=1, first_byte_s=2, idle_s=3, total_s=4)
    assert (provider.dialect.name, provider.dialect.stream_usage) == ("mistral", "never")


def test_the_defaults() -> None:
    provider = provider_from(settings())
    assert (provider.api_key, provider.drains, provider.dialect.name) == (None, True, "openai")


@pytest.mark.parametrize(
    ("base_url", "chat_url"),
    [
        ("https://api.example/v1", "https://api.example/v1/chat/completions"),
        ("https://api.example/v1/", "https://api.example/v1/chat/completions"),
        ("https://api.example", "https://api.example/chat/completions"),
        ("http://[::1]:8000/openai//", "http://[::1]:8000/openai/chat/completions"),
    ],
)
def test_where_completions_are(base_url: str, chat_url: str) -> None:
    provider = provider_from(settings(base_url=base_url))
    assert provider.chat_url == chat_url
    assert provider.base_url == chat_url.removesuffix("/chat/completions")


def test_the_key_is_never_shown() -> None:
    provider = provider_from(settings(api_key=Secret("sk-secret")))
    for shown in (repr(provider), str(provider), f"{provider}", repr([provider])):
        assert "sk-secret" not in shown
