"""The meter of a streamed answer: bytes in, bytes to forward and facts out. Pure; never raises on garbage.

Bytes are forwarded as they came and at once. With `hide_usage` exactly one kind of event is left out: the
extra usage event (`choices` is `[]`, `usage` is an object) that only the relay asked for (`UsageFilter`).
A chunk of whole events that cannot hold a fact (they repeat the `EventShape` of one that held none, or no name of a
fact stands in them) is only counted; JSON is read for the others, and for the first events, which name the answer.
Flags: `unread` (an event above the limit), `salvaged` (an event that is no valid JSON), `undecodable` (compressed in
a way we cannot read), `inflated` (compressed, and so long that the rest was not read), `estimated_output` (only the
input was counted by the provider before the stream broke off).
"""

from collections.abc import Iterator

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
from service.usage.shape import EventShape
from service.usage.sse import SseSplitter, event_data
from service.usage.text import GeneratedText, TextMeasure
from service.usage.tokens import TokenUsage
from service.usage.usage_filter import HAS_CHOICE, LONGEST_HIDDEN, UsageFilter

__all__ = ["BodyMeter", "Metered", "StreamMeter"]

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
_OBJECT_LINE = b"data: {"
_BLANK_LINE = b"\n\n"
_NEXT_OBJECT_LINE = _BLANK_LINE + _OBJECT_LINE
_FIRST_EVENTS = 4
"""Events searched for the identifier and the model of the answer."""
_MOST_SHAPES = 8
"""Shapes learned from one stream; where events have more of them, looking for names is cheaper."""


class StreamMeter:
    """Meters one event stream."""

    __slots__ = (
        "_answer",
        "_decoder",
        "_filter",
        "_heads_left",
        "_shape",
        "_shapes_left",
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
        self._filter = UsageFilter() if hide_usage and self._decoder is None else None
        self._splitter = SseSplitter()
        self._text = GeneratedText()
        self._heads_left = _FIRST_EVENTS
        self._telling: tuple[bytes, ...] = _TELLING
        self._shape: EventShape | None = None
        self._shapes_left = _MOST_SHAPES
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

    def _parts(self, chunk: bytes) -> Iterator[bytes]:
        """Cut a burst into its first event, its middle, which seldom holds a fact, and its end, which often does.

        A part must be taken in before the next is asked for: what is learned from it says where the next one ends.
        """
        if self._heads_left or not self._splitter.between_events:
            begin = chunk.find(_BLANK_LINE) + len(_BLANK_LINE)
            if begin < len(_BLANK_LINE):
                yield chunk
                return
            yield chunk[:begin]
            chunk = chunk[begin:]
        end = self._alike_until(chunk) or chunk.rfind(_BLANK_LINE, 0, -_TAIL) + len(_BLANK_LINE)
        if end >= len(_BLANK_LINE):
            yield chunk[:end]
            chunk = chunk[end:]
        if chunk:
            yield chunk

    def _alike_until(self, chunk: bytes) -> int:
        """Where the last event of *chunk* ends that looks like its first one; 0 where that is not known."""
        if self._heads_left:
            return 0
        self._learn(chunk)
        shape = self._shape
        if shape is None or not chunk.startswith(shape.before):
            return 0
        last = chunk.rfind(shape.between or shape.after)
        return 0 if last < 0 else chunk.find(shape.after, last) + len(shape.after)

    def _learn(self, data: bytes) -> None:
        """Take the shape of the first event of *data* where it is a new one and holds no fact."""
        if not self._shapes_left or (self._shape is not None and data.startswith(self._shape.before)):
            return
        self._shapes_left -= 1
        event = data[: data.find(_BLANK_LINE) + len(_BLANK_LINE)]
        if event.startswith(_OBJECT_LINE) and not self._may_hold_fact(event):
            self._shape = EventShape.of(event) or self._shape

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
        if self._heads_left or not self._splitter.between_events:
            return False
        self._learn(data)
        events = self._shape.events_in(data) if self._shape is not None else 0
        events = events or self._events_without_fact(data)
        if not events:
            return False
        self.events += events
        self._text.add(data)
        return True

    def _events_without_fact(self, data: bytes) -> int:
        """How many events *data* is, if it is whole events of one data line each without the name of a fact."""
        if not data.startswith(_OBJECT_LINE) or not data.endswith(_BLANK_LINE):
            return 0
        events, odd = divmod(data.count(b"\n"), len(_BLANK_LINE))
        if odd or b"\r" in data or self._may_hold_fact(data):
            return 0
        if events > 1 and data.count(_NEXT_OBJECT_LINE) != events - 1:
            return 0
        return events

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
            self._shape = None
        self._heads_left = 0 if self._answer.identified else max(0, self._heads_left - 1)
        self.terminal = self.terminal or self._answer.has_error or self._answer.ended
        if envelope is None or not _is_extra_usage(envelope):
            return False
        return len(raw) <= LONGEST_HIDDEN and HAS_CHOICE.search(raw) is None

    def _may_hold_fact(self, data: bytes) -> bool:
        """Whether a name of a fact stands in *data* with a value other than null. Text is escaped and cannot look so.

        Counting runs at memory speed, five times as fast as a search by pattern. A false alarm only costs a parse.
        """
        for name, null, spaced in _NULLABLE:
            others = data.count(name)
            if others and (others := others - data.count(null)) and others != data.count(spaced):
                return True
        for name in self._telling:  # noqa: SIM110  (`any` costs as much as the search)
            if name in data:
                return True
        return False

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
