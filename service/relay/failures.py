"""The one table from our errors to what a client is told, and to the outcome that is recorded.

Bodies have the contract's shape: ``{"error": {"message", "type", "param", "code"}}``.
"""

from collections.abc import Mapping

import msgspec

from service import errors
from service.ledger.record import Outcome

Headers = list[tuple[bytes, bytes]]
STORE_RETRY_S = 5


class Failure(msgspec.Struct, frozen=True):
    """What a client is told."""

    status: int
    type: str
    code: str | None
    outcome: Outcome


FAILURES: Mapping[type[errors.TollkeeperError], Failure] = {
    errors.AuthenticationError: Failure(401, "authentication_error", "invalid_api_key", "rejected_auth"),
    errors.TooManyFailuresError: Failure(429, "rate_limit_error", "rate_limit_exceeded", "rejected_auth"),
    errors.ModelNotAllowedError: Failure(403, "permission_error", "model_not_allowed", "rejected_request"),
    errors.ModelNotFoundError: Failure(404, "invalid_request_error", "model_not_found", "rejected_request"),
    errors.ModelUnpricedError: Failure(429, "insufficient_quota", "model_unpriced", "rejected_budget"),
    errors.BudgetExhaustedError: Failure(429, "insufficient_quota", "budget_exceeded", "rejected_budget"),
    errors.RateLimitedError: Failure(429, "rate_limit_error", "rate_limit_exceeded", "rejected_rate_limit"),
    errors.IdempotencyRunningError: Failure(409, "idempotency_error", "request_running", "rejected_request"),
    errors.IdempotencyDoneError: Failure(409, "idempotency_error", "request_done", "rejected_request"),
    errors.IdempotencyReusedError: Failure(422, "idempotency_error", "key_reused", "rejected_request"),
    errors.InvalidRequestError: Failure(400, "invalid_request_error", None, "rejected_request"),
    errors.DuplicateKeyError: Failure(400, "invalid_request_error", "duplicate_key", "rejected_request"),
    errors.BodyTooLargeError: Failure(413, "invalid_request_error", "request_too_large", "rejected_request"),
    errors.BodyTimeoutError: Failure(408, "invalid_request_error", "request_timeout", "rejected_request"),
    errors.UnavailableError: Failure(503, "service_unavailable", "unavailable", "rejected_unavailable"),
    errors.JournalFullError: Failure(503, "service_unavailable", "journal_full", "rejected_unavailable"),
    errors.UpstreamUnreachableError: Failure(502, "upstream_error", "upstream_unreachable", "upstream_error"),
    errors.UpstreamBrokenError: Failure(502, "upstream_error", "upstream_unreachable", "truncated"),
    errors.UpstreamTimeoutError: Failure(504, "upstream_error", "upstream_timeout", "timeout"),
    errors.UpstreamAbortedError: Failure(503, "service_unavailable", "shutting_down", "interrupted"),
}
INTERNAL = Failure(500, "internal_error", "internal_error", "interrupted")


def failure_for(error: Exception) -> Failure:
    """The row of the table; an error of no row is a defect of ours and says nothing about itself."""
    failure = FAILURES.get(type(error), INTERNAL)  # type: ignore[arg-type]  # any exception may be looked up
    if isinstance(error, errors.UnavailableError):
        return msgspec.structs.replace(failure, code=error.reason)
    return failure


def error_body(error: Exception, failure: Failure) -> bytes:
    """The JSON that goes to the client."""
    message = (
        str(error)
        if failure is not INTERNAL
        else "The relay failed; the operator finds the reason in its log."
    )
    return error_json(message, type=failure.type, code=failure.code, param=getattr(error, "param", None))


def error_json(message: str, *, type: str, code: str | None, param: str | None = None) -> bytes:  # noqa: A002  (the contract's name)
    """An error object in the contract's shape."""
    return msgspec.json.encode({"error": {"message": message, "type": type, "param": param, "code": code}})


def error_headers(error: Exception, failure: Failure) -> Headers:
    """Headers that belong to the failure itself."""
    headers: Headers = [(b"content-type", b"application/json")]
    if isinstance(error, errors.TooManyFailuresError):
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    elif isinstance(error, errors.RateLimitedError):
        headers += [(b"retry-after", b"%d" % error.retry_after_s), *error.standing]
    elif failure.type == "service_unavailable":
        headers.append((b"retry-after", b"%d" % STORE_RETRY_S))
    elif failure.type == "insufficient_quota" or isinstance(
        error, errors.IdempotencyDoneError | errors.IdempotencyReusedError
    ):
        headers.append((b"x-should-retry", b"false"))
    elif failure.status == 401:  # noqa: PLR2004  (RFC 9110: a 401 names the scheme)
        headers.append((b"www-authenticate", b'Bearer realm="tollkeeper"'))
    elif isinstance(error, errors.BodyTimeoutError):
        headers.append(
            (b"connection", b"close")
        )  # RFC 9110, section 15.5.9: the rest of the body is not awaited
    return headers
