"""The door of the relay: who asks, what for, and which upstreams may serve it; or a refusal, which is recorded too."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from service.errors import (
    AuthenticationError,
    InvalidRequestError,
    JournalFullError,
    ModelNotAllowedError,
    ModelUnpricedError,
    TooManyFailuresError,
    UnavailableError,
)
from service.keys.snapshot import KeyGrant, KeyRefusal
from service.keys.token import sole_bearer_token
from service.ledger.idempotency import Claim
from service.ledger.record import Opening, begin_record, clip, uuid7, uuid_text
from service.logs import get_logger, request_id
from service.relay.admitted import Admitted
from service.relay.attribution import attribute
from service.relay.body import ClientGoneError, Receive, Send, read_body
from service.relay.candidate_prices import cards_at
from service.relay.context import RelayContext
from service.relay.exchange import Exchange
from service.relay.failures import INTERNAL, Failure, error_body, error_headers, failure_for
from service.relay.headers import Headers, header
from service.relay.holds import Question
from service.relay.random_pool import RandomPool
from service.relay.reply import Reply
from service.relay.request import ChatRequest, parse
from service.relay.wrong_keys import FailureLimiter
from service.settings.proxies import TrustedProxies
from service.store.types import from_micros
from service.telemetry import trace_context
from service.upstream.provider import Provider

GONE = Failure(499, "client_disconnect", None, "client_disconnect")

INVALID_KEY = (
    "Incorrect API key provided. Send a Tollkeeper virtual key as `Authorization: Bearer tk_…`; "
    "`tollkeeper keys create` makes one."
)


class Door:
    """Judges one request after the other."""

    def __init__(self, context: RelayContext) -> None:
        self._context = context
        self._limiter = FailureLimiter()
        self._proxies = TrustedProxies(context.settings.trusted_proxies)
        self._chance = RandomPool(context.clock.random_bytes)

    async def chat_completions(
        self, headers: Headers, client: str | None, *, receive: Receive, send: Send
    ) -> None:
        """Answer `POST /v1/chat/completions`; every path leaves its records."""
        started = self._context.clock.monotonic()
        opening = self._opening(headers, client)
        try:
            admitted = await self._admit(opening, headers, started=started, receive=receive)
        except ClientGoneError:
            self._record(opening, GONE, http_status=None)
            return
        except Exception as error:  # noqa: BLE001  (the one place where a request's failures end)
            await self._refuse(opening, error, reply=Reply(send))
            return
        exchange = Exchange(self._context, admitted, receive=receive, send=send)
        try:
            await exchange.run()
        except JournalFullError as error:
            await self._refuse(opening, error, reply=exchange.reply)
            if admitted.claim is not None:
                await self._context.idempotency.release(admitted.claim)
        except Exception as error:  # noqa: BLE001  (its attempt is recorded; only the client is left to be told)
            await self._answer_error(opening, error, reply=exchange.reply)
        finally:
            admitted.holds.end()

    async def read_only(
        self,
        headers: Headers,
        client: str | None,
        *,
        send: Send,
        answer: Callable[[KeyGrant], Awaitable[Any]],
    ) -> None:
        """Answer a GET of the data plane as JSON: only its refusals for wrong keys are recorded, it uses nothing."""
        opening = self._opening(headers, client)
        reply = Reply(send)
        try:
            grant = self.authenticate(opening, headers)
            body = msgspec.json.encode(await answer(grant))
        except (AuthenticationError, TooManyFailuresError) as error:
            await self._refuse(opening, error, reply=reply)
            return
        except Exception as error:  # noqa: BLE001  (the one place where a request's failures end)
            await self._answer_error(opening, error, reply=reply)
            return
        await reply.start(
            200,
            [
                (b"content-type", b"application/json"),
                (b"x-request-id", uuid_text(opening.request_id).encode()),
                (b"content-length", b"%d" % len(body)),
            ],
        )
        await reply.finish(body)

    def authenticate(self, opening: Opening, headers: Headers) -> KeyGrant:
        """The key of a request. Raises AuthenticationError, TooManyFailuresError or UnavailableError."""
        configuration = self._context.configuration
        if configuration.stale:
            raise UnavailableError(
                "The store has been away for so long that keys cannot be trusted any more.",
                reason="store_unavailable",
            )
        values = [value.decode("latin-1") for name, value in headers if name == b"authorization"]
        token = sole_bearer_token(values)
        judged = configuration.value.keys.authenticate(token, now=from_micros(opening.started_at))
        grant = judged.grant if isinstance(judged, KeyRefusal) else judged
        if grant is not None:
            opening.key_id, opening.key_name, opening.project = grant.key_id, grant.name, grant.project
        if isinstance(judged, KeyRefusal):
            self._limiter.failed(opening.client_address, micros=opening.started_at)
            raise AuthenticationError(INVALID_KEY)
        return judged

    def _opening(self, headers: Headers, client: str | None) -> Opening:
        micros = self._context.clock.micros()
        identifier = uuid7(micros, self._chance.take(8))
        request_id.set(identifier)
        agent = header(headers, b"user-agent")
        return Opening(
            id=identifier,
            request_id=identifier,
            attempt=1,
            started_at=micros,
            client_address=self._address(headers, client),
            user_agent=None if agent is None else clip(agent.decode("utf-8", "replace")),
        )

    def _address(self, headers: Headers, client: str | None) -> str | None:
        """The peer, or behind trusted proxies the last address that none of them is."""
        forwarded = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        return self._proxies.client(client, forwarded=forwarded.decode("latin-1"))

    async def _admit(
        self, opening: Opening, headers: Headers, *, started: float, receive: Receive
    ) -> Admitted:
        context = self._context
        grant = self.authenticate(opening, headers)
        if context.traced:
            opening.traceparent = trace_context.of_headers(headers)
        self._require_open()
        body = await self._read(headers, receive)
        opening.bytes_in = len(body)
        try:
            request = parse(body)
        except InvalidRequestError:
            _attribute(opening, headers, None)
            raise
        opening.requested_model = clip(request.model)
        opening.stream = bool(request.stream)
        _attribute(opening, headers, request)
        for model in request.named_models():
            if not grant.allows(model):
                raise ModelNotAllowedError(f"The API key may not use the model `{clip(model, 100)}`.")
        candidates = context.router.candidates(request.model)
        if context.accounting.on_unpriced == "deny":
            candidates = self._priced(candidates, request, opening)
        claim = await self._claim(opening, headers, body)
        holds = await context.holding.take(
            Question(opening, grant, request, body, candidates),
            book=context.configuration.value.budgets,
            prices=context.configuration.value.prices,
        )
        context.retry_allowance.earn()
        return Admitted(
            opening, request, body, headers, candidates, started, holds, claim, capture=grant.capture
        )

    async def _claim(self, opening: Opening, headers: Headers, body: bytes) -> Claim | None:
        value = header(headers, b"idempotency-key")
        if value is None:
            return None
        return await self._context.idempotency.claim(value, opening, body=body)

    def _require_open(self) -> None:
        context = self._context
        if context.draining:
            raise UnavailableError(
                "The relay is shutting down; send the request again.", reason="shutting_down"
            )
        if context.settings.durability == "store" and not context.recorder.store_available:
            raise UnavailableError(
                'The store is away, and `durability = "store"` needs it.', reason="store_unavailable"
            )

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        encoding = header(headers, b"content-encoding")
        if encoding is not None and encoding.strip().lower() != b"identity":
            raise InvalidRequestError("Send the request body without Content-Encoding.")
        length = header(headers, b"content-length")
        return await read_body(
            receive,
            declared=int(length) if length is not None and length.isdigit() else None,
            max_bytes=self._context.settings.max_body_bytes,
            timeout_s=self._context.settings.body_timeout_s,
        )

    def _priced(
        self, candidates: tuple[Provider, ...], request: ChatRequest, opening: Opening
    ) -> tuple[Provider, ...]:
        book = self._context.configuration.value.prices
        priced = tuple(
            provider
            for provider in candidates
            if None not in cards_at(provider, request, opening=opening, prices=book).values()
        )
        if not priced:
            raise ModelUnpricedError(
                f"No price is known for the model `{clip(request.model, 100)}`, and unpriced models are refused; "
                "the operator can set one with `tollkeeper prices set`."
            )
        return priced

    async def _refuse(self, opening: Opening, error: Exception, *, reply: Reply) -> None:
        failure = failure_for(error)
        self._record(opening, failure, http_status=failure.status)
        await self._answer_error(opening, error, reply=reply)

    async def _answer_error(self, opening: Opening, error: Exception, *, reply: Reply) -> None:
        failure = failure_for(error)
        if failure is INTERNAL:
            get_logger().error("request_failed", request_id=uuid_text(opening.request_id), exc_info=error)
        if reply.started:
            return
        body = error_body(error, failure)
        headers = error_headers(error, failure)
        headers.append((b"x-request-id", uuid_text(opening.request_id).encode()))
        headers.append((b"content-length", b"%d" % len(body)))
        await reply.start(failure.status, headers)
        await reply.finish(body)

    def _record(self, opening: Opening, failure: Failure, *, http_status: int | None) -> None:
        """Record a request that no upstream saw. Refusals of unknown keys are coalesced."""
        context = self._context
        record = begin_record(opening)
        record.outcome = failure.outcome
        record.http_status = http_status
        record.error_type = failure.type
        record.error_code = failure.code
        record.cost_nanos = 0
        record.cost_status = "free"
        record.duration_ms = round((context.clock.micros() - opening.started_at) / 1_000, 3)
        if failure.outcome == "rejected_auth" and opening.key_id is None:
            context.refusals.refuse(record)
            return
        try:
            context.journal.complete(record)
        except JournalFullError:
            context.refusals.refuse(record)
            return
        context.recorder.put(record)


def _attribute(opening: Opening, headers: Headers, request: ChatRequest | None) -> None:
    declared = attribute(headers, request)
    opening.end_user, opening.session, opening.tags = declared.end_user, declared.session, declared.tags
