"""Which usage stands when an answer ends. Pure.

The last usage object wins. It is never summed with earlier ones and never a field-wise maximum, because
counts in a stream are cumulative; an explicit 0 is a count like any other. The one exception: usage that
counted each choice apart (vLLM's `continuous_usage_stats` with n > 1) and was never followed by the final
usage for all choices; then the last counts of each choice add up, flagged `summed_choices`.
A usage object that gives no counts never replaces one that did, but says so: `partial`, with its flags.
Usage on a chunk that neither ended its choices nor was followed by the end is `partial`, flagged `early`.
"""

import msgspec

from service.usage.dialects import Dialect
from service.usage.normalise import Reading
from service.usage.tokens import TokenUsage, UsageSource

MOST_CHOICES = 1024
"""Choices followed apart; the API allows 128."""
_LAST_BUT_ONE = 1
"""Some relays send usage on the last event but one."""


class Origin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where in the answer a usage object stood."""

    event: int
    choices: tuple[int, ...] = ()
    """The choices of the same chunk; none for the extra usage event and for a body."""
    all_finished: bool = True


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The usage that stands."""

    usage: TokenUsage | None
    source: UsageSource
    raw: bytes | None
    flags: frozenset[str] = frozenset()
    provider_cost_nanos: int | None = None


class _Seen(msgspec.Struct, frozen=True):
    raw: bytes
    usage: TokenUsage
    reading: Reading
    origin: Origin


class LatestUsage:
    """Takes in usage objects in order; says at any time which one stands."""

    __slots__ = ("_by_choice", "_per_choice", "_refused", "_seen", "_timings")

    def __init__(self, dialect: Dialect) -> None:
        self._per_choice = dialect.per_choice_usage if dialect.decides else None
        self._seen: _Seen | None = None
        self._timings: _Seen | None = None
        self._refused: tuple[bytes, Reading] | None = None
        self._by_choice: dict[int, TokenUsage] = {}

    def offer(self, raw: bytes, *, reading: Reading, origin: Origin, stand_in: bool = False) -> None:
        """A usage object was read; a *stand_in* (timings) counts only where no usage was ever reported."""
        if reading.usage is None:
            self._refused = raw, reading
            return
        seen = _Seen(raw, reading.usage, reading, origin)
        if stand_in:
            self._timings = seen
            return
        self._follow_choices(reading.usage, origin=origin)
        self._seen = seen
        self._refused = None

    def standing(self, *, events: int, complete: bool) -> Standing:
        """What stands after *events* events of an answer that is *complete* or was cut."""
        seen = self._seen or self._timings
        if seen is None:
            return self._nothing()
        flags, usage = set(seen.reading.flags), seen.usage
        if self._per_choice and len(self._by_choice) > 1:
            usage = _summed(usage, choices=tuple(self._by_choice.values()))
            flags.add("summed_choices")
        whole = not seen.origin.choices or seen.origin.all_finished
        early = not whole and complete and events - seen.origin.event > _LAST_BUT_ONE
        if early:
            flags.add("early")
        if self._refused is not None:
            flags |= self._refused[1].flags
        cut = not whole and not complete
        return Standing(
            usage=usage,
            source="partial" if cut or early or self._refused is not None else "provider",
            raw=seen.raw,
            flags=frozenset(flags),
            provider_cost_nanos=seen.reading.provider_cost_nanos,
        )

    def _nothing(self) -> Standing:
        if self._refused is None:
            return Standing(usage=None, source="none", raw=None)
        raw, reading = self._refused
        return Standing(
            usage=None,
            source="none",
            raw=raw,
            flags=reading.flags,
            provider_cost_nanos=reading.provider_cost_nanos,
        )

    def _follow_choices(self, usage: TokenUsage, *, origin: Origin) -> None:
        if len(origin.choices) != 1:
            self._by_choice.clear()  # usage for all choices
            return
        last = self._seen
        if self._per_choice is None and last is not None:
            switched = bool(last.origin.choices) and last.origin.choices != origin.choices
            # A count for all choices would have grown.
            if switched and 0 < usage.output_tokens <= last.usage.output_tokens:
                self._per_choice = True
        if origin.choices[0] in self._by_choice or len(self._by_choice) < MOST_CHOICES:
            self._by_choice[origin.choices[0]] = usage


def _summed(last: TokenUsage, *, choices: tuple[TokenUsage, ...]) -> TokenUsage:
    reasoning = [choice.reasoning_output_tokens for choice in choices]
    known = [count for count in reasoning if count is not None]
    return msgspec.structs.replace(
        last,
        output_tokens=sum(choice.output_tokens for choice in choices),
        reasoning_output_tokens=sum(known) if len(known) == len(reasoning) else None,
        audio_output_tokens=None,
        image_output_tokens=None,
    )
