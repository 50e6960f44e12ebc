"""A usage object of any dialect becomes `TokenUsage`, flags and a billed amount. Pure, total.

Counts are whole numbers from 0 to 2^53. Anything else is flagged and left out; without both totals there
is no usage. Parts above their total are cut down to it; a cache read that does not fit is not believed, because
it is the cheap part.
Flags: `malformed` (a field is not a count), `incomplete` (a total is missing), `contradictory` (sums disagree),
`clamped` (a part was cut), `inferred` (derived from the total), `timings` (llama.cpp's timings, not usage).
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from service.usage.cost import billed_nanos
from service.usage.dialects import Dialect, recognise
from service.usage.fields import value_of
from service.usage.native import GEMINI, as_openai_usage, is_gemini_usage
from service.usage.tokens import TokenUsage

LARGEST_COUNT = 1 << 40
"""A million million tokens: more is a mistake, and sums of many such counts would not fit a BIGINT."""
LONGEST_USAGE = 1 << 20
"""Bytes of a usage object read; real ones have a few hundred."""

_Objects = Mapping[str, Mapping[str, Any]]
_Places = tuple[tuple[str, str], ...]
_NOTHING: Mapping[str, Any] = {}

# Where each count stands, best first: (object, field). "" is the usage object itself.
_INPUT: _Places = (("", "prompt_tokens"), ("", "input_tokens"))
_OUTPUT: _Places = (("", "completion_tokens"), ("", "output_tokens"))
_TOTAL: _Places = (("", "total_tokens"),)
_CACHE_READ: _Places = (
    ("input", "cached_tokens"),
    ("", "prompt_cache_hit_tokens"),  # DeepSeek
    ("", "cached_tokens"),  # Moonshot, Hugging Face
    ("", "cache_read_input_tokens"),  # Anthropic
)
_CACHE_WRITE: _Places = (
    ("input", "cache_write_tokens"),  # OpenAI, OpenRouter
    ("input", "cache_creation_tokens"),
    ("input", "cache_creation_input_tokens"),  # Qwen
    ("input", "cached_creation_tokens"),  # new-api
    ("", "cache_creation_input_tokens"),  # Anthropic
)
_CACHE_WRITE_1H: _Places = (("cache_creation", "ephemeral_1h_input_tokens"),)
_CACHE_READ_AUDIO: _Places = (("cached", "audio_tokens"),)
_AUDIO_IN: _Places = (("input", "audio_tokens"),)
_IMAGE_IN: _Places = (("input", "image_tokens"),)
_VIDEO_IN: _Places = (("input", "video_tokens"),)
_REASONING: _Places = (("output", "reasoning_tokens"), ("", "reasoning_tokens"))
_AUDIO_OUT: _Places = (("output", "audio_tokens"),)
_IMAGE_OUT: _Places = (("output", "image_tokens"),)
_CITATIONS: _Places = (("", "citation_tokens"),)
_SEARCHES: _Places = (("", "num_search_queries"), ("server_tools", "web_search_requests"))


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one usage object says."""

    usage: TokenUsage | None
    flags: frozenset[str] = frozenset()
    provider_cost_nanos: int | None = None


def read_usage(raw: bytes, dialect: Dialect) -> Reading | None:
    """Read a usage object; None for `null` and `{}`, which report nothing."""
    if len(raw) > LONGEST_USAGE:
        return Reading(usage=None, flags=frozenset({"malformed"}))
    value = value_of(raw)
    if not isinstance(value, dict):
        return None if raw == b"null" else Reading(usage=None, flags=frozenset({"malformed"}))
    if not value:
        return None
    if is_gemini_usage(value):
        return _UsageObject(as_openai_usage(value), GEMINI).reading()
    return _UsageObject(value, dialect if dialect.decides else recognise(value)).reading()


def read_timings(raw: bytes) -> Reading | None:
    """Read llama.cpp's `timings`; its prompt is what came from the cache plus what was evaluated."""
    value = value_of(raw)
    if not isinstance(value, dict):
        return None
    flags = {"timings"}
    cached, prompt, predicted = (
        _count(value.get(name), flags) for name in ("cache_n", "prompt_n", "predicted_n")
    )
    if prompt is None or predicted is None:
        return None
    usage = TokenUsage(
        input_tokens=prompt + (cached or 0), output_tokens=predicted, cache_read_input_tokens=cached
    )
    return Reading(usage=usage, flags=frozenset(flags))


def _count(value: Any, flags: set[str]) -> int | None:
    if value is None:
        return None
    if type(value) is int and 0 <= value <= LARGEST_COUNT:
        return value
    if (
        isinstance(value, Decimal)
        and value.is_finite()
        and 0 <= value <= LARGEST_COUNT
        and value == int(value)
    ):
        return int(value)
    flags.add("malformed")
    return None


class _UsageObject:
    """One usage object being read."""

    __slots__ = ("_dialect", "_flags", "_objects")

    def __init__(self, usage: dict[str, Any], dialect: Dialect) -> None:
        self._dialect = dialect
        self._flags: set[str] = set()
        prompt = self._object(usage, "prompt_tokens_details") or self._object(usage, "input_tokens_details")
        self._objects: _Objects = {
            "": usage,
            "input": prompt,
            "output": self._object(usage, "completion_tokens_details")
            or self._object(usage, "output_tokens_details"),
            "cache_creation": self._object(usage, "cache_creation")
            or self._object(prompt, "cache_creation")
            or self._object(prompt, "cache_creation_token_details"),
            "cached": self._object(prompt, "cached_tokens_details"),
            "server_tools": self._object(usage, "server_tool_use"),
        }

    def reading(self) -> Reading:
        usage = self._objects[""]
        cost, no_amount = billed_nanos(usage, self._dialect)
        if no_amount:
            self._flags.add("malformed")
        prompt, completion = self._pick(_INPUT), self._pick(_OUTPUT)
        if prompt is None or completion is None:
            self._flags.add("incomplete")
            return Reading(usage=None, flags=frozenset(self._flags), provider_cost_nanos=cost)
        tokens = self._tokens(prompt, completion=completion)
        return Reading(usage=tokens, flags=frozenset(self._flags), provider_cost_nanos=cost)

    def _tokens(self, prompt: int, *, completion: int) -> TokenUsage:
        own = self._dialect.cache_read_field
        read = self._pick_reported(_CACHE_READ if own is None else (*_CACHE_READ, ("", own)))
        write = self._pick_reported(_CACHE_WRITE)
        if self._cache_is_apart():
            prompt += (read or 0) + (write or 0)
        output, reasoning = self._output(prompt, completion=completion)
        write = self._at_most(write, prompt)
        if read is not None and read > prompt - (write or 0):
            self._flags.add("contradictory")
            read = None
        audio = self._at_most(self._pick(_AUDIO_IN), prompt)
        image = self._at_most(self._pick(_IMAGE_IN), prompt - (audio or 0))
        video = self._at_most(self._pick(_VIDEO_IN), prompt - (audio or 0) - (image or 0))
        reasoning = self._at_most(reasoning, output)
        audio_out = self._at_most(self._pick(_AUDIO_OUT), output - (reasoning or 0))
        image_out = self._at_most(self._pick(_IMAGE_OUT), output - (reasoning or 0) - (audio_out or 0))
        return TokenUsage(
            input_tokens=prompt,
            output_tokens=output,
            cache_read_input_tokens=read,
            cache_write_input_tokens=write,
            cache_write_1h_input_tokens=self._at_most(self._pick(_CACHE_WRITE_1H), write or 0),
            audio_input_tokens=audio,
            cache_read_audio_input_tokens=self._at_most(
                self._pick(_CACHE_READ_AUDIO), min(audio or 0, read or 0)
            ),
            image_input_tokens=image,
            video_input_tokens=video,
            reasoning_output_tokens=reasoning,
            audio_output_tokens=audio_out,
            image_output_tokens=image_out,
            citation_tokens=self._pick(_CITATIONS),
            web_searches=self._pick(_SEARCHES),
        )

    def _cache_is_apart(self) -> bool:
        """Anthropic's own form: `input_tokens` without what was read from or written to the cache."""
        usage = self._objects[""]
        return (
            usage.get("prompt_tokens") is None
            and "input_tokens_details" not in usage
            and ("cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage)
        )

    def _output(self, prompt: int, *, completion: int) -> tuple[int, int | None]:
        """All output tokens, and the reasoning in them."""
        reasoning, total = self._pick(_REASONING), self._pick(_TOTAL)
        if self._dialect.reasoning == "separate":
            return completion + (reasoning or 0), reasoning
        beyond = None if total is None else total - prompt - completion
        if not reasoning:
            return self._hidden_output(beyond, completion=completion, reasoning=reasoning)
        if self._dialect.reasoning == "included":
            if beyond == reasoning and not self._dialect.decides:
                self._flags.add("inferred")
                return completion + reasoning, reasoning
            if beyond:
                self._flags.add("contradictory")
            return completion, reasoning
        if beyond == 0 and reasoning <= completion:  # the total says that it is included after all
            self._flags.add("contradictory")
            return completion, reasoning
        if beyond not in {None, reasoning}:
            self._flags.add("contradictory")
        return completion + reasoning, reasoning

    def _hidden_output(
        self, beyond: int | None, *, completion: int, reasoning: int | None
    ) -> tuple[int, int | None]:
        if not beyond:
            return completion, reasoning
        if beyond > 0 and self._dialect.hidden_output:
            self._flags.add("inferred")
            return completion + beyond, beyond
        self._flags.add("contradictory")
        return completion, reasoning

    def _object(self, parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        value = parent.get(name)
        if isinstance(value, dict):
            return value
        if value is not None:
            self._flags.add("malformed")
        return _NOTHING

    def _pick(self, places: _Places) -> int | None:
        """The count at the first place that has one."""
        for where, name in places:
            if (value := self._objects[where].get(name)) is not None:
                return _count(value, self._flags)
        return None

    def _pick_reported(self, places: _Places) -> int | None:
        """As `_pick`; a place that says 0 gives way to one that says more (relays fill in zeros)."""
        found: int | None = None
        for where, name in places:
            value = _count(self._objects[where].get(name), self._flags)
            if value is None or value == found:
                continue
            if found:
                if value:
                    self._flags.add("contradictory")
            else:
                found = value
        return found

    def _at_most(self, part: int | None, limit: int) -> int | None:
        if part is None or part <= limit:
            return part
        self._flags |= {"clamped", "contradictory"}
        return limit
