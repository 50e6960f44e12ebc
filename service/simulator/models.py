"""The models the simulated upstream offers. Pure.

The names are real ones, so that price books know them; `snapshot` is the dated name an answer reports, as
OpenAI answers `gpt-4o-2024-08-06` to a request for `gpt-4o`. Every other model name is unknown (404), except
the magic names of `faults`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """One model: what it is called and how its usage behaves."""

    id: str
    snapshot: str
    owner: str
    created: int  # Unix seconds
    reasons: bool = False  # spends hidden reasoning tokens before its answer
    writes_cache: bool = False  # reports `cache_write_tokens`


def _card(name: str, snapshot: str, **facts: Any) -> ModelCard:
    return ModelCard(id=name, snapshot=snapshot, **facts)


UNPRICED = "acme-contract-reader-7b"
"""A model that no price book knows: what unpriced traffic looks like."""

_CARDS = (
    _card("gpt-4o", "gpt-4o-2024-08-06", owner="system", created=1715367049),
    _card("gpt-4o-mini", "gpt-4o-mini-2024-07-18", owner="system", created=1721172741),
    _card("gpt-4o-audio-preview", "gpt-4o-audio-preview", owner="system", created=1727460443),
    _card("gpt-4.1", "gpt-4.1-2025-04-14", owner="system", created=1744316542),
    _card("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", owner="system", created=1744318173),
    _card("gpt-4.1-nano", "gpt-4.1-nano-2025-04-14", owner="system", created=1744321707),
    _card("gpt-5", "gpt-5-2025-08-07", owner="system", created=1754425777, reasons=True),
    _card("gpt-5-mini", "gpt-5-mini-2025-08-07", owner="system", created=1754425928, reasons=True),
    _card("gpt-5-nano", "gpt-5-nano-2025-08-07", owner="system", created=1754426384, reasons=True),
    _card("gpt-5.1", "gpt-5.1-2025-11-13", owner="system", created=1762800673, reasons=True),
    _card("gpt-5.6-sol", "gpt-5.6-sol", owner="system", created=1782000000, reasons=True, writes_cache=True),
    _card("o3", "o3-2025-04-16", owner="system", created=1744225308, reasons=True),
    _card("o4-mini", "o4-mini-2025-04-16", owner="system", created=1744225351, reasons=True),
    _card("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", owner="anthropic", created=1759104000),
    _card("claude-haiku-4-5", "claude-haiku-4-5-20251001", owner="anthropic", created=1760486400),
    _card("gemini-2.5-pro", "gemini-2.5-pro", owner="google", created=1750118400, reasons=True),
    _card("gemini-2.5-flash", "gemini-2.5-flash", owner="google", created=1750118400),
    _card("deepseek-chat", "deepseek-chat", owner="deepseek", created=1735171200),
    _card(UNPRICED, UNPRICED, owner="acme", created=1748736000),
    _card("mistral-large-latest", "mistral-large-latest", owner="mistralai", created=1732060800),
)

CATALOGUE: Mapping[str, ModelCard] = {card.id: card for card in _CARDS}

_BY_SNAPSHOT: Mapping[str, ModelCard] = {card.snapshot: card for card in _CARDS}


def find_model(name: str) -> ModelCard | None:
    """The card of *name*, which may also be a dated snapshot."""
    return CATALOGUE.get(name) or _BY_SNAPSHOT.get(name)
