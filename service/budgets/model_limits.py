"""How much a model can read and write, where a request does not say. Pure.

Only bounds matter here: too high makes a hold larger than needed, too low makes it unsound. A model of a known family
gets the largest window and the longest answer of the family; any other gets more than any model has today. Where
anybody may host a model (open weights), its answer may fill the window. The tokens of one image are a maximum over
sizes and details. Every row names where its numbers are published; a test holds the windows against the installed
price data.
"""

import re

import msgspec


class ModelLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Upper bounds in tokens; *image_tokens* None: an image may fill the context window."""

    context_window: int
    max_output_tokens: int
    image_tokens: int | None = None


class Family(msgspec.Struct, frozen=True):
    """Models whose names begin alike, and where their limits are published."""

    pattern: str
    limits: ModelLimits
    source: str


UNKNOWN = ModelLimits(context_window=10_485_760, max_output_tokens=2_097_152)
"""The largest window published is Llama 4 Scout's 10 M, the longest answer the 2 M of Grok 4 Fast."""

_OPENAI = "developers.openai.com/api/docs/models"
_IMAGES = "developers.openai.com/api/docs/guides/images-vision"
_CLAUDE = "platform.claude.com/docs/en/models/overview"
_CLAUDE_IMAGES = "platform.claude.com/docs/en/build-with-claude/vision"
_GEMINI = "ai.google.dev/gemini-api/docs/models"
_PRICE_DATA = "genai-prices, `context_window`; open weights: an answer may fill the window"


def _limits(context_window: int, max_output_tokens: int, image_tokens: int | None = None) -> ModelLimits:
    return ModelLimits(
        context_window=context_window, max_output_tokens=max_output_tokens, image_tokens=image_tokens
    )


FAMILIES: tuple[Family, ...] = (
    Family(
        r"gpt-3\.5",
        _limits(16_385, 16_385, 0),
        f"{_OPENAI}/gpt-3.5-turbo; before 1106 only the window bounds",
    ),
    Family(
        r"gpt-4-(turbo|vision|1106|0125)", _limits(128_000, 4_096, 1_445), f"{_OPENAI}/gpt-4-turbo; {_IMAGES}"
    ),
    Family(r"gpt-4-32k", _limits(32_768, 32_768, 0), f"{_OPENAI}/gpt-4"),
    Family(r"gpt-4(-0314|-0613)?(:|$)", _limits(8_192, 8_192, 0), f"{_OPENAI}/gpt-4"),
    Family(r"gpt-4o-64k", _limits(128_000, 65_536, 1_445), "openai.com/gpt-4o-long-output"),
    Family(
        r"(chat)?gpt-4o-mini",
        _limits(128_000, 16_384, 48_169),
        f"{_OPENAI}/gpt-4o-mini; {_IMAGES}: 2,833 and 5,667 for each of 8 tiles",
    ),
    Family(
        r"(chat)?gpt-4o",
        _limits(128_000, 16_384, 1_445),
        f"{_OPENAI}/gpt-4o; {_IMAGES}: 85 and 170 for each of 8 tiles",
    ),
    Family(
        r"gpt-4\.1",
        _limits(1_047_576, 32_768, 3_780),
        f"{_OPENAI}/gpt-4.1; {_IMAGES}: nano, 1,536 patches at 2.46",
    ),
    Family(r"gpt-4\.5", _limits(128_000, 16_384, 1_445), f"{_OPENAI}/gpt-4.5-preview"),
    Family(r"gpt-audio", _limits(128_000, 16_384, 10_000), f"{_OPENAI}/gpt-audio"),
    Family(r"gpt-realtime", _limits(128_000, 32_000, 10_000), f"{_OPENAI}/gpt-realtime-2"),
    Family(
        r"gpt-[5-9]",
        _limits(1_050_000, 128_000, 30_000),
        f"{_OPENAI}/gpt-6.2-sol; {_IMAGES}: 10,000 patches, at most at 2.46",
    ),
    Family(r"gpt-oss", _limits(131_072, 131_072, 0), f"{_OPENAI}/gpt-oss-120b"),
    Family(r"o[134](-|:|$)", _limits(200_000, 100_000, 3_780), f"{_OPENAI}/o3, /o1, /o4-mini; {_IMAGES}"),
    Family(r"claude-(2|instant)", _limits(200_000, 4_096, 0), _CLAUDE),
    Family(r"claude-3-(opus|sonnet|haiku)", _limits(200_000, 4_096, 1_600), f"{_CLAUDE}; {_CLAUDE_IMAGES}"),
    Family(r"claude-3-5", _limits(200_000, 8_192, 1_600), f"{_CLAUDE}; {_CLAUDE_IMAGES}"),
    Family(
        r"claude", _limits(1_000_000, 128_000, 10_000), f"{_CLAUDE}: at most 1 M and 128 K; {_CLAUDE_IMAGES}"
    ),
    Family(r"gemini-1", _limits(2_097_152, 8_192), f"{_GEMINI}: 1.5 Pro"),
    Family(r"gemini-[23]", _limits(1_048_576, 65_536), f"{_GEMINI}: 2.0 (thinking) to 3.8"),
    Family(r"gemini", _limits(2_097_152, 1_048_576), f"{_GEMINI}/gemini-4-argon: one limit for both"),
    Family(
        r"grok",
        _limits(2_097_152, 2_097_152, 4_000),
        "docs.x.ai/docs/models: 2 M, no limit of the answer's own",
    ),
    Family(
        r"deepseek", _limits(1_048_576, 1_048_576, 0), f"api-docs.deepseek.com: 384 K itself; {_PRICE_DATA}"
    ),
    Family(r"kimi", _limits(1_048_576, 1_048_576), f"platform.moonshot.ai/docs: K3; {_PRICE_DATA}"),
    Family(r"glm", _limits(1_310_720, 1_310_720), f"docs.z.ai: 128 K itself; {_PRICE_DATA}"),
    Family(r"qwen", _limits(1_048_576, 1_048_576), _PRICE_DATA),
    Family(r"minimax", _limits(1_048_576, 1_048_576), _PRICE_DATA),
    Family(
        r"(mi[sx]tral|magistral|ministral|codestral|devstral|pixtral|voxtral)",
        _limits(1_048_576, 1_048_576),
        _PRICE_DATA,
    ),
    Family(r"gemma", _limits(262_144, 262_144), _PRICE_DATA),
    Family(r"(meta-)?llama-?(v?3)", _limits(131_072, 131_072), _PRICE_DATA),
    Family(r"(command|c4ai)", _limits(262_144, 262_144), f"docs.cohere.com/docs/models; {_PRICE_DATA}"),
    Family(r"sonar", _limits(200_000, 200_000), "docs.perplexity.ai: the window bounds the answer"),
)
_COMPILED = tuple((re.compile(family.pattern), family.limits) for family in FAMILIES)
_IN_FRONT = re.compile(
    r"(.*/|~|ft:|((global|regional|us|us-gov|eu|apac|jp|au|ca)\.)?"
    r"(anthropic|openai|meta|google|mistral|deepseek|xai|qwen|moonshotai|zai|minimax|cohere)\.)+"
)


def limits_of(model: str) -> ModelLimits:
    """The bounds of a model by its name; what hosts put in front, such as ``openai/`` or ``us.meta.``, is left out."""
    name = model.lower()
    if found := _IN_FRONT.match(name):
        name = name[found.end() :]
    return next((limits for pattern, limits in _COMPILED if pattern.match(name)), UNKNOWN)
