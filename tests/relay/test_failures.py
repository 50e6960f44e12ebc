"""Every error a client can meet has its row, and its answer the contract's shape."""

import json

import pytest

from service import errors
from service.errors import RefusalError, TollkeeperError, UpstreamError
from service.relay.failures import FAILURES, INTERNAL, error_body, error_headers, failure_for
from service.store.tables import OUTCOMES


def leaves(kind: type[TollkeeperError]) -> set[type[TollkeeperError]]:
    below = kind.__subclasses__()
    return {kind} if not below else set().union(*(leaves(each) for each in below))


def test_every_leaf_that_a_client_can_meet_is_listed() -> None:
    expected = (
        leaves(RefusalError) | leaves(UpstreamError) | {errors.JournalFullError, errors.InvalidRequestError}
    )
    assert set(FAILURES) == expected


@pytest.mark.parametrize("failure", [*FAILURES.values(), INTERNAL], ids=lambda each: each.code)
def test_every_row_can_be_stored_and_sent(failure: object) -> None:
    assert failure.outcome in OUTCOMES  # type: ignore[attr-defined]
    assert 400 <= failure.status <= 599  # type: ignore[attr-defined]


def test_a_defect_of_ours_says_nothing_about_itself() -> None:
    error = KeyError("sk-secret")
    assert failure_for(error) is INTERNAL
    body = json.loads(error_body(error, INTERNAL))["error"]
    assert "sk-secret" not in body["message"]
    assert (body["type"], body["param"], body["code"]) == ("internal_error", None, "internal_error")


def test_the_reason_of_unavailability_is_its_code() -> None:
    failure = failure_for(errors.UnavailableError("m", reason="store_unavailable"))
    assert (failure.status, failure.code) == (503, "store_unavailable")


HEADERS = [
    (errors.AuthenticationError("m"), {b"www-authenticate": b'Bearer realm="tollkeeper"'}),
    (errors.TooManyFailuresError("m", retry_after_s=7), {b"retry-after": b"7"}),
    (errors.ModelUnpricedError("m"), {b"x-should-retry": b"false"}),
    (errors.BudgetExhaustedError("m", budget_id="budget_1"), {b"x-should-retry": b"false"}),
    (errors.RateLimitedError("m", retry_after_s=9), {b"retry-after": b"9"}),
    (
        errors.RateLimitedError("m", retry_after_s=9, standing=((b"x-ratelimit-limit-requests", b"5"),)),
        {b"retry-after": b"9", b"x-ratelimit-limit-requests": b"5"},
    ),
    (errors.IdempotencyDoneError("m", request_id="r"), {b"x-should-retry": b"false"}),
    (errors.IdempotencyReusedError("m", request_id="r"), {b"x-should-retry": b"false"}),
    (errors.IdempotencyRunningError("m", request_id="r"), {}),
    (errors.UnavailableError("m", reason="shutting_down"), {b"retry-after": b"5"}),
    (errors.JournalFullError("m"), {b"retry-after": b"5"}),
    (errors.BodyTimeoutError("m"), {b"connection": b"close"}),
    (errors.InvalidRequestError("m"), {}),
    (errors.UpstreamUnreachableError("m"), {}),
    (errors.UpstreamTimeoutError("m", phase="idle"), {}),
]


@pytest.mark.parametrize(("error", "headers"), HEADERS, ids=lambda each: type(each).__name__)
def test_headers_of_a_failure(error: Exception, headers: dict[bytes, bytes]) -> None:
    assert dict(error_headers(error, failure_for(error))) == {b"content-type": b"application/json", **headers}


def test_the_param_of_a_refusal_is_named() -> None:
    error = errors.InvalidRequestError("`n`: wrong", param="n")
    assert json.loads(error_body(error, failure_for(error))) == {
        "error": {"message": "`n`: wrong", "type": "invalid_request_error", "param": "n", "code": None}
    }
