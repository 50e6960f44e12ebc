"""`GET /v1/models`: what the upstreams offer, within their configured patterns and the key's allow-list.

Each upstream's own list is asked for at most once a minute. Where it does not answer, the models that its
configuration names without a wildcard stand in for it.
"""

import asyncio
import fnmatch
from collections.abc import Callable
from typing import Any

import msgspec

from service.errors import TollkeeperError
from service.keys.snapshot import KeyGrant
from service.upstream.client import UpstreamClient, UpstreamRequest
from service.upstream.provider import Provider

FRESH_S = 60.0
LARGEST_LIST = 8 * 1024 * 1024
WILDCARDS = frozenset("*?[")
OK = 200

Model = dict[str, Any]


class _Listing(msgspec.Struct):
    data: list[Model]


class _Cached(msgspec.Struct):
    until: float
    models: list[Model]


class ModelList:
    """The models of all upstreams, cached."""

    def __init__(
        self, providers: tuple[Provider, ...], client: UpstreamClient, *, monotonic: Callable[[], float]
    ) -> None:
        self._providers = providers
        self._client = client
        self._monotonic = monotonic
        self._cache: dict[str, _Cached] = {}
        self._lock = asyncio.Lock()

    async def allowed(self, grant: KeyGrant) -> list[Model]:
        """Every model that *grant* may use, by id; the upstream asked first wins a name."""
        async with self._lock:
            lists = await asyncio.gather(*(self._of(provider) for provider in self._providers))
        found: dict[str, Model] = {}
        for models in lists:
            for model in models:
                if grant.allows(model["id"]):
                    found.setdefault(model["id"], model)
        return [found[name] for name in sorted(found)]

    async def one(self, grant: KeyGrant, name: str) -> Model | None:
        """The model *name*, if the key may use it and an upstream serves it."""
        if not grant.allows(name):
            return None
        for model in await self.allowed(grant):
            if model["id"] == name:
                return model
        for provider in self._providers:
            if _serves(provider, name):
                return _described(name, provider)
        return None

    async def _of(self, provider: Provider) -> list[Model]:
        cached = self._cache.get(provider.name)
        now = self._monotonic()
        if cached is None or cached.until <= now:
            models = await self._ask(provider)
            if models is None:
                models = cached.models if cached is not None else _named(provider)
            cached = _Cached(now + FRESH_S, models)
            self._cache[provider.name] = cached
        return cached.models

    async def _ask(self, provider: Provider) -> list[Model] | None:
        headers = [(b"accept", b"application/json"), (b"accept-encoding", b"identity")]
        if provider.api_key is not None:
            headers.append((b"authorization", b"Bearer " + provider.api_key.encode()))
        timeouts = msgspec.structs.replace(provider.timeouts, first_byte_s=10.0, idle_s=10.0, total_s=20.0)
        request = UpstreamRequest("GET", f"{provider.base_url}/models", headers, b"")
        call = self._client.call(request, timeouts=timeouts)
        try:
            head = await call.head()
            body = bytearray()
            async for chunk in call.chunks():
                body += chunk
                if len(body) > LARGEST_LIST:
                    return None
            listing = msgspec.json.decode(bytes(body), type=_Listing) if head.status == OK else None
        except (TollkeeperError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        finally:
            await call.release()
        if listing is None:
            return None
        return [
            model
            for model in listing.data
            if isinstance(model.get("id"), str) and _serves(provider, model["id"])
        ]


def _serves(provider: Provider, name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in provider.models)


def _named(provider: Provider) -> list[Model]:
    return [_described(name, provider) for name in provider.models if not WILDCARDS & set(name)]


def _described(name: str, provider: Provider) -> Model:
    return {"id": name, "object": "model", "created": 0, "owned_by": provider.name}
