"""The meter of a streamed answer: bytes in, bytes to forward and facts out. Pure; never raises on garbage.

Bytes are forwarded as they came and at once. With `hide_usage` exactly one kind of event is left out: the
extra usage event (`choices` is `[]`, `usage` is an object) that only the relay asked for. Only bytes that
could still become that event wait, at most `LONGEST_HELD` of them.
A chunk of whole events that cannot hold a fact (`_may_hold_fact`) is only counted; JSON is read for the others, and
for the first events, which name the answer. Flags: `unread` (an event above the limit), `salvaged` (an event
that is no valid JSON), `undecodable` (compressed in a way we cannot read), `inflated` (compressed, and so long that
the rest was not read), `estimated_output` (only the input was counted by the provider before the stream broke off).
"""

import re

import msgspec

from service.usage.answer import Answer
from service.usage.body import BodyMeter
from service.usage.dialects import Dialect
from service.usage.encoding import ContentDecoder, is_identity
from service.usage.envelope import Envelope, choices_of, envelope_of
from service.usage.estimate import estimate_output
from service.usage.fields import is_null
from service.usage.metered import Metered
from service.usage.salvage import salvage
from service.usage.sse import LATE_LF, SseEvent, SseSplitter, event_data
from service.usage.text import GeneratedText, TextMeasure
from service.usage.tokens import TokenUsage

__all__ = ["BodyMeter", "Metered", "StreamMeter"]

LONGEST_HELD = 64 * 1024
"""Bytes of an unfinished event that wait while it could be the usage event."""
_LONGEST_HIDDEN = LONGEST_HELD - 3  # a byte order mark was held too

_DONE = b"[DONE]"
_NULLABLE = tuple(
    (f'"{name}"'.encode(), f'"{name}":null'.encode(), f'"{name}": null'.encode())
    for name in ("usage", "finish_reason", "error")
)
_TELLING = (b'"x_groq"', b'"timings"')
_TELLING_IN_OTHER_FORMS = (*_TELLING, b'"usageMetadata"', b'"message_stop"')
"""Looked for once the first events have shown that the answer is no chat completion."""
_TAIL = 1024
"""Bytes at the end of a burst in which its facts are expected."""
_HAS_CHOICE = re.compile(rb'"choices"\s*:\s*\[\s*[^\]\s]')
_OVERLAP = 32
_OBJECT_LINE = b"data: {"
_NEXT_OBJECT_LINE = b"\n\n" + _OBJECT_LINE
_FIRST_EVENTS = 4
"""Events searched for the identifier and the model of the answer."""


class StreamMeter:
    """Meters one event stream."""

    __slots__ = (
        "_answer",
        "_decoder",
        "_filter",
        "_heads_left",
        "_splitter",
        "_telling",
        "_text",
        "events",
        "terminal",
    )

    def __init__(
        self, dialect: Dialect, *, hide_usage: bool = False, choices: int = 1, encoding: str | None = None
    ) -> None:
        self._answer = Answer(dialect, choices=choices)
        self._decoder = None if is_identity(encoding) else ContentDecoder(encoding)
        self._filter = _UsageFilter() if hide_usage and self._decoder is None else None
        self._splitter = SseSplitter()
        self._text = GeneratedText()
        self._heads_left = _FIRST_EVENTS
        self._telling: tuple[bytes, ...] = _TELLING
        self.events = 0
        """Events with data so far, without `[DONE]`."""
        self.terminal = False
        """`[DONE]` or an error event was seen."""

    def feed(self, chunk: bytes) -> bytes:
        """Take in *chunk*; returns what may be forwarded now (the very *chunk* unless usage is hidden)."""
        if self._decoder is not None:
            for piece in self._decoder.decode(chunk):
                self._feed(piece)
            return chunk
        if len(chunk) < 2 * _TAIL:
            return self._feed(chunk)
        forwarded = [self._feed(part) for part in self._parts(chunk)]
        return chunk if self._filter is None else b"".join(forwarded)

    def _parts(self, chunk: bytes) -> list[bytes]:
        """Cut a burst into its first event, its middle, which seldom holds a fact, and its end, which often does."""
        first = chunk.find(b"\n\n") + 2 if self._heads_left or not self._splitter.between_events else 0
        end = chunk.rfind(b"\n\n", first, -_TAIL) + 2
        if end <= max(first, 1):
            return [chunk]
        return [part for part in (chunk[:first], chunk[first:end], chunk[end:]) if part]

    def _feed(self, chunk: bytes) -> bytes:
        if self._only_counted(chunk):
            return chunk
        events = self._splitter.feed(chunk)
        if self._filter is None:
            for event in events:
                self._read(event.raw)
            return chunk
        return self._filter.feed(chunk, events=[(event, self._read(event.raw)) for event in events])

    def end(self) -> bytes:
        """The upstream has ended; returns the rest to forward."""
        rest = self._splitter.rest()
        hidden = rest is not None and self._read(rest)
        return self._filter.end(hidden=hidden) if self._filter is not None else b""

    def result(self) -> Metered:
        """The facts so far."""
        if self._decoder is not None and self._decoder.flag is not None:
            self._answer.flags.add(self._decoder.flag)
        facts = self._answer.metered(events=self.events, terminal=self.terminal)
        if self._answer.output_open and facts.usage is not None:
            return _with_estimated_output(facts, facts.usage, text=self.generated())
        return facts

    def generated(self) -> TextMeasure:
        """The generated text seen so far, for estimates."""
        return self._text.measured()

    def _only_counted(self, data: bytes) -> bool:
        """Count *data* if it is whole events of one data line each, none of which can hold a fact."""
        if self._heads_left or not self._splitter.between_events or not data.endswith(b"\n\n"):
            return False
        events, odd = divmod(data.count(b"\n"), 2)
        if odd or not data.startswith(_OBJECT_LINE) or b"\r" in data or self._may_hold_fact(data):
            return False
        if events > 1 and data.count(_NEXT_OBJECT_LINE) != events - 1:
            return False
        self.events += events
        self._text.add(data)
        return True

    def _read(self, raw: bytes | None) -> bool:
        """Take in one event; tell whether it is the extra usage event."""
        data = event_data(raw) if raw is not None else None
        if raw is None or data is None:
            self._skip(raw)
            return False
        if data.startswith(_DONE):
            self.terminal = True
            return False
        self.events += 1
        self._text.add(data)
        if not self._heads_left and not self._may_hold_fact(data):
            return False
        envelope = envelope_of(data)
        if envelope is None:
            self._answer.flags.add("salvaged")
        self._answer.read(envelope or salvage(data), event=self.events)
        if self._answer.other_form:
            self._telling = _TELLING_IN_OTHER_FORMS
        self._heads_left = 0 if self._answer.identified else max(0, self._heads_left - 1)
        self.terminal = self.terminal or self._answer.has_error or self._answer.ended
        if envelope is None or not _is_extra_usage(envelope):
            return False
        return len(raw) <= _LONGEST_HIDDEN and _HAS_CHOICE.search(raw) is None

    def _may_hold_fact(self, data: bytes) -> bool:
        """Whether a name of a fact stands in *data* with a value other than null. Text is escaped and cannot look so.

        Counting runs at memory speed, five times as fast as a search by pattern. A false alarm only costs a parse.
        """
        for name, null, spaced in _NULLABLE:
            others = data.count(name)
            if others and (others := others - data.count(null)) and others != data.count(spaced):
                return True
        return any(name in data for name in self._telling)

    def _skip(self, raw: bytes | None) -> None:
        if raw is None:
            self.events += 1
            self._answer.flags.add("unread")


def _with_estimated_output(facts: Metered, usage: TokenUsage, *, text: TextMeasure) -> Metered:
    """The input as it was counted; of the output, whose count never came, what was seen."""
    seen = max(usage.output_tokens, estimate_output(text).tokens)
    return msgspec.structs.replace(
        facts,
        usage=msgspec.structs.replace(usage, output_tokens=seen),
        usage_source="partial",
        usage_flags=tuple(sorted({*facts.usage_flags, "estimated_output"})),
    )


def _is_extra_usage(envelope: Envelope) -> bool:
    return (
        bytes(envelope.usage).startswith(b"{")
        and choices_of(envelope.choices) == []
        and is_null(envelope.error)
    )


class _UsageFilter:
    """Forwards the bytes of a stream without its extra usage event."""

    __slots__ = ("_flowing", "_held", "_hid_last", "_searched")

    def __init__(self) -> None:
        self._held = bytearray()
        self._flowing = False  # the event being received can no longer be the usage event
        self._searched = 0
        self._hid_last = False

    def feed(self, chunk: bytes, *, events: list[tuple[SseEvent, bool]]) -> bytes:
        """What of *chunk* and of what was held may go; *events* end in *chunk*, each hidden or not."""
        out = bytearray()
        start = 0
        for event, usage in events:
            hidden = usage or (event.raw == LATE_LF and self._hid_last)
            if not hidden:
                out += self._held
                out += chunk[start : event.end]
            self._held.clear()
            self._searched = 0
            self._hid_last, self._flowing, start = hidden, False, event.end
        self._held += chunk[start:]
        if self._flowing or self._has_choice() or len(self._held) > LONGEST_HELD:
            self._flowing = True
            out += self._held
            self._held.clear()
        return bytes(out)

    def _has_choice(self) -> bool:
        """The held bytes show a choice. A match missed across the overlap shows when the event is whole."""
        begin = max(0, self._searched - _OVERLAP)
        self._searched = len(self._held)
        return _HAS_CHOICE.search(self._held, begin) is not None

    def end(self, *, hidden: bool) -> bytes:
        """What is left when the stream ends."""
        out = b"" if hidden else bytes(self._held)
        self._held.clear()
        return out
