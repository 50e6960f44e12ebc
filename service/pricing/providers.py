"""Provider names: what people write, what the price book calls it, who made which model. Pure.

The price book's names are those of genai-prices; a test holds these tables against its data.
"""

import re

ANY = ("", "auto", "any", "*")

ALIASES = {
    "amazon": "aws",
    "amazon-bedrock": "aws",
    "aws.bedrock": "aws",
    "azure-openai": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure_openai": "azure",
    "bedrock": "aws",
    "claude": "anthropic",
    "copilot": "github-copilot",
    "fireworks-ai": "fireworks",
    "fireworks_ai": "fireworks",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "gemini": "google",
    "google-ai": "google",
    "google-vertex": "google",
    "grok": "x-ai",
    "kimi": "moonshotai",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "moonshot": "moonshotai",
    "moonshot_ai": "moonshotai",
    "together-ai": "together",
    "together_ai": "together",
    "togetherai": "together",
    "vertex": "google",
    "vertex_ai": "google",
    "vertexai": "google",
    "voyage": "voyageai",
    "workers-ai": "cloudflare",
    "x_ai": "x-ai",
    "xai": "x-ai",
    "z-ai": "zai",
    "z.ai": "zai",
    "zhipu": "zhipuai",
}

# Providers that resell others' models at the makers' prices when they list none of their own.
RESOLD = {
    "azure": ("openai", "anthropic", "deepseek", "x-ai", "moonshotai"),
    "google": ("anthropic",),
}

MAKERS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), provider)
    for pattern, provider in (
        (r"claude", "anthropic"),
        (r"^@cf/", "cloudflare"),
        (r"^command-", "cohere"),
        (r"^composer-", "cursor"),
        (r"^databricks-|^system\.ai\.", "databricks"),
        (r"^deepseek", "deepseek"),
        (r"^accounts/fireworks/", "fireworks"),
        (r"gemini", "google"),
        (r"^muse-spark-|^muse-wonder-1\.0$", "meta"),
        (r"^minimax-m|^minimax-01$|^m2-her$", "minimax"),
        (
            r"^(?![^/]+/)(?:labs-)?(?:(?:mi|code|dev|magi|mini)stral|mixtral|pixtral|voxtral|open-(?:mistral|mixtral))",
            "mistral",
        ),
        (r"^kimi|^moonshot", "moonshotai"),
        (r"^gpt-|^chatgpt-|^ft:gpt-|^whisper-1$|^tts-1|^text-embedding-|^o[134]", "openai"),
        (r"^sonar", "perplexity"),
        (r"^voyage-", "voyageai"),
        (r"grok", "x-ai"),
        (r"^glm-", "zhipuai"),
    )
)


def canonical_provider(name: str | None) -> str | None:
    """The price book's name of a provider; None for "any" (`auto`). An unknown name stands for itself."""
    if name is None:
        return None
    lowered = name.strip().lower()
    if lowered in ANY:
        return None
    return ALIASES.get(lowered, lowered)


def maker_of(model: str) -> str | None:
    """The provider that makes *model* (in lower case), as far as its name tells."""
    for pattern, provider in MAKERS:
        if pattern.search(model):
            return provider
    return None
