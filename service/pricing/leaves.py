"""Token counts as disjoint leaves, so that every token is charged once. Pure.

The leaves of a direction always sum to its total, and none is negative, whatever a provider sent. Counts
that cannot be true are settled on the dear side and flagged: a cache read that does not fit into the total is
not believed; cache writes, audio, images and reasoning are cut to what fits; a negative count is not believed.

Modalities count cached tokens too with some providers (xAI's text, Gemini's audio): what does not fit into
the uncached part of the input lies in the cached part, and is a leaf of its own.
"""

import msgspec

from service.usage.tokens import TokenUsage

Leaf = tuple[str, int]


class Leaves(msgspec.Struct, frozen=True):
    """Meters with their quantities; *contradictory* when the counts did not fit together."""

    input_tokens: int
    lines: tuple[Leaf, ...]
    contradictory: bool


def split(usage: TokenUsage) -> Leaves:
    """The leaves of *usage* that are not zero, in the order of the meters."""
    return split_text(usage) or split_any(usage)


def split_text(usage: TokenUsage) -> Leaves | None:
    """The short way for nearly every request: text only, and counts that fit together; else None."""
    read, write = usage.cache_read_input_tokens or 0, usage.cache_write_input_tokens or 0
    reasoning = usage.reasoning_output_tokens or 0
    fresh, answer = usage.input_tokens - read - write, usage.output_tokens - reasoning
    if fresh < 0 or read < 0 or write < 0 or answer < 0 or reasoning < 0:
        return None
    if (
        usage.audio_input_tokens
        or usage.image_input_tokens
        or usage.video_input_tokens
        or usage.cache_write_1h_input_tokens
        or usage.cache_read_audio_input_tokens
        or usage.audio_output_tokens
        or usage.image_output_tokens
        or usage.citation_tokens
        or usage.web_searches
    ):
        return None
    lines: list[Leaf] = [("input", fresh)] if fresh else []
    if read:
        lines.append(("cache_read_input", read))
    if write:
        lines.append(("cache_write_input", write))
    if answer:
        lines.append(("output", answer))
    if reasoning:
        lines.append(("reasoning_output", reasoning))
    return Leaves(usage.input_tokens, tuple(lines), contradictory=False)


def split_any(usage: TokenUsage) -> Leaves:
    """The leaves of any *usage*, whatever it says."""
    inputs, odd_input = _input_leaves(usage)
    outputs, odd_output = _output_leaves(usage)
    others, odd_others = _other_leaves(usage)
    lines = tuple([leaf for leaf in inputs + outputs + others if leaf[1]])
    return Leaves(max(usage.input_tokens, 0), lines, odd_input or odd_output or odd_others)


def _input_leaves(usage: TokenUsage) -> tuple[tuple[Leaf, ...], bool]:
    total = max(usage.input_tokens, 0)
    write = _within(usage.cache_write_input_tokens, room=total)
    write_1h = _within(usage.cache_write_1h_input_tokens, room=write)
    said_read = usage.cache_read_input_tokens or 0
    read = said_read if 0 <= said_read <= total - write else 0
    audio = _within(usage.audio_input_tokens, room=total)
    image = _within(usage.image_input_tokens, room=total - audio)
    video = _within(usage.video_input_tokens, room=total - audio - image)
    said_overlap = _within(usage.cache_read_audio_input_tokens, room=min(audio, read))
    counted = (total, write, write_1h, read, audio, image, video, said_overlap)

    uncached = total - write - read
    fresh_audio = min(audio - said_overlap, uncached)
    fresh_image = min(image, uncached - fresh_audio)
    fresh_video = min(video, uncached - fresh_audio - fresh_image)
    read_audio = min(audio - fresh_audio, read)
    read_image = min(image - fresh_image, read - read_audio)
    leaves = (
        ("input", uncached - fresh_audio - fresh_image - fresh_video),
        ("cache_read_input", read - read_audio - read_image),
        ("cache_write_input", write - write_1h),
        ("cache_write_1h_input", write_1h),
        ("audio_input", fresh_audio),
        ("cache_read_audio_input", read_audio),
        ("image_input", fresh_image),
        ("cache_read_image_input", read_image),
        ("video_input", fresh_video),
    )
    return leaves, counted != _said_input(usage)


def _said_input(usage: TokenUsage) -> tuple[int, ...]:
    return (
        usage.input_tokens,
        usage.cache_write_input_tokens or 0,
        usage.cache_write_1h_input_tokens or 0,
        usage.cache_read_input_tokens or 0,
        usage.audio_input_tokens or 0,
        usage.image_input_tokens or 0,
        usage.video_input_tokens or 0,
        usage.cache_read_audio_input_tokens or 0,
    )


def _output_leaves(usage: TokenUsage) -> tuple[tuple[Leaf, ...], bool]:
    total = max(usage.output_tokens, 0)
    audio = _within(usage.audio_output_tokens, room=total)
    image = _within(usage.image_output_tokens, room=total - audio)
    reasoning = _within(usage.reasoning_output_tokens, room=total - audio - image)
    said = (
        usage.output_tokens,
        usage.audio_output_tokens or 0,
        usage.image_output_tokens or 0,
        usage.reasoning_output_tokens or 0,
    )
    leaves = (
        ("output", total - audio - image - reasoning),
        ("reasoning_output", reasoning),
        ("audio_output", audio),
        ("image_output", image),
    )
    return leaves, (total, audio, image, reasoning) != said


def _other_leaves(usage: TokenUsage) -> tuple[tuple[Leaf, ...], bool]:
    """What is billed apart from input and output."""
    citations, searches = usage.citation_tokens or 0, usage.web_searches or 0
    leaves = (("citation", max(citations, 0)), ("web_search", max(searches, 0)))
    return leaves, citations < 0 or searches < 0


def _within(count: int | None, *, room: int) -> int:
    return min(max(count, 0), room) if count else 0
