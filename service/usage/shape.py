"""The shape of the events of one stream: nearly all are the same but for their text. Pure.

Of an event without facts is remembered what stands before, between and after its text and its padding
(`obfuscation`). Bytes made of nothing but these pieces and of texts without a quotation mark hold no fact either,
because every name of a fact stands in quotation marks. Telling that costs a third of looking for the names.
"""

import re

import msgspec

_TEXT = re.compile(rb'"(?:content|reasoning|reasoning_content|text|arguments)": ?"')
_PADDING = re.compile(rb'"obfuscation": ?"')
_QUOTE = b'"'
_BLANK_LINE = b"\n\n"


class EventShape(msgspec.Struct, frozen=True, gc=False):
    """What the events of a stream have in common."""

    before: bytes
    """From `data:` up to the first character of the text."""
    between: bytes
    """From the end of the text to the padding; empty where there is none."""
    after: bytes
    """From the end of the last text to the blank line, which is included."""
    joint: bytes
    """Where two events meet: `after` and `before`."""
    quotes: int
    """Quotation marks of an event."""

    @classmethod
    def of(cls, event: bytes) -> "EventShape | None":
        """The shape of *event*, one line and a blank one without facts; None where no text is found in it."""
        text = _hole(event, _TEXT)
        if text is None:
            return None
        begin, end = text
        before, after, between = event[:begin], event[end:], b""
        padding = _hole(after, _PADDING)
        if padding is not None:
            between, after = after[: padding[0]], after[padding[1] :]
        quotes = sum(piece.count(_QUOTE) for piece in (before, between, after))
        return cls(before, between, after, after + before, quotes)

    def events_in(self, data: bytes) -> int:
        """How many events *data* is, if it is whole events of this shape and nothing else; 0 otherwise."""
        if not data.startswith(self.before) or not data.endswith(self.after) or b"\r" in data:
            return 0
        events, odd = divmod(data.count(b"\n"), len(_BLANK_LINE))
        if odd or data.count(_QUOTE) != events * self.quotes:
            return 0
        if events > 1 and data.count(self.joint) != events - 1:
            return 0
        return 0 if self.between and data.count(self.between) != events else events


def _hole(event: bytes, name: re.Pattern[bytes]) -> tuple[int, int] | None:
    """Begin and end of the text behind *name*; None without one, or where it is escaped and its end unclear."""
    found = name.search(event)
    if found is None:
        return None
    begin = found.end()
    end = event.find(_QUOTE, begin)
    return (begin, end) if end >= 0 and b"\\" not in event[begin:end] else None
