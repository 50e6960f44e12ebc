"""What a request holds from the moment it is let in until its record is closed: money, and its place in rate limits.

`Holding.take` asks the rate limits, then the budgets, and gives back the first where the second refuses. The estimate
that is held is the most that any upstream which may be asked can charge for any model that may answer, so that one
hold covers every attempt: an attempt that gave way to another has cost nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache

import msgspec

from service.budgets.admission import Admission
from service.budgets.charges import Charge
from service.budgets.estimate import Demand, affordable_output_tokens, estimate_nanos
from service.budgets.gate import TEND_EVERY_S, BudgetGate
from service.budgets.limiter import RateLimiter
from service.budgets.meters import Permit, RateLimit, limits_of
from service.budgets.model_limits import limits_of as model_limits_of
from service.budgets.policy import BudgetBook, RequestFacts
from service.errors import BudgetExhaustedError, StoreUnavailableError
from service.keys.snapshot import KeyGrant
from service.keys.values import Limits
from service.ledger.record import Opening, RequestRecord
from service.logs import get_logger
from service.pricing.card import PriceCard
from service.pricing.pricebook import PriceBook
from service.relay.candidate_prices import cards_at
from service.relay.headers import Headers
from service.relay.request import ChatRequest
from service.upstream.provider import Provider

LEAST_CAP = 16
"""Tokens below which a capped answer is of no use to anybody."""
BYTES_PER_TOKEN = 4
_limits_of_model = lru_cache(maxsize=4096)(model_limits_of)


class Holds:
    """The holds of one request. `settle` and `end` count once; later calls change nothing."""

    __slots__ = ("_admission", "_limiter", "_permit", "output_cap")

    def __init__(
        self,
        *,
        admission: Admission | None = None,
        permit: Permit | None = None,
        limiter: RateLimiter | None = None,
        output_cap: int | None = None,
    ) -> None:
        self._admission = admission
        self._permit = permit
        self._limiter = limiter
        self.output_cap = output_cap

    @property
    def charges(self) -> tuple[Charge, ...] | None:
        """The budgets that the request is charged to."""
        return None if self._admission is None else self._admission.charges

    def settle(self, record: RequestRecord) -> None:
        """The last attempt has ended: its cost is spent, its tokens are used."""
        if self._admission is not None:
            self._admission.settle(record.cost_nanos)
        known = record.input_tokens is not None or record.output_tokens is not None
        self._finish((record.input_tokens or 0) + (record.output_tokens or 0) if known else None)

    def end(self) -> None:
        """Nothing more will happen; what was not settled was never sent."""
        if self._admission is not None:
            self._admission.release()
        self._finish(0)

    def headers(self) -> Headers:
        """What the client is told about them."""
        headers: Headers = []
        if self._admission is not None:
            remaining = self._admission.remaining_usd()
            if remaining is not None:
                headers.append((b"x-tollkeeper-budget-remaining-usd", remaining.encode()))
        if self._permit is not None and self._limiter is not None:
            headers += self._permit.headers(micros=self._limiter.micros())
        if self.output_cap is not None:
            headers.append((b"x-tollkeeper-max-completion-tokens", b"%d" % self.output_cap))
        return headers

    def _finish(self, tokens: int | None) -> None:
        if self._permit is not None and self._limiter is not None:
            self._permit.finish(tokens, micros=self._limiter.micros())


NO_HOLDS = Holds()


class Question(msgspec.Struct, frozen=True):
    """A request that is to be let in. *opening* gets the estimate and the charges."""

    opening: Opening
    grant: KeyGrant
    request: ChatRequest
    body: bytes
    candidates: tuple[Provider, ...]


class _Candidate(msgspec.Struct, frozen=True):
    """A model at an upstream that may be asked, its price, and the most that the request can cost there."""

    model: str
    card: PriceCard | None
    most_nanos: int | None


class Holding:
    """Takes the holds of requests. *cap_output*: shorten an answer to what the budget affords, rather than refuse."""

    def __init__(self, gate: BudgetGate, limiter: RateLimiter, *, cap_output: bool) -> None:
        self._gate = gate
        self._limiter = limiter
        self._cap_output = cap_output

    async def take(self, question: Question, *, book: BudgetBook, prices: PriceBook) -> Holds:
        """Hold what the request needs.

        Raises:
            RateLimitedError: a rate limit is reached.
            BudgetExhaustedError: a hard budget cannot pay for it.
            ModelUnpricedError: a hard budget applies and nobody knows the price.
            UnavailableError: the store is needed and away.
        """
        limits = _rate_limits(question.grant)
        if not limits and not len(book):
            return NO_HOLDS
        permit: Permit | None = None
        if limits:
            permit = await self._limiter.admit(limits, tokens=_about_tokens(question))
        if not len(book):
            return Holds(permit=permit, limiter=self._limiter)
        try:
            admission, cap = await self._admit(question, book=book, prices=prices)
        except BaseException:
            if permit is not None:
                permit.finish(0, micros=self._limiter.micros())
            raise
        return Holds(admission=admission, permit=permit, limiter=self._limiter, output_cap=cap)

    async def run(self) -> None:
        """Keep leases and shares alive and give back what nobody uses, until cancelled."""
        while True:
            await asyncio.sleep(TEND_EVERY_S)
            for tend in (self._gate.tend, self._limiter.tend):
                await _attempted(tend)

    async def close(self) -> None:
        """Give everything back, as far as the store answers."""
        for close in (self._gate.close, self._limiter.close):
            await _attempted(close)

    async def _admit(
        self, question: Question, *, book: BudgetBook, prices: PriceBook
    ) -> tuple[Admission | None, int | None]:
        opening = question.opening
        facts = RequestFacts(opening.key_id, opening.project, opening.end_user, question.request.model)
        if not book.applying(facts):
            return None, None
        demand = demand_of(question.request, question.body)
        candidates = _candidates(question, demand=demand, prices=prices)
        estimate, cap = _most(candidates), None
        try:
            admission = await self._gate.admit(facts, estimate)
        except BudgetExhaustedError as error:
            cap = self._affordable(demand, candidates, free_nanos=error.free_nanos)
            if cap is None:
                raise
            demand = msgspec.structs.replace(demand, max_completion_tokens=cap)
            estimate = _most(_candidates(question, demand=demand, prices=prices))
            admission = await self._gate.admit(facts, estimate)
        opening.charges, opening.estimate_nanos = admission.charges, estimate
        return admission, cap

    def _affordable(self, demand: Demand, candidates: list[_Candidate], *, free_nanos: int) -> int | None:
        """The longest answer that fits, for a request that named no length of its own; None where none does."""
        asked = demand.max_completion_tokens is not None or demand.max_tokens is not None
        if not self._cap_output or asked:
            return None
        caps = [
            affordable_output_tokens(
                demand, card=one.card, limits=_limits_of_model(one.model), remaining_nanos=free_nanos
            )
            for one in candidates
            if one.card is not None
        ]
        least = min((cap or 0 for cap in caps), default=0)
        return least if least >= LEAST_CAP else None


async def _attempted(step: Callable[[], Awaitable[None]]) -> None:
    """A step of care. The store may be away; nothing else should go wrong, and must not end the care of others."""
    try:
        await step()
    except StoreUnavailableError:
        return
    except Exception as error:  # noqa: BLE001  (said in the log, and tried again)
        get_logger().error("holds_not_tended", step=step.__qualname__, exc_info=error)


def demand_of(request: ChatRequest, body: bytes) -> Demand:
    """What a request asks for, as far as its cost can depend on it."""
    return Demand(
        body=body,
        messages=len(request.messages),
        max_completion_tokens=request.max_completion_tokens,
        max_tokens=request.max_tokens,
        n=request.n,
    )


def _candidates(question: Question, *, demand: Demand, prices: PriceBook) -> list[_Candidate]:
    """Every upstream with every model that may answer there: what is asked for, and what the body lists instead."""
    request, opening = question.request, question.opening
    return [
        _Candidate(model, card, estimate_nanos(demand, card=card, limits=_limits_of_model(model)))
        for provider in question.candidates
        for model, card in cards_at(provider, request, opening=opening, prices=prices).items()
    ]


def _most(candidates: list[_Candidate]) -> int | None:
    """None where one of them may cost anything."""
    amounts = [one.most_nanos for one in candidates]
    return None if None in amounts else max(amount for amount in amounts if amount is not None)


def _rate_limits(grant: KeyGrant) -> list[RateLimit]:
    if grant.limits is None and grant.project_limits is None:
        return []
    return [
        *_given(f"key {grant.key_id}", grant.limits),
        *_given(f"project {grant.project}", grant.project_limits),
    ]


def _given(whose: str, limits: Limits | None) -> list[RateLimit]:
    if limits is None:
        return []
    given = {name: value for name, value in msgspec.structs.asdict(limits).items() if value is not None}
    return limits_of(whose, given)


def _about_tokens(question: Question) -> int:
    """What a request will use, as far as its size and what it asks for tell; corrected when it has ended."""
    request = question.request
    longest = request.max_completion_tokens or request.max_tokens or 0
    return max(1, len(question.body) // BYTES_PER_TOKEN + longest * max(1, request.n or 1))
