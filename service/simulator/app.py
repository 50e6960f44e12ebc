"""The simulated upstream as an ASGI application.

    POST /v1/chat/completions · GET /v1/models · GET /v1/models/{id}     any bearer key but "invalid"
    GET, POST /_sim/faults                                               trouble for everybody (`controls`)

Answers are OpenAI's in shape, order and wording; what they say is made up (`answers`). Faults of single
requests are switched on by magic model names (`faults`).
"""

import secrets
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import msgspec

from service.simulator import faults, refusals
from service.simulator.answering import AnswerSource
from service.simulator.answers import Answer
from service.simulator.contract import violation
from service.simulator.controls import ControlPanel, Controls
from service.simulator.models import CATALOGUE, ModelCard, find_model
from service.simulator.pace import Pace
from service.simulator.player import AsgiSend, Connection, Ending, Receive, play
from service.simulator.refusals import Refusal
from service.simulator.replies import (
    Headers,
    Reply,
    body_reply,
    fault_refusal,
    json_reply,
    refusal_reply,
    stream_reply,
)
from service.simulator.request import ChatRequest, read_request
from service.simulator.request_log import LogLine, discard

Scope = MutableMapping[str, Any]

ABORT_EXTENSION = "tollkeeper.abort"  # a server may offer to close a connection without an answer

_CHAT = "/v1/chat/completions"
_MODELS = "/v1/models"
_FAULTS = "/_sim/faults"
_REQUEST_LIMIT = 10_000
_TOKEN_LIMIT = 2_000_000
_JSON_DEPTH_ERRORS = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request with its whole body."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        """The bearer key, or nothing."""
        scheme, _, key = self.headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a call gets, and what the log tells about it."""

    reply: Reply
    request: ChatRequest | None = None
    answer: Answer | None = None


class Simulator:
    """The application; make one with `create_simulator`."""

    def __init__(self, source: AnswerSource, *, pace: Pace, log: LogLine, now: Callable[[], float]) -> None:
        self._source = source
        self._pace = pace
        self._log = log
        self._now = now
        self._panel = ControlPanel()
        self._sequence = 0

    async def __call__(self, scope: Scope, receive: Receive, send: AsgiSend) -> None:
        """Serve one HTTP request (ASGI 3)."""
        call = await _read_call(scope, receive)
        if call is None:
            return
        outcome = self._outcome(call)
        connection = Connection(receive, send, _abort_of(scope))
        upstream_request_id = f"req_{secrets.token_hex(16)}"
        headers = _response_headers(outcome, request_id=upstream_request_id)
        with self._logged(call, outcome=outcome, upstream_request_id=upstream_request_id) as ended:
            ended.append(
                await play(outcome.reply, connection=connection, pace=self._pace, extra_headers=headers)
            )

    @contextmanager
    def _logged(self, call: Call, *, outcome: Outcome, upstream_request_id: str) -> Iterator[list[Ending]]:
        """A line before the answer starts and one when it is over; the block appends how it ended."""
        if call.path != _CHAT:
            yield []
            return
        self._sequence += 1
        line = {"seq": self._sequence, "id": outcome.answer.id if outcome.answer else None}
        facts = {
            "at": self._now(),
            "request_id": call.headers.get("x-request-id"),
            "upstream_request_id": upstream_request_id,
            "model": outcome.request.model if outcome.request else None,
            "stream": outcome.request.stream if outcome.request else None,
            "status": outcome.reply.status,
            "usage": outcome.answer.usage if outcome.answer else None,
        }
        self._log({"event": "start", **line, **facts})
        ended: list[Ending] = []
        try:
            yield ended
        finally:
            self._log({"event": "end", **line, "at": self._now(), "ended": ended[0] if ended else "aborted"})

    def _outcome(self, call: Call) -> Outcome:
        if call.path == _FAULTS:
            return Outcome(reply=self._control(call))
        if not call.key:
            return _refused(refusals.NO_KEY)
        if call.key == "invalid":
            return _refused(refusals.WRONG_KEY)
        if call.path == _CHAT:
            return self._chat(call)
        return Outcome(reply=_models(call))

    def _control(self, call: Call) -> Reply:
        """Read or set the trouble for everybody."""
        if call.method == "POST":
            try:
                self._panel.set(msgspec.json.decode(call.body, type=Controls))
            except msgspec.MsgspecError as error:
                return refusal_reply(Refusal(status=400, message=f"Unusable fault controls: {error}"))
        elif call.method != "GET":
            return refusal_reply(refusals.wrong_method(call.method, call.path))
        magic = {name: fault.summary for name, fault in faults.FAULTS.items()}
        return json_reply({"controls": self._panel.controls, "magic_models": magic})

    def _chat(self, call: Call) -> Outcome:
        if call.method != "POST":
            return _refused(refusals.wrong_method(call.method, call.path))
        trouble = self._panel.refusal()
        if trouble is not None:
            return _refused(trouble)
        try:
            body = msgspec.json.decode(call.body)
        except _JSON_DEPTH_ERRORS:
            return _refused(refusals.NOT_JSON)
        breach = violation(body)
        if breach is not None:
            return _refused(refusals.breach_of_contract(breach))
        return self._answer(read_request(body), account=call.key)

    def _answer(self, request: ChatRequest, *, account: str) -> Outcome:
        card, fault = _model(request.model)
        if card is None:
            return Outcome(request=request, reply=refusal_reply(refusals.unknown_model(request.model)))
        refusal = fault_refusal(request, fault=fault)
        if refusal is not None:
            return Outcome(request=request, reply=refusal_reply(refusal, fault=fault))
        answer = self._source.answer(request, card=card, account=account)
        if request.stream:
            reply = stream_reply(answer, include_usage=request.include_usage, fault=fault)
        else:
            reply = body_reply(answer, fault=fault)
        delayed = reply.head_delay_ms + self._panel.controls.latency_ms
        reply = msgspec.structs.replace(reply, head_delay_ms=delayed)
        return Outcome(request=request, answer=answer, reply=reply)


def create_simulator(
    *, now: Callable[[], float], pace: Pace | None = None, log: LogLine = discard
) -> Simulator:
    """A simulated upstream: *now* gives Unix seconds, *pace* is how fast it speaks (at once by default)."""
    source = AnswerSource(now=now, unique=lambda: secrets.token_hex(16))
    return Simulator(source, pace=pace or Pace(), log=log, now=now)


async def _read_call(scope: Scope, receive: Receive) -> Call | None:
    """The whole request; None if it is not HTTP or the client left before it was sent."""
    if scope["type"] != "http":
        return None
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Call(method=scope["method"], path=scope["path"], headers=headers, body=bytes(body))


def _abort_of(scope: Scope) -> Callable[[], None]:
    """How to close the connection without an answer; a server that cannot do so will answer 500 instead."""
    extension = (scope.get("extensions") or {}).get(ABORT_EXTENSION, {})
    abort: Callable[[], None] = extension.get("abort", lambda: None)
    return abort


def _refused(refusal: Refusal) -> Outcome:
    return Outcome(reply=refusal_reply(refusal))


def _model(name: str) -> tuple[ModelCard | None, faults.Fault]:
    """The model behind *name* and the fault it asks for."""
    magic = faults.parse(name)
    if magic is None:
        return find_model(name), faults.PLAIN
    if magic.model is not None:
        return find_model(magic.model), magic.fault
    return ModelCard(id=name, snapshot=name, owner="simulator", created=0), magic.fault


def _models(call: Call) -> Reply:
    """`GET /v1/models` and `/v1/models/{id}`."""
    name = call.path.removeprefix(_MODELS + "/")
    if call.path != _MODELS and name == call.path:
        return refusal_reply(refusals.unknown_path(call.method, call.path))
    if call.method != "GET":
        return refusal_reply(refusals.wrong_method(call.method, call.path))
    if call.path == _MODELS:
        return json_reply({"object": "list", "data": [_model_object(card) for card in CATALOGUE.values()]})
    card, _fault = _model(name)
    if card is None:
        return refusal_reply(refusals.unknown_model(name))
    return json_reply(_model_object(msgspec.structs.replace(card, id=name)))


def _model_object(card: ModelCard) -> dict[str, Any]:
    return {"id": card.id, "object": "model", "created": card.created, "owned_by": card.owner}


def _response_headers(outcome: Outcome, *, request_id: str) -> Headers:
    headers = [("x-request-id", request_id), ("openai-version", "2020-10-01")]
    if outcome.answer is not None:
        used = outcome.answer.usage["total_tokens"]
        headers += [
            ("openai-organization", "simulated"),
            ("openai-processing-ms", str(5 + used // 4)),
            ("x-ratelimit-limit-requests", str(_REQUEST_LIMIT)),
            ("x-ratelimit-limit-tokens", str(_TOKEN_LIMIT)),
            ("x-ratelimit-remaining-requests", str(_REQUEST_LIMIT - 1)),
            ("x-ratelimit-remaining-tokens", str(max(0, _TOKEN_LIMIT - used))),
            ("x-ratelimit-reset-requests", "6ms"),
            ("x-ratelimit-reset-tokens", f"{used * 60_000 // _TOKEN_LIMIT}ms"),
        ]
    return tuple((name.encode(), value.encode()) for name, value in headers)
