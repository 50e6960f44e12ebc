"""How upstreams differ in reporting usage, as data.

A dialect answers only what the bytes cannot: what `completion_tokens` covers, whether thinking is hidden
in the total, whose counts a streamed usage gives, in which unit a billed cost is. Where counts stand
is the same table for all (`normalise`). Sources stand beside the recordings in `tests/wire/`.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

ReasoningPlace = Literal["included", "excluded", "separate"]
CostField = Literal["none", "cost_usd", "total_cost_usd", "usd_ticks"]
StreamUsage = Literal["inject", "never", "always"]


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream's way of reporting usage."""

    name: str
    reasoning: ReasoningPlace = "included"
    """Where reasoning stands: in `completion_tokens`; only in the total; in neither."""
    hidden_output: bool = False
    """What the total holds beyond prompt and completion is thinking, billed as output."""
    per_choice_usage: bool = False
    """Usage on a chunk that carries choices counts those choices only, when n > 1."""
    cost: CostField = "none"
    cache_read_field: str | None = None
    """A name of this upstream's own for the cached part of the prompt, at the top of the usage object."""
    stream_usage: StreamUsage = "inject"
    """To get usage in a stream: ask with `stream_options`; never ask (refused); it comes unasked."""
    marks: frozenset[str] = frozenset()
    """Names in a usage object that only this dialect uses."""
    decides: bool = True
    """The dialect is known; otherwise sums in the usage object decide where reasoning stands."""


AUTO = Dialect(name="auto", decides=False)
"""For upstreams nobody described: each usage object is recognised by its shape."""

_OPENAI_ALIKE = (
    "openai azure groq anthropic llamacpp moonshot qwen zhipu together fireworks cerebras huggingface new-api"
)
_ALL: tuple[Dialect, ...] = (
    *(Dialect(name=name) for name in _OPENAI_ALIKE.split()),
    Dialect(name="deepseek", marks=frozenset({"prompt_cache_hit_tokens"})),
    Dialect(name="mistral", stream_usage="never", cache_read_field="num_cached_tokens"),
    Dialect(
        name="xai",
        reasoning="excluded",
        cost="usd_ticks",
        marks=frozenset({"cost_in_usd_ticks", "num_sources_used"}),
    ),
    Dialect(name="gemini", reasoning="excluded", hidden_output=True),
    Dialect(
        name="openrouter",
        cost="cost_usd",
        stream_usage="always",
        marks=frozenset({"cost_details", "is_byok"}),
    ),
    Dialect(
        name="perplexity",
        reasoning="separate",
        cost="total_cost_usd",
        stream_usage="always",
        marks=frozenset({"citation_tokens", "search_context_size"}),
    ),
    Dialect(name="vllm", per_choice_usage=True),
    Dialect(name="sglang", per_choice_usage=True),
)
DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in _ALL}

_ALIASES: Mapping[str, str] = {
    "alibaba": "qwen",
    "anthropic-compat": "anthropic",
    "azure-openai": "azure",
    "azure.ai.openai": "azure",
    "dashscope": "qwen",
    "deep-seek": "deepseek",
    "gcp.gemini": "gemini",
    "gcp.vertex_ai": "gemini",
    "google": "gemini",
    "google-gemini": "gemini",
    "grok": "xai",
    "hf": "huggingface",
    "kimi": "moonshot",
    "llama.cpp": "llamacpp",
    "llama-cpp": "llamacpp",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "moonshot_ai": "moonshot",
    "moonshotai": "moonshot",
    "newapi": "new-api",
    "one-api": "new-api",
    "vertex_ai": "gemini",
    "x-ai": "xai",
    "x_ai": "xai",
    "x.ai": "xai",
    "z-ai": "zhipu",
    "zai": "zhipu",
    "zhipuai": "zhipu",
}
_MARKED = tuple((dialect.marks, dialect) for dialect in _ALL if dialect.marks)


def dialect_for(provider: str | None) -> Dialect:
    """The dialect of a configured provider name; `AUTO` for none or an unknown one."""
    if provider is None:
        return AUTO
    name = provider.strip().lower()
    if name.startswith("huggingface_"):  # price books name the router's back ends apart
        name = "huggingface"
    return DIALECTS.get(_ALIASES.get(name, name), AUTO)


def recognise(usage: Mapping[str, Any]) -> Dialect:
    """The dialect a usage object shows by names only it uses; `AUTO` where there are none."""
    for marks, dialect in _MARKED:
        if not marks.isdisjoint(usage):
            return dialect
    return AUTO
