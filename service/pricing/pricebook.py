"""Which price card applies to a request. Pure.

Order: key > project > upstream > global > imported. Within a scope: the provider itself before those whose
models it resells; then the closest match of the model name, exact > alias > prefix > pattern, the longest
first; then the latest `effective_from`, then the card that was added last. Cards that are not in force at
the instant asked for are passed over. A provider that no card names has no imported price: the book never
charges one provider's price for another's service. Only `auto` (None) looks at all of them, the maker first.
A card without any rate (billed by the hour, or not listed) ends the search: no price is known.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from itertools import chain

import msgspec

from service.pricing.card import NO_RATES, PriceCard
from service.pricing.providers import RESOLD, canonical_provider, maker_of

__all__ = ["PriceBook", "PriceCard"]

CACHE_SIZE = 4096
MAX_MODEL_NAME = 256

_EXACT, _ALIAS, _PREFIX, _PATTERN = range(4)
_COMPACT_DATE = re.compile(r"(-)(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


class _Found(msgspec.Struct, frozen=True):
    """A card whose match rules meet a name, and how closely; *serial* is its place in the book."""

    closeness: int
    length: int
    serial: int
    card: PriceCard

    def order(self) -> tuple[int, int, float, int]:
        since = self.card.effective_from
        newest = float("inf") if since is None else -since.timestamp()
        return self.closeness, -self.length, newest, -self.serial


class _Shelf:
    """The cards of one scope and one provider, by the way they match."""

    def __init__(self) -> None:
        self._exact: dict[str, list[tuple[int, PriceCard]]] = {}
        self._loose: list[tuple[int, PriceCard]] = []

    def add(self, card: PriceCard, *, serial: int) -> None:
        for name in card.match.exact:
            self._exact.setdefault(name, []).append((serial, card))
        if card.match.prefixes or card.match.contains or card.match.patterns:
            self._loose.append((serial, card))

    def find(self, name: str) -> Iterator[_Found]:
        for serial, card in self._exact.get(name, ()):
            closeness = _EXACT if card.model.lower() == name else _ALIAS
            yield _Found(closeness, len(name), serial, card)
        for serial, card in self._loose:
            for prefix in card.match.prefixes:
                if name.startswith(prefix):
                    yield _Found(_PREFIX, len(prefix), serial, card)
            for part in card.match.contains:
                if part in name:
                    yield _Found(_PATTERN, len(part), serial, card)
            for pattern in card.match.patterns:
                if re.search(pattern, name):
                    yield _Found(_PATTERN, len(pattern), serial, card)


class PriceBook:
    """An immutable set of price cards. Threads may share it; a change of prices is a new book."""

    def __init__(self, cards: Iterable[PriceCard] = ()) -> None:
        self.cards = tuple(cards)
        self._shelves: dict[tuple[str, str | None], dict[str | None, _Shelf]] = {}
        for serial, card in enumerate(self.cards):
            shelves = self._shelves.setdefault((card.scope, card.scope_id), {})
            shelves.setdefault(canonical_provider(card.provider), _Shelf()).add(card, serial=serial)
        self._imported = self._shelves.get(("imported", None), {})
        self._cache: dict[tuple[str | None, ...], tuple[PriceCard, ...]] = {}

    def resolve(
        self,
        *,
        provider: str | None,
        model: str,
        at: datetime,
        key_id: str | None = None,
        project: str | None = None,
        upstream: str | None = None,
    ) -> PriceCard | None:
        """The card for *model* at *at*, or None: no price is known."""
        if len(model) > MAX_MODEL_NAME:
            return None
        question = (
            provider,
            model,
            key_id if ("key", key_id) in self._shelves else None,
            project if ("project", project) in self._shelves else None,
            upstream if ("upstream", upstream) in self._shelves else None,
        )
        candidates = self._cache.get(question)
        if candidates is None:
            candidates = tuple(self._candidates(question))
            if len(self._cache) >= CACHE_SIZE:
                self._cache.clear()
            self._cache[question] = candidates
        for card in candidates:
            if card.effective(at):
                return None if card.rates == NO_RATES else card
        return None

    def _candidates(
        self, question: tuple[str | None, str, str | None, str | None, str | None]
    ) -> Iterator[PriceCard]:
        """Every card that matches, best first, whatever its dates."""
        provider, model, key_id, project, upstream = question
        canonical, name = canonical_provider(provider), model.strip().lower()
        for place in (("key", key_id), ("project", project), ("upstream", upstream), ("global", None)):
            shelves = self._shelves.get(place, {})
            near = {canonical or maker_of(name), None} & shelves.keys()
            yield from _ranked(chain.from_iterable(shelves[one].find(name) for one in near))
            if canonical is None:
                yield from _ranked(chain.from_iterable(shelf.find(name) for shelf in shelves.values()))
        for spelling in dict.fromkeys((name, _dashed_date(name))):
            if canonical is None:
                yield from self._imported_by_anyone(spelling)
            else:
                yield from self._imported_by(canonical, name=spelling)

    def _imported_by(self, provider: str, *, name: str) -> Iterator[PriceCard]:
        for one in (provider, *RESOLD.get(provider, ())):
            if one in self._imported:
                yield from _ranked(self._imported[one].find(name))

    def _imported_by_anyone(self, name: str) -> Iterator[PriceCard]:
        """The maker's price, then that of the provider named before a slash, then anybody's."""
        maker = maker_of(name)
        if maker is not None:
            yield from self._imported_by(maker, name=name)
        first, slash, rest = name.partition("/")
        if slash and (prefixed := canonical_provider(first)) in self._imported and prefixed is not None:
            yield from self._imported_by(prefixed, name=rest)
        everyone = (
            shelf.find(name) for _, shelf in sorted(self._imported.items(), key=lambda item: str(item[0]))
        )
        yield from _ranked(chain.from_iterable(everyone))


def _ranked(found: Iterable[_Found]) -> list[PriceCard]:
    return [one.card for one in sorted(found, key=_Found.order)]


def _dashed_date(name: str) -> str:
    """``gpt-5.2-20251211`` as ``gpt-5.2-2025-12-11``; other names, and impossible dates, stay as they are."""

    def dashed(match: re.Match[str]) -> str:
        year, month, day = int(match[2]), int(match[3]), int(match[4])
        try:
            return f"-{date(year, month, day).isoformat()}"
        except ValueError:
            return match[0]

    return _COMPACT_DATE.sub(dashed, name)
