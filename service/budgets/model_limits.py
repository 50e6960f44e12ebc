"""How much a model can read and write, where a request does not say. Pure.

Only bounds matter here: too high makes a hold larger than needed, too low makes it unsound. A model of a known
family gets the family's largest window and longest answer; any other gets more than any model has today. The tokens
of one image are a maximum over sizes and details. Sources: the providers' model pages, November 2026.
"""

import re

import msgspec


class ModelLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Upper bounds in tokens; *image_tokens* None: an image may fill the context window."""

    context_window: int
    max_output_tokens: int
    image_tokens: int | None = None


UNKNOWN = ModelLimits(context_window=2_097_152, max_output_tokens=262_144)

_FAMILIES: tuple[tuple[str, ModelLimits], ...] = (
    (r"gpt-3\.5", ModelLimits(context_window=16_385, max_output_tokens=4_096, image_tokens=0)),
    (
        r"gpt-4-(turbo|vision|1106|0125)",
        ModelLimits(context_window=128_000, max_output_tokens=4_096, image_tokens=1_445),
    ),
    (r"gpt-4-32k", ModelLimits(context_window=32_768, max_output_tokens=32_768, image_tokens=0)),
    (r"gpt-4(-0314|-0613)?$", ModelLimits(context_window=8_192, max_output_tokens=8_192, image_tokens=0)),
    (
        r"(chat)?gpt-4o-mini",
        ModelLimits(context_window=128_000, max_output_tokens=16_384, image_tokens=48_169),
    ),
    (r"(chat)?gpt-4o", ModelLimits(context_window=128_000, max_output_tokens=16_384, image_tokens=1_445)),
    (r"gpt-4\.1", ModelLimits(context_window=1_047_576, max_output_tokens=32_768, image_tokens=3_780)),
    (
        r"gpt-audio|gpt-realtime",
        ModelLimits(context_window=128_000, max_output_tokens=16_384, image_tokens=10_000),
    ),
    (r"gpt-[5-9]", ModelLimits(context_window=1_050_000, max_output_tokens=128_000, image_tokens=30_000)),
    (r"gpt-oss", ModelLimits(context_window=131_072, max_output_tokens=131_072, image_tokens=0)),
    (r"o[134](-|$)", ModelLimits(context_window=200_000, max_output_tokens=100_000, image_tokens=3_780)),
    (r"claude-(2|instant)", ModelLimits(context_window=200_000, max_output_tokens=4_096, image_tokens=0)),
    (
        r"claude-3-(opus|sonnet|haiku)",
        ModelLimits(context_window=200_000, max_output_tokens=4_096, image_tokens=1_600),
    ),
    (r"claude-3-5", ModelLimits(context_window=200_000, max_output_tokens=8_192, image_tokens=1_600)),
    (r"claude", ModelLimits(context_window=1_000_000, max_output_tokens=128_000, image_tokens=10_000)),
    (r"gemini-1", ModelLimits(context_window=2_097_152, max_output_tokens=8_192)),
    (r"gemini-2\.0", ModelLimits(context_window=1_048_576, max_output_tokens=8_192)),
    (r"gemini", ModelLimits(context_window=2_097_152, max_output_tokens=65_536)),
    (r"deepseek", ModelLimits(context_window=1_048_576, max_output_tokens=131_072, image_tokens=0)),
    (r"grok", ModelLimits(context_window=2_097_152, max_output_tokens=262_144, image_tokens=4_000)),
)
_COMPILED = tuple((re.compile(pattern), limits) for pattern, limits in _FAMILIES)


def limits_of(model: str) -> ModelLimits:
    """The bounds of a model by its name; a name in front such as ``openai/`` is left out."""
    name = model.lower().rpartition("/")[2]
    return next((limits for pattern, limits in _COMPILED if pattern.match(name)), UNKNOWN)
