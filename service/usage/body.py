"""The meter of an answer that is one JSON body: bytes in, facts out. Pure; never raises on garbage.

Memory is bounded: of a body beyond `LARGEST_BODY` the head and the tail are kept, and what names, ends and
counts the answer is searched there. Flags: `salvaged` (the body is not one JSON object that could be decoded;
facts were found by their names), `oversized`, `undecodable` (compressed in a way we cannot read), `inflated`
(compressed, and so long that the rest was not read).
"""

from service.usage.answer import Answer
from service.usage.dialects import Dialect
from service.usage.encoding import ContentDecoder, is_identity
from service.usage.envelope import Envelope, envelope_of, first_item
from service.usage.metered import Metered
from service.usage.salvage import salvage
from service.usage.text import NO_TEXT, TextMeasure, generated_text

LARGEST_BODY = 16 * 1024 * 1024
"""Bytes of a body kept whole."""
_EDGE = 64 * 1024
_BOM = b"\xef\xbb\xbf"


class BodyMeter:
    """Meters one JSON body."""

    __slots__ = ("_decoder", "_dialect", "_head", "_parts", "_size", "_tail", "_text")

    def __init__(self, dialect: Dialect, *, encoding: str | None = None) -> None:
        self._dialect = dialect
        self._decoder = None if is_identity(encoding) else ContentDecoder(encoding)
        self._parts: list[bytes] = []
        self._size = 0
        self._head = b""
        self._tail = bytearray()
        self._text = NO_TEXT

    def feed(self, chunk: bytes) -> bytes:
        """Take in *chunk*; returns it as it is."""
        if self._decoder is None:
            self._keep(chunk)
        else:
            for piece in self._decoder.decode(chunk):
                self._keep(piece)
        return chunk

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        self._size += len(data)
        if self._head:
            self._keep_tail(data)
            return
        self._parts.append(data)
        if self._size > LARGEST_BODY:
            whole = b"".join(self._parts)
            self._parts.clear()
            self._head = whole[:_EDGE]
            self._text = generated_text(whole)
            self._keep_tail(whole[_EDGE:])

    def result(self) -> Metered:
        """The facts of the body so far."""
        answer = Answer(self._dialect)
        if self._decoder is not None and self._decoder.flag is not None:
            answer.flags.add(self._decoder.flag)
        if self._head:
            return self._oversized(answer)
        data = b"".join(self._parts).removeprefix(_BOM)
        self._parts = [data]
        envelope = _one_object(data)
        if envelope is None and data:
            answer.flags.add("salvaged")
            answer.read(salvage(data))
        elif envelope is not None:
            answer.read(envelope)
        return answer.metered(events=0, terminal=envelope is not None)

    def generated(self) -> TextMeasure:
        """The generated text seen, for estimates; of an oversized body that of its first 16 MiB."""
        return self._text if self._head else generated_text(b"".join(self._parts))

    def _oversized(self, answer: Answer) -> Metered:
        answer.flags |= {"oversized", "salvaged"}
        answer.read(salvage(self._head + b"\n" + bytes(self._tail)))
        return answer.metered(events=0, terminal=self._tail.rstrip().endswith(b"}"))

    def _keep_tail(self, data: bytes) -> None:
        self._tail += data
        del self._tail[:-_EDGE]


def _one_object(data: bytes) -> Envelope | None:
    """The body; Gemini wraps its errors in an array."""
    envelope = envelope_of(data)
    if envelope is None and (item := first_item(data)) is not None:
        return envelope_of(item)
    return envelope
