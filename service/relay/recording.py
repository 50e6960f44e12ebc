"""What the relay keeps of a request's content, where its project wants that: the glue to `service.content`.

The answer is recorded as the upstream sends it, chunk by chunk, beside forwarding it. Everything else happens after the
record is closed and the client has its answer.
"""

from collections.abc import AsyncIterator
from typing import Self

from service.content.capturer import Capturer, Conversation
from service.content.parts import Taken
from service.content.policy import Capture
from service.content.tape import Tape
from service.relay.attempt import Attempt
from service.upstream.call import Head, UpstreamCall
from service.usage.meter import StreamMeter


class Recording:
    """The content of one exchange: of its last attempt, whose answer the client got."""

    def __init__(self, capturer: Capturer, capture: Capture, *, body: bytes) -> None:
        self._capturer = capturer
        self._capture = capture
        self._body = body
        self._tape = capturer.tape()

    def of(self, call: UpstreamCall) -> UpstreamCall:
        """The same call, whose answer is recorded in place of the one before it."""
        self._tape.erase()
        return _RecordedCall(call, self._tape)

    def finish(self, attempt: Attempt | None) -> None:
        """Hand over what there is, once the record of the last *attempt* is closed."""
        record = None if attempt is None else attempt.record
        if attempt is None or record is None or not record.final:
            self._tape.erase()
            return
        assert record.project is not None  # who may ask has a key
        assert record.key_id is not None
        self._capturer.put(
            Conversation(
                record_id=record.id,
                request_id=record.request_id,
                project=record.project,
                key_id=record.key_id,
                end_user=record.end_user,
                started_at=record.started_at,
                capture=self._capture,
                request=Taken(data=self._body, size=len(self._body)),
                answer=None if attempt.head is None else self._answer(attempt),
                held=self._tape.held,
            )
        )

    def _answer(self, attempt: Attempt) -> Taken:
        is_stream = isinstance(attempt.meter, StreamMeter)
        facts = attempt.facts()
        ended = facts is not None and facts.complete if is_stream else attempt.times.ended is not None
        return Taken(
            data=self._tape.content(),
            size=self._tape.size,
            is_whole=ended and self._tape.is_whole,
            is_stream=is_stream,
            encoding=attempt.content_encoding,
        )


class _RecordedCall:
    """A call whose body is also written to a tape."""

    def __init__(self, call: UpstreamCall, tape: Tape) -> None:
        self._call = call
        self._tape = tape
        self.abort = call.abort
        self.release = call.release

    async def head(self) -> Head:
        return await self._call.head()

    def chunks(self) -> AsyncIterator[bytes]:
        return _RecordedChunks(self._call.chunks(), self._tape)


class _RecordedChunks:
    def __init__(self, chunks: AsyncIterator[bytes], tape: Tape) -> None:
        self._chunks = chunks
        self._tape = tape

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._chunks)
        self._tape.add(chunk)
        return chunk
