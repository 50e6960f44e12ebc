"""Which dialect an upstream speaks, by its configured name and by the shape of its usage."""

import pytest

from service.usage.dialects import AUTO, DIALECTS, dialect_for, recognise

UPSTREAMS = (
    "openai azure deepseek groq mistral xai gemini anthropic openrouter vllm llamacpp moonshot qwen zhipu perplexity "
    "together fireworks cerebras huggingface new-api"
)


@pytest.mark.parametrize("name", UPSTREAMS.split())
def test_every_upstream_has_a_dialect_of_its_name(name: str) -> None:
    assert dialect_for(name).name == name
    assert dialect_for(f" {name.upper()} ").name == name
    assert dialect_for(name).decides


@pytest.mark.parametrize(
    ("provider", "dialect"),
    [
        ("google", "gemini"),
        ("x-ai", "xai"),
        ("moonshotai", "moonshot"),
        ("zai", "zhipu"),
        ("zhipuai", "zhipu"),
        ("huggingface_fireworks-ai", "huggingface"),
        ("dashscope", "qwen"),
        ("llama.cpp", "llamacpp"),
        ("one-api", "new-api"),
        ("azure.ai.openai", "azure"),
    ],
)
def test_other_names_of_the_same_upstream(provider: str, dialect: str) -> None:
    assert dialect_for(provider) is DIALECTS[dialect]


@pytest.mark.parametrize("provider", [None, "", "auto", "my-own-server"])
def test_what_nobody_described_is_recognised_by_shape(provider: str | None) -> None:
    assert dialect_for(provider) is AUTO


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("cost_in_usd_ticks", "xai"),
        ("is_byok", "openrouter"),
        ("cost_details", "openrouter"),
        ("citation_tokens", "perplexity"),
        ("search_context_size", "perplexity"),
        ("prompt_cache_hit_tokens", "deepseek"),
        ("prompt_tokens", "auto"),
        ("cost", "auto"),
    ],
)
def test_a_name_only_one_upstream_uses_gives_it_away(name: str, dialect: str) -> None:
    assert recognise({name: 1, "prompt_tokens": 1}).name == dialect


def test_upstreams_that_refuse_the_stream_option_are_never_asked() -> None:
    assert dialect_for("mistral").stream_usage == "never"
    assert {d.name for d in DIALECTS.values() if d.stream_usage == "always"} == {"openrouter", "perplexity"}
    assert AUTO.stream_usage == "inject"
