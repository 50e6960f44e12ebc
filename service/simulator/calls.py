"""One call of the demo's history: what was asked, how it went, what it used. Pure.

Field names are those of a request record; None means "not reported". Money is not here: prices make it.
"""

import math
from random import Random
from typing import Literal

import msgspec

from service.simulator.workloads import FALLBACKS, Offer, Workload

Trouble = Literal["none", "outage", "exhausted"]
CallOutcome = Literal[
    "ok",
    "client_disconnect",
    "upstream_error",
    "midstream_error",
    "truncated",
    "timeout",
    "rejected_auth",
    "rejected_request",
    "rejected_rate_limit",
    "rejected_budget",
]

CACHE_BLOCK = 128
CACHE_MINIMUM = 1_024
_OUTAGE_SHARE = 0.93  # a few calls get through even then
_TIMEOUT_MS = 60_000


class SimulatedCall(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt; the attempts of one request share its number."""

    request: int
    attempt: int = 1
    final: bool = True
    started_at: int  # UTC microseconds since 1970
    client_address: str
    user_agent: str
    key_name: str | None
    project: str | None
    end_user: str | None = None
    session: str | None = None
    tags: tuple[str, ...] = ()
    upstream: str | None = None
    provider: str | None = None
    requested_model: str | None = None
    response_model: str | None = None
    stream: bool | None = None
    outcome: CallOutcome
    http_status: int | None
    error_type: str | None = None
    error_code: str | None = None
    finish_reasons: tuple[str, ...] | None = None
    ttft_ms: float | None = None
    duration_ms: float
    overhead_ms: float
    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    usage_source: Literal["provider", "estimated", "none"] = "none"
    bytes_in: int
    bytes_out: int = 0
    chunks: int | None = None


class Ending(msgspec.Struct, frozen=True):
    """How a call can end, and how often it does among a thousand plain ones."""

    per_mille: float
    outcome: CallOutcome
    http_status: int | None
    error_type: str | None = None
    error_code: str | None = None
    streams_only: bool = False


_OVERLOADED = Ending(0, "upstream_error", 503, "server_error", "overloaded")
_NO_BUDGET = Ending(0, "rejected_budget", 429, "insufficient_quota", "budget_exceeded")
_OK = Ending(0, "ok", 200)
_ENDINGS = (
    Ending(9.0, "client_disconnect", 200, streams_only=True),
    Ending(2.0, "upstream_error", 429, "requests", "rate_limit_exceeded"),
    Ending(1.5, "upstream_error", 500, "server_error"),
    Ending(1.2, "upstream_error", 400, "invalid_request_error", "context_length_exceeded"),
    Ending(0.8, "rejected_request", 400, "invalid_request_error"),
    Ending(0.7, "rejected_rate_limit", 429, "rate_limit_error", "rate_limit_exceeded"),
    Ending(0.6, "midstream_error", 200, "server_error", "server_error", streams_only=True),
    Ending(0.4, "timeout", 504, "upstream_error", "upstream_timeout"),
    Ending(0.3, "truncated", 200, streams_only=True),
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What one request asks, the same for all its attempts."""

    workload: Workload
    request: int
    started_at: int
    stream: bool
    input_tokens: int
    output_tokens: int
    cached: bool
    end_user: str | None
    session: str | None


def draw_calls(
    workload: Workload, *, request: int, started_at: int, trouble: Trouble, rng: Random
) -> list[SimulatedCall]:
    """One request of *workload*: one attempt, or two where a fallback took over."""
    asked = _ask(workload, request=request, started_at=started_at, rng=rng)
    offers, shares = zip(*workload.offers, strict=True)
    offer: Offer = rng.choices(offers, shares)[0]
    if trouble == "exhausted":
        return [_refused(asked, offer=offer, ending=_NO_BUDGET, rng=rng)]
    if trouble == "outage" and offer.upstream == "openai" and rng.random() < _OUTAGE_SHARE:
        failed = _refused(asked, offer=offer, ending=_OVERLOADED, rng=rng)
        fallback = FALLBACKS.get(offer.model)
        if fallback is None:
            return [failed]
        later = msgspec.structs.replace(asked, started_at=started_at + int(failed.duration_ms * 1000))
        second = _served(later, offer=fallback, ending=_OK, rng=rng)
        return [
            msgspec.structs.replace(failed, final=False),
            msgspec.structs.replace(second, attempt=2),
        ]
    ending = _ending(asked, rng=rng)
    if ending.outcome in ("ok", "client_disconnect", "midstream_error", "truncated"):
        return [_served(asked, offer=offer, ending=ending, rng=rng)]
    return [_refused(asked, offer=offer, ending=ending, rng=rng)]


def draw_scan(*, request: int, started_at: int, rng: Random) -> SimulatedCall:
    """A stranger without a valid key."""
    return SimulatedCall(
        request=request,
        started_at=started_at,
        client_address=f"203.0.113.{rng.randint(4, 9)}",
        user_agent="python-requests/2.32.3",
        key_name=None,
        project=None,
        outcome="rejected_auth",
        http_status=401,
        error_type="authentication_error",
        error_code="invalid_api_key",
        duration_ms=_ms(rng, 0.4),
        overhead_ms=_ms(rng, 0.3),
        bytes_in=rng.randint(80, 400),
        bytes_out=153,
    )


def _ask(workload: Workload, *, request: int, started_at: int, rng: Random) -> Asked:
    person = int(workload.end_users * rng.random() ** 2.2)  # few people ask most
    return Asked(
        workload=workload,
        request=request,
        started_at=started_at,
        stream=rng.random() < workload.stream_share,
        input_tokens=_around(workload.input_tokens, rng=rng, spread=0.7),
        output_tokens=_around(workload.output_tokens, rng=rng, spread=0.65),
        cached=rng.random() < workload.cached_share,
        end_user=f"user-{1001 + person}" if workload.end_users else None,
        session=f"s-{started_at // 1_800_000_000:x}-{person}" if workload.sessions else None,
    )


def _ending(asked: Asked, *, rng: Random) -> Ending:
    draw = 1000 * rng.random()
    for ending in _ENDINGS:
        if asked.stream or not ending.streams_only:
            draw -= ending.per_mille
            if draw < 0:
                return ending
    return _OK


def _served(asked: Asked, *, offer: Offer, ending: Ending, rng: Random) -> SimulatedCall:
    """A call that got an answer, whole or in part."""
    said = asked.output_tokens if ending.outcome == "ok" else max(1, int(asked.output_tokens * rng.random()))
    reasoning = CACHE_BLOCK // 2 * rng.randint(1, 18) if offer.reasons else 0
    rate = offer.tokens_per_s * math.exp(rng.gauss(0, 0.18))
    ttft = _ms(rng, offer.ttft_ms) + 1000 * reasoning / rate
    cached = _cached_tokens(asked, offer=offer)
    known = _usage_is_known(asked, offer=offer, ending=ending, rng=rng)
    duration = round(ttft + 1000 * said / rate, 1)
    whole = ending.outcome == "ok"
    return _call(
        asked,
        offer=offer,
        ending=ending,
        rng=rng,
        response_model=offer.reports,
        finish_reasons=("length" if said > 4 * asked.workload.output_tokens else "stop",) if whole else None,
        ttft_ms=round(ttft, 1) if asked.stream else None,
        duration_ms=duration,
        input_tokens=asked.input_tokens,
        cache_read_input_tokens=cached if known else None,
        cache_write_input_tokens=asked.input_tokens - cached if known and offer.writes_cache else None,
        output_tokens=said + reasoning,
        reasoning_output_tokens=reasoning if known and offer.reasons else None,
        usage_source="provider" if known else "estimated",
        bytes_out=240 * said + 900 if asked.stream else 5 * said + 800,
        chunks=said + 3 if asked.stream else None,
    )


def _refused(asked: Asked, *, offer: Offer, ending: Ending, rng: Random) -> SimulatedCall:
    """A call that got an error, from us or from the upstream."""
    ours = ending.outcome.startswith("rejected")
    duration = _TIMEOUT_MS + _ms(rng, 5) if ending.outcome == "timeout" else _ms(rng, 0.9 if ours else 180)
    call = _call(
        asked, offer=offer, ending=ending, rng=rng, duration_ms=duration, bytes_out=rng.randint(140, 420)
    )
    return msgspec.structs.replace(call, upstream=None, provider=None) if ours else call


def _call(asked: Asked, *, offer: Offer, ending: Ending, rng: Random, **facts: object) -> SimulatedCall:
    workload = asked.workload
    common: dict[str, object] = {
        "request": asked.request,
        "started_at": asked.started_at,
        "client_address": workload.client_address,
        "user_agent": workload.user_agent,
        "key_name": workload.key_name,
        "project": workload.project,
        "end_user": asked.end_user,
        "session": asked.session,
        "tags": workload.tags,
        "upstream": offer.upstream,
        "provider": offer.provider,
        "requested_model": offer.model,
        "stream": asked.stream,
        "outcome": ending.outcome,
        "http_status": ending.http_status,
        "error_type": ending.error_type,
        "error_code": ending.error_code,
        "overhead_ms": _ms(rng, 0.7),
        "bytes_in": 300 + int(4.2 * asked.input_tokens),
    }
    return msgspec.convert({**common, **facts}, SimulatedCall)


def _usage_is_known(asked: Asked, *, offer: Offer, ending: Ending, rng: Random) -> bool:
    """Whether the provider reported usage; abandoned streams are drained, mostly in time."""
    if asked.stream and not offer.reports_stream_usage:
        return False
    return ending.outcome == "ok" or (ending.outcome == "client_disconnect" and rng.random() < 0.8)  # noqa: PLR2004


def _cached_tokens(asked: Asked, *, offer: Offer) -> int:
    if not asked.cached or asked.input_tokens < CACHE_MINIMUM or offer.upstream == "in-house":
        return 0
    return int(asked.input_tokens * 0.8) // CACHE_BLOCK * CACHE_BLOCK


def _around(median: float, *, rng: Random, spread: float) -> int:
    return max(1, round(median * math.exp(rng.gauss(0, spread))))


def _ms(rng: Random, median: float) -> float:
    return round(median * math.exp(rng.gauss(0, 0.35)), 2)
