"""One attempt on one upstream, and its one record: INTENT when it begins, COMPLETION when it ends.

`close` is synchronous and idempotent, so that whatever ends the exchange, also a cancellation, can call it first.
"""

from service.errors import UpstreamBrokenError
from service.ledger.record import Intent, Opening, Outcome, Progress, RequestRecord, begin_record, clip
from service.relay.admitted import Admitted
from service.relay.charging import Question, charge, charge_nothing
from service.relay.context import RelayContext
from service.relay.headers import header, upstream_request_id
from service.upstream.call import Head
from service.upstream.provider import Provider
from service.usage.estimate import estimate_output
from service.usage.meter import BodyMeter, Metered, StreamMeter

MS = 1_000.0
OK_STATUSES = range(200, 300)
STATUSES = range(200, 600)
PROGRESS_EVERY_S = 1.0
PROGRESS_EVERY_EVENTS = 256
LARGEST_TEXT_BODY = 256 * 1024


class Times:
    """Monotonic instants of one attempt, in seconds."""

    __slots__ = ("answered", "called", "ended", "first_event", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        self.called = started
        self.answered: float | None = None
        self.first_event: float | None = None
        self.ended: float | None = None


class Attempt:
    """The books of one attempt."""

    def __init__(
        self,
        context: RelayContext,
        *,
        opening: Opening,
        provider: Provider,
        admitted: Admitted,
        times: Times,
    ) -> None:
        self._context = context
        self._request = admitted.request
        self._body = admitted.body
        self.holds = admitted.holds
        self.opening = opening
        self.provider = provider
        self.times = times
        self.head: Head | None = None
        self.meter: StreamMeter | BodyMeter | None = None
        self.upstream_request_id: str | None = None
        self.bytes_out = 0
        self.record: RequestRecord | None = None
        self._progress_at = times.started
        self._progress_events = 0
        self._facts: Metered | None = None
        self._position = context.journal.open(Intent(opening, *rough_prompt(len(self._body))))

    def now(self) -> float:
        """Monotonic seconds."""
        return self._context.clock.monotonic()

    async def opened(self) -> None:
        """Wait until the INTENT is as safe as `durability` promises."""
        if self._context.settings.durability == "fsync":
            await self._context.journal.synced(self._position)

    def answered(self, head: Head) -> None:
        """The upstream's response head has come. Raises UpstreamBrokenError for a status that HTTP does not have."""
        if head.status not in STATUSES:
            raise UpstreamBrokenError(f"{self.provider.name} answered with status {head.status}")
        self.times.answered = self.now()
        self.head = head
        self.upstream_request_id = upstream_request_id(head.headers)

    @property
    def status(self) -> int | None:
        """The upstream's HTTP status; None before it answered."""
        return None if self.head is None else self.head.status

    @property
    def content_encoding(self) -> str | None:
        """How the upstream encoded its body, though asked for identity."""
        value = header(self.head.headers, b"content-encoding") if self.head is not None else None
        return None if value is None else value.decode("latin-1").lower()

    def overhead_ms(self) -> float:
        """Milliseconds spent on our side so far: before the call, and after the answer was there."""
        times = self.times
        waited_until = times.ended or times.answered or times.called
        return (times.called - times.started + self.now() - waited_until) * MS

    @property
    def closed(self) -> bool:
        """Whether the record is in the journal."""
        return self.record is not None

    def close(
        self,
        outcome: Outcome,
        *,
        final: bool = True,
        error_type: str | None = None,
        error_code: str | None = None,
        http_status: int | None = None,
    ) -> RequestRecord:
        """Complete the record once; later calls change nothing."""
        if self.record is not None:
            return self.record
        record = begin_record(self.opening)
        self.record = record
        record.final = final
        record.outcome = outcome
        record.error_type = clip(error_type)
        record.error_code = clip(error_code)
        record.http_status = http_status if http_status is not None else self.status
        record.upstream_request_id = clip(self.upstream_request_id)
        record.bytes_out = self.bytes_out
        self._add_times(record)
        self._add_usage(record)
        if final:
            self.holds.settle(record)
        self._position = self._context.journal.complete(record)
        in_memory = (
            self._context.settings.durability == "store"
        )  # until the store has it, as `settled` waits for it
        self._context.recorder.put(record, may_spill=not in_memory)
        return record

    async def settled(self) -> None:
        """Wait until the record is as safe as `durability` promises."""
        match self._context.settings.durability:
            case "fsync":
                await self._context.journal.synced(self._position)
            case "store":
                assert self.record is not None
                await self._context.recorder.committed(self.record)

    def note_progress(self, meter: StreamMeter, *, bytes_out: int) -> None:
        """Append a PROGRESS every second or 256 events."""
        now = self._context.clock.monotonic()
        if (
            now - self._progress_at < PROGRESS_EVERY_S
            and meter.events - self._progress_events < PROGRESS_EVERY_EVENTS
        ):
            return
        self._progress_at = now
        self._progress_events = meter.events
        facts = meter.result()
        output = estimate_output(meter.generated())
        self._context.journal.progress(
            Progress(
                id=self.opening.id,
                http_status=self.status or 200,
                bytes_out=bytes_out,
                chunks=meter.events,
                ttft_ms=self._ttft_ms(),
                input_tokens=facts.usage.input_tokens if facts.usage else None,
                output_tokens=facts.usage.output_tokens if facts.usage else output.tokens,
                output_low=output.low,
                output_high=output.high,
            )
        )

    def _ttft_ms(self) -> float | None:
        first = self.times.first_event
        return None if first is None else round((first - self.times.called) * MS, 3)

    def _add_times(self, record: RequestRecord) -> None:
        times = self.times
        now = self._context.clock.monotonic()
        record.duration_ms = round((now - times.started) * MS, 3)
        record.ttft_ms = self._ttft_ms()
        streaming = isinstance(self.meter, StreamMeter)
        record.overhead_ms = round(
            (times.called - times.started) * MS if streaming else self.overhead_ms(), 3
        )

    def facts(self) -> Metered | None:
        """What the answer said about itself; asked for once it has ended, None without an answer."""
        if self._facts is None and self.meter is not None:
            self._facts = self.meter.result()
        return self._facts

    def _add_usage(self, record: RequestRecord) -> None:
        facts = self.facts()
        if isinstance(self.meter, StreamMeter):
            record.chunks = self.meter.events
        failed = (
            facts is not None
            and facts.has_error
            and facts.usage is None
            and isinstance(self.meter, BodyMeter)
        )
        if facts is None or self.meter is None or self.status not in OK_STATUSES or failed:
            charge_nothing(record, facts)
            return
        context = self._context
        question = Question(
            self._request,
            self._body,
            context.calibrations,
            self.meter.generated,
            prefers_provider_cost=self.provider.prefers_provider_cost,
        )
        charge(record, facts, book=context.configuration.value.prices, question=question)


def rough_prompt(body_bytes: int) -> tuple[int | None, int | None, int | None]:
    """Tokens of a prompt by the size of its body, with bounds, should a crash leave nothing better.

    Measuring the text itself would cost more than the rest of the books. A large body holds media: nobody can tell.
    """
    if body_bytes > LARGEST_TEXT_BODY:
        return None, None, None
    return body_bytes // 4, body_bytes // 12, body_bytes
