"""One exchange: a client's request, one or more attempts on upstreams, and the answer on its way back.

The send loop is ours, because only it knows what reached the client. One `receive()` stays pending beside it: that is
where the server says that the client has left. Whatever ends the exchange, the open attempt is closed, which is
synchronous, before anything else is awaited.
"""

import asyncio
from collections import deque
from enum import Enum, auto

import msgspec

from service.errors import UpstreamError, UpstreamTimeoutError, UpstreamUnreachableError
from service.ledger.record import clip, uuid7, uuid_text
from service.relay import headers as crossing
from service.relay.admitted import Admitted
from service.relay.attempt import OK_STATUSES, Attempt, Times
from service.relay.body import Receive, Send
from service.relay.context import Interruptible, RelayContext
from service.relay.forward import BodyForward, Ending, answer_failure, ending_of, forward_stream
from service.relay.recording import Recording
from service.relay.reply import Reply
from service.relay.request import with_model, with_output_cap, with_usage_option
from service.upstream.client import UpstreamCall, UpstreamRequest
from service.upstream.provider import Provider
from service.usage.meter import BodyMeter, StreamMeter

TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500
REFUSES_AN_OPTION = (400, 422)
EVENT_STREAM = b"text/event-stream"


class Verdict(Enum):
    """What an attempt came to."""

    ANSWERED = auto()
    """The client has its answer, or has left."""
    NEXT_UPSTREAM = auto()
    """Nothing went to the client; another upstream may be asked."""
    WITHOUT_USAGE_OPTION = auto()
    """The upstream refused the option that we had added; the same once more without it."""


class Exchange(Interruptible):
    """One admitted request. `run` answers the client and leaves one record per attempt."""

    def __init__(self, context: RelayContext, admitted: Admitted, *, receive: Receive, send: Send) -> None:
        self._context = context
        self._admitted = admitted
        self._receive = receive
        self.reply = Reply(send)
        self._attempt: Attempt | None = None
        self._call: UpstreamCall | None = None
        self._interrupted = False
        self._option_refused = False
        self._gave_way: tuple[Attempt, Ending] | None = None
        self._drain_timer: asyncio.TimerHandle | None = None
        self._recording: Recording | None = None
        if admitted.capture is not None:
            self._recording = Recording(context.capturer, admitted.capture, body=admitted.body)

    async def run(self) -> None:
        """Answer the client. Raises JournalFullError where not even the first attempt could be recorded."""
        watch = asyncio.ensure_future(self._watch_client())
        self._context.exchanges.add(self)
        try:
            await self._make_attempts()
        finally:
            self._context.exchanges.discard(self)
            watch.cancel()
            self._end_drain()
            if self._recording is not None:
                self._recording.finish(self._attempt)

    @property
    def streaming(self) -> bool:
        """Whether the client asked for a stream."""
        return bool(self._admitted.request.stream)

    def interrupt(self) -> None:
        """The relay is shutting down and has waited long enough."""
        self._interrupted = True
        if self._call is not None:
            self._call.abort()

    async def _watch_client(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.reply.gone = True
        attempt, call = self._attempt, self._call
        if attempt is None or call is None:
            return
        worth_reading = (
            attempt.closed or attempt.provider.drains
        )  # closed: all but the end of the connection is here
        if not worth_reading or not self._start_drain(call):
            call.abort()

    def _start_drain(self, call: UpstreamCall) -> bool:
        """Read on for the true usage, within bounds; False where too many are doing so already."""
        context = self._context
        if context.disconnect_drains >= context.settings.max_disconnect_drains:
            return False
        context.disconnect_drains += 1
        loop = asyncio.get_running_loop()
        self._drain_timer = loop.call_later(context.settings.disconnect_drain_s, call.abort)
        return True

    def _end_drain(self) -> None:
        if self._drain_timer is not None:
            self._drain_timer.cancel()
            self._drain_timer = None
            self._context.disconnect_drains -= 1

    async def _make_attempts(self) -> None:
        candidates = deque(self._admitted.candidates)
        provider = candidates.popleft()
        ask_usage = self._should_ask_usage(provider)
        number = 1
        while True:
            verdict = await self._make_attempt(
                provider, number=number, ask_usage=ask_usage, alternative=bool(candidates)
            )
            number += 1
            match verdict:
                case Verdict.ANSWERED:
                    return
                case Verdict.NEXT_UPSTREAM:
                    provider = candidates.popleft()
                    ask_usage = self._should_ask_usage(provider)
                    self._option_refused = False
                case Verdict.WITHOUT_USAGE_OPTION:
                    ask_usage = False
                    self._option_refused = True

    async def _make_attempt(
        self, provider: Provider, *, number: int, ask_usage: bool, alternative: bool
    ) -> Verdict:
        try:
            attempt = self._open(provider, number)
        finally:
            self._close_the_one_before()
        self._attempt = attempt
        try:
            call = self._context.client.call(
                self._upstream_request(attempt, ask_usage=ask_usage), timeouts=provider.timeouts
            )
            if self._recording is not None:
                call = self._recording.of(call)
            self._call = call
            if self.reply.gone or self._interrupted:  # while the attempt before this one was being given up
                call.abort()
            verdict = await self._converse(attempt, call, ask_usage=ask_usage, alternative=alternative)
            await call.release()
        except BaseException as error:
            cause = "cancelled" if isinstance(error, asyncio.CancelledError) else "internal_error"
            attempt.close("interrupted", error_type="interrupted", error_code=cause)
            if self._call is not None:
                self._call.abort()
            raise
        return verdict

    async def _converse(
        self, attempt: Attempt, call: UpstreamCall, *, ask_usage: bool, alternative: bool
    ) -> Verdict:
        await attempt.opened()
        attempt.times.called = attempt.now()
        answering = False
        try:
            attempt.answered(await call.head())
            answering = True
            self._learn(attempt)
            if _is_event_stream(attempt):
                meter = StreamMeter(
                    attempt.provider.dialect,
                    hide_usage=ask_usage,
                    choices=self._admitted.request.n or 1,
                    encoding=attempt.content_encoding,
                )
                attempt.meter = meter
                await forward_stream(attempt, call, meter=meter, reply=self.reply)
                return Verdict.ANSWERED
            return await self._forward_body(attempt, call, ask_usage=ask_usage, alternative=alternative)
        except UpstreamError as error:
            if attempt.closed:
                return await self._end_after_record()
            ending = ending_of(
                error, gone=self.reply.gone, interrupted=self._interrupted, answering=answering
            )
            if _nothing_sent(error) and alternative and self._may_retry():
                return self._give_way(attempt, ending)
            await answer_failure(attempt, error, ending, reply=self.reply)
            return Verdict.ANSWERED

    async def _forward_body(
        self, attempt: Attempt, call: UpstreamCall, *, ask_usage: bool, alternative: bool
    ) -> Verdict:
        meter = BodyMeter(attempt.provider.dialect, encoding=attempt.content_encoding)
        attempt.meter = meter
        forward = BodyForward(
            attempt,
            call,
            meter=meter,
            reply=self.reply,
            limit=self._context.settings.max_answer_buffer_bytes,
        )
        await forward.receive()
        status = attempt.status or 0
        if not self.reply.started and not self.reply.gone and not self._interrupted:
            if ask_usage and status in REFUSES_AN_OPTION and forward.mentions(b"stream_options"):
                self._give_way(attempt, forward.ending())
                return Verdict.WITHOUT_USAGE_OPTION
            failing = status == TOO_MANY_REQUESTS or status >= SERVER_ERROR
            if failing and alternative and self._may_retry():
                return self._give_way(attempt, forward.ending())
        await forward.finish()
        return Verdict.ANSWERED

    async def _end_after_record(self) -> Verdict:
        """The upstream failed after its terminal event: the answer was whole."""
        await self.reply.finish()
        return Verdict.ANSWERED

    def _give_way(self, attempt: Attempt, ending: Ending) -> Verdict:
        """The client does not get the answer of *attempt*, but that of the next.

        It is closed when the next one is in the journal, so that a crash between the two leaves a final record.
        """
        self._gave_way = attempt, ending
        return Verdict.NEXT_UPSTREAM

    def _close_the_one_before(self) -> None:
        if self._gave_way is None:
            return
        attempt, ending = self._gave_way
        self._gave_way = None
        attempt.close(ending.outcome, final=False, error_type=ending.error_type, error_code=ending.error_code)

    def _learn(self, attempt: Attempt) -> None:
        """Only where leaving the option out has helped is it at fault: any client can provoke such an error."""
        if self._option_refused and attempt.status in OK_STATUSES:
            self._context.refuses_stream_options.add(attempt.provider.name)

    def _may_retry(self) -> bool:
        return not self.reply.gone and not self._interrupted and self._context.retry_allowance.take()

    def _should_ask_usage(self, provider: Provider) -> bool:
        request = self._admitted.request
        return bool(
            request.stream
            and not request.wants_usage
            and provider.dialect.stream_usage == "inject"
            and provider.name not in self._context.refuses_stream_options
        )

    def _open(self, provider: Provider, number: int) -> Attempt:
        admitted, clock = self._admitted, self._context.clock
        shared = admitted.opening
        times = Times(admitted.started)
        if number > 1:
            shared.attempt, shared.started_at = number, clock.micros()
            shared.id = uuid7(shared.started_at, clock.random_bytes(8))
            times = Times(clock.monotonic())
        opening = msgspec.structs.replace(
            shared,
            upstream=provider.name,
            provider=provider.provider,
            upstream_model=clip(self._model_for(provider)),
        )
        return Attempt(
            self._context,
            opening=opening,
            provider=provider,
            admitted=admitted,
            times=times,
        )

    def _model_for(self, provider: Provider) -> str:
        model = self._admitted.request.model
        return provider.model_map.get(model, model)

    def _upstream_request(self, attempt: Attempt, *, ask_usage: bool) -> UpstreamRequest:
        provider = attempt.provider
        headers = crossing.to_upstream(
            self._admitted.headers,
            api_key=provider.api_key,
            provider=provider.provider,
            request_id=uuid_text(attempt.opening.id),
        )
        body = with_usage_option(self._admitted.body) if ask_usage else self._admitted.body
        model = self._model_for(provider)
        if model != self._admitted.request.model:
            body = with_model(body, model)
        cap = self._admitted.holds.output_cap
        if cap is not None:
            body = with_output_cap(body, cap, provider=provider.provider)
        return UpstreamRequest("POST", provider.chat_url, headers, body)


def _nothing_sent(error: UpstreamError) -> bool:
    """Whether asking somebody else cannot bill anybody twice."""
    return isinstance(error, UpstreamUnreachableError) or (
        isinstance(error, UpstreamTimeoutError) and error.phase == "connect"
    )


def _is_event_stream(attempt: Attempt) -> bool:
    assert attempt.head is not None
    content_type = crossing.header(attempt.head.headers, b"content-type") or b""
    return attempt.head.status in OK_STATUSES and content_type.lower().startswith(EVENT_STREAM)
