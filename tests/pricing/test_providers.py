import re

import pytest
from genai_prices.data import providers
from genai_prices.types import ClauseContains, ClauseEquals, ClauseOr, ClauseRegex, ClauseStartsWith

from service.pricing.providers import ALIASES, RESOLD, canonical_provider, maker_of

KNOWN = {provider.id: provider for provider in providers}


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        (None, None), ("", None), ("auto", None), ("AUTO", None), ("*", None), ("any", None),
        ("openai", "openai"), ("OpenAI", "openai"), (" azure ", "azure"), ("xai", "x-ai"), ("x-ai", "x-ai"),
        ("x_ai", "x-ai"), ("anthropic", "anthropic"), ("gemini", "google"), ("vertex", "google"),
        ("together-ai", "together"), ("fireworks-ai", "fireworks"), ("mistralai", "mistral"), ("groq", "groq"),
        ("openrouter", "openrouter"), ("deepseek", "deepseek"), ("my-own-vllm", "my-own-vllm"),
    ],
)  # fmt: skip
def test_a_provider_has_one_name_in_the_book(name: str | None, canonical: str | None) -> None:
    assert canonical_provider(name) == canonical


def test_every_alias_stands_for_a_provider_of_the_book_and_hides_none() -> None:
    assert set(ALIASES.values()) <= KNOWN.keys()
    assert not ALIASES.keys() & KNOWN.keys()


def test_resellers_are_those_of_the_price_data() -> None:
    assert {
        one: tuple(p.fallback_model_providers) for one, p in KNOWN.items() if p.fallback_model_providers
    } == RESOLD


def _examples(clause: object) -> list[str]:
    match clause:
        case ClauseOr():
            return [text for part in clause.or_ for text in _examples(part)]
        case ClauseEquals():
            return [clause.equals.lower()]
        case ClauseStartsWith():
            return [clause.starts_with.lower() + "x"]
        case ClauseContains():
            return ["x-" + clause.contains.lower() + "-y"]
        case ClauseRegex():
            return []
        case _:
            raise AssertionError(clause)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        (provider.id, model)
        for provider in providers
        for model in _examples(provider.model_match or ClauseOr([]))
        if provider.id not in ("cerebras", "elevenlabs", "typesafe")  # hosts and makers of no chat model
    ],
)
def test_makers_are_those_of_the_price_data(provider: str, model: str) -> None:
    assert maker_of(model) == provider


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("o3-mini", "openai"), ("ft:gpt-4o-2024-08-06:org::id", "openai"), ("text-embedding-3-small", "openai"),
        ("mistral-large-latest", "mistral"), ("labs-devstral-small", "mistral"), ("codestral-2501", "mistral"),
        ("sonar-pro", "perplexity"), ("mistralai/mistral-large", None), ("llama-3.3-70b-versatile", None),
    ],
)  # fmt: skip
def test_a_maker_is_known_by_the_models_name(model: str, provider: str | None) -> None:
    assert maker_of(model) == provider


def test_the_makers_pattern_for_mistral_is_that_of_the_price_data() -> None:
    clause = KNOWN["mistral"].model_match
    assert isinstance(clause, ClauseRegex)
    for model in KNOWN["mistral"].models:
        assert (maker_of(model.id) == "mistral") == bool(re.search(clause.regex, model.id))
