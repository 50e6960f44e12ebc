"""A request that passed the door, on its way through its attempts."""

import msgspec

from service.content.policy import Capture
from service.ledger.idempotency import Claim
from service.ledger.record import Opening
from service.relay.headers import Headers
from service.relay.holds import NO_HOLDS, Holds
from service.relay.request import ChatRequest
from service.upstream.provider import Provider


class Admitted(msgspec.Struct, frozen=True):
    """*opening* is shared with the refusal that may still follow; *body* is kept for an estimate of the prompt."""

    opening: Opening
    request: ChatRequest
    body: bytes
    headers: Headers
    candidates: tuple[Provider, ...]
    started: float
    holds: Holds = NO_HOLDS
    claim: Claim | None = None
    """Of the request's Idempotency-Key."""
    capture: Capture | None = None
    """What is kept of its content; None keeps nothing."""
