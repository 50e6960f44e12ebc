"""Which upstreams serve a model, in the order in which they are asked. Pure: chance arrives as an argument.

A lower `priority` comes first; among equals the order is drawn with `weight` as the share of first places.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable

from service.errors import ModelNotFoundError
from service.upstream.provider import Provider

CACHE_SIZE = 4096
LONGEST_CACHED = 256
"""Characters of a model name that is kept: a client may send names as long as a request."""


class Router:
    """The configured upstreams; immutable but for its bounded cache of model names."""

    def __init__(self, providers: Iterable[Provider], *, chance: Callable[[], float]) -> None:
        self.providers = tuple(sorted(providers, key=lambda provider: provider.priority))
        self._patterns = [
            re.compile("|".join(fnmatch.translate(pattern) for pattern in provider.models))
            for provider in self.providers
        ]
        self._chance = chance
        self._cache: dict[str, tuple[Provider, ...]] = {}

    def candidates(self, model: str) -> tuple[Provider, ...]:
        """The upstreams to ask for *model*, first choice first; raises ModelNotFoundError for none."""
        serving = self._cache.get(model)
        if serving is None:
            serving = tuple(
                provider
                for provider, pattern in zip(self.providers, self._patterns, strict=True)
                if pattern.match(model)
            )
            self._keep(model, serving)
        if not serving:
            raise ModelNotFoundError(f"No upstream serves the model `{_shortened(model)}`.")
        return serving if len(serving) == 1 else self._drawn(serving)

    def _keep(self, model: str, serving: tuple[Provider, ...]) -> None:
        if len(model) > LONGEST_CACHED:
            return
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[model] = serving

    def _drawn(self, serving: tuple[Provider, ...]) -> tuple[Provider, ...]:
        """Weighted order within each priority (Efraimidis and Spirakis: sort by chance to the power 1/weight)."""
        return tuple(
            sorted(
                serving,
                key=lambda provider: (provider.priority, -(self._chance() ** (1 / provider.weight))),
            )
        )


def _shortened(model: str) -> str:
    return model if len(model) <= 100 else f"{model[:99]}…"  # noqa: PLR2004  (fits a line)
