"""The upstream's answer to the client, byte for byte, metered on the way.

A stream leaves event by event as it comes; its record is in the journal before `[DONE]` goes, or before the end where
there is no `[DONE]`. A body is held back up to a limit so that its cost can stand in its headers; beyond the limit it
streams without them.
"""

import msgspec

from service.errors import UpstreamBrokenError, UpstreamError
from service.ledger.record import Outcome, uuid_text
from service.pricing.money import format_usd
from service.relay import headers as crossing
from service.relay.attempt import OK_STATUSES, Attempt
from service.relay.failures import Failure, error_headers, error_json, failure_for
from service.relay.reply import Headers, Reply
from service.upstream.client import UpstreamCall
from service.usage.meter import BodyMeter, StreamMeter


class Ending(msgspec.Struct, frozen=True):
    """Why an answer ended, as it is recorded."""

    outcome: Outcome
    error_type: str | None = None
    error_code: str | None = None
    message: str | None = None


def ending_of(error: UpstreamError, *, gone: bool, interrupted: bool, answering: bool) -> Ending:
    """How an upstream's failure is recorded. A client that has left, and our own shutdown, outrank it."""
    failure: Failure = failure_for(error)
    if gone:
        return Ending("client_disconnect", "client_disconnect", None, str(error))
    if interrupted:
        return Ending("interrupted", "service_unavailable", "shutting_down", "The relay is shutting down.")
    outcome = failure.outcome
    if isinstance(error, UpstreamBrokenError) and not answering:
        outcome = "upstream_error"
    return Ending(outcome, failure.type, failure.code, str(error))


async def forward_stream(attempt: Attempt, call: UpstreamCall, *, meter: StreamMeter, reply: Reply) -> None:
    """Forward an event stream to its end. Raises UpstreamError where it broke off; the attempt is still open then."""
    assert attempt.head is not None
    await reply.start(attempt.head.status, answer_headers(attempt))
    times = attempt.times
    async for chunk in call.chunks():
        out = meter.feed(chunk)
        if times.first_event is None and meter.events:
            times.first_event = attempt.now()
        if attempt.closed:
            await reply.write(out)
            continue
        if meter.terminal:
            await _settle_stream(attempt, reply=reply, pending=len(out))
        else:
            attempt.note_progress(meter, bytes_out=reply.bytes_sent)
        if out:
            await reply.write(out)
    rest = meter.end()
    if not attempt.closed:
        await _settle_stream(attempt, reply=reply, pending=len(rest))
    await reply.finish(rest)


async def _settle_stream(attempt: Attempt, *, reply: Reply, pending: int) -> None:
    facts = attempt.facts()
    assert facts is not None
    ending = Ending("ok")
    if facts.has_error:
        ending = Ending("midstream_error", facts.error_type or "upstream_error", facts.error_code)
    elif reply.gone:
        ending = Ending("client_disconnect", "client_disconnect")
    elif not facts.complete:
        ending = Ending("truncated", "upstream_error", "stream_ended_early")
    attempt.bytes_out = reply.bytes_sent + (0 if reply.gone else pending)
    attempt.close(ending.outcome, error_type=ending.error_type, error_code=ending.error_code)
    await attempt.settled()


async def answer_failure(attempt: Attempt, error: UpstreamError, ending: Ending, *, reply: Reply) -> None:
    """Record an attempt whose upstream has failed, then tell the client in whatever way is left."""
    if reply.started and isinstance(attempt.meter, StreamMeter):
        await _end_broken_stream(attempt, ending, reply=reply)
        return
    failure = failure_for(error)
    status = None if reply.gone else reply.status or failure.status
    attempt.bytes_out = reply.bytes_sent
    attempt.close(
        ending.outcome, error_type=ending.error_type, error_code=ending.error_code, http_status=status
    )
    await attempt.settled()
    if reply.started:
        return  # a body without its end: the server closes the connection, which is what happened upstream
    body = error_json(
        ending.message or str(error),
        type=ending.error_type or failure.type,
        code=ending.error_code or failure.code,
    )
    headers = error_headers(error, failure)
    headers.append((b"x-request-id", uuid_text(attempt.opening.request_id).encode()))
    headers.append((b"x-tollkeeper-upstream", attempt.provider.name.encode()))
    headers.append((b"content-length", b"%d" % len(body)))
    await reply.start(failure.status, headers)
    await reply.finish(body)


async def _end_broken_stream(attempt: Attempt, ending: Ending, *, reply: Reply) -> None:
    """Tell the client of a stream that it is not whole: an error event, as SDKs understand it, then the end."""
    attempt.bytes_out = reply.bytes_sent
    attempt.close(ending.outcome, error_type=ending.error_type, error_code=ending.error_code)
    await attempt.settled()
    error = error_json(
        ending.message or "The stream broke off.",
        type=ending.error_type or "upstream_error",
        code=ending.error_code,
    )
    await reply.finish(b"\n\ndata: " + error + b"\n\n")


class BodyForward:
    """A non-stream answer on its way."""

    def __init__(
        self, attempt: Attempt, call: UpstreamCall, *, meter: BodyMeter, reply: Reply, limit: int
    ) -> None:
        self._attempt = attempt
        self._call = call
        self._meter = meter
        self._reply = reply
        self._limit = limit
        self.parts: list[bytes] = []
        self._held = 0

    async def receive(self) -> None:
        """Read the answer to its end; what exceeds the limit is on its way already. Raises UpstreamError."""
        async for chunk in self._call.chunks():
            self._meter.feed(chunk)
            if self._reply.started:
                await self._reply.write(chunk)
                continue
            self.parts.append(chunk)
            self._held += len(chunk)
            if self._held > self._limit:
                assert self._attempt.head is not None
                await self._reply.start(self._attempt.head.status, answer_headers(self._attempt))
                for part in self.parts:
                    await self._reply.write(part)
                self.parts.clear()
        self._attempt.times.ended = self._attempt.now()

    def mentions(self, word: bytes) -> bool:
        """Whether *word* stands in an answer that was held back."""
        return word in b"".join(self.parts)

    async def finish(self) -> None:
        """Record the answer, then let the client have its last byte."""
        attempt, reply = self._attempt, self._reply
        status = attempt.status or 0
        body = b"".join(self.parts)
        ending = self.ending()
        attempt.bytes_out = reply.bytes_sent + (0 if reply.gone else len(body))
        record = attempt.close(ending.outcome, error_type=ending.error_type, error_code=ending.error_code)
        await attempt.settled()
        if reply.started:
            await reply.finish()
            return
        headers = answer_headers(attempt)
        headers.append((b"content-length", b"%d" % len(body)))
        if status in OK_STATUSES:
            headers.append((b"x-tollkeeper-cost-status", record.cost_status.encode()))
            if record.cost_nanos is not None:
                headers.append((b"x-tollkeeper-cost-usd", format_usd(record.cost_nanos).encode()))
        await reply.start(status, headers)
        await reply.finish(body)

    def ending(self) -> Ending:
        """How the answer is recorded."""
        facts = self._attempt.facts()
        assert facts is not None
        if self._reply.gone:
            return Ending("client_disconnect", "client_disconnect")
        if self._attempt.status not in OK_STATUSES or facts.has_error:
            return Ending("upstream_error", facts.error_type or "upstream_error", facts.error_code)
        return Ending("ok")


def answer_headers(attempt: Attempt) -> Headers:
    """The head of a forwarded answer: what may cross, and what we say ourselves."""
    assert attempt.head is not None
    headers = crossing.to_client(attempt.head.headers)
    headers.append((b"x-request-id", uuid_text(attempt.opening.request_id).encode()))
    headers.append((b"x-tollkeeper-upstream", attempt.provider.name.encode()))
    headers.append((b"x-tollkeeper-overhead-ms", b"%.3f" % attempt.overhead_ms()))
    if attempt.upstream_request_id is not None:
        identifier = attempt.upstream_request_id.encode("latin-1", "replace")
        headers.append((b"x-tollkeeper-upstream-request-id", identifier))
    headers += attempt.holds.headers()
    return headers
