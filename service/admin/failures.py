"""The one table from our errors, and the framework's, to what a caller of the admin API is told.

Every body has the contract's shape: ``{"error": {"message", "type", "param", "code"}}``. An error of no row is a
defect of ours: it is logged whole, and the caller learns nothing of it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from service import errors
from service.logs import get_logger

STORE_RETRY_S = "5"


class Failure(msgspec.Struct, frozen=True):
    """Status, type and code of a kind of failure."""

    status: int
    type: str
    code: str | None


FAILURES: Mapping[type[errors.TollkeeperError], Failure] = {
    errors.InvalidInputError: Failure(400, "invalid_request_error", "invalid_value"),
    errors.NotFoundError: Failure(404, "invalid_request_error", "not_found"),
    errors.ConflictError: Failure(409, "invalid_request_error", "conflict"),
    errors.AuthenticationError: Failure(401, "authentication_error", "invalid_api_key"),
    errors.TooManyFailuresError: Failure(429, "rate_limit_error", "rate_limit_exceeded"),
    errors.StoreUnavailableError: Failure(503, "service_unavailable", "store_unavailable"),
    errors.StoreSchemaError: Failure(503, "service_unavailable", "store_schema"),
    errors.ContentUnreadableError: Failure(500, "internal_error", "content_unreadable"),
}
BY_STATUS: Mapping[int, Failure] = {
    400: Failure(400, "invalid_request_error", "invalid_value"),
    401: Failure(401, "authentication_error", "invalid_api_key"),
    403: Failure(403, "permission_error", "role_not_allowed"),
    404: Failure(404, "invalid_request_error", "not_found"),
    405: Failure(405, "invalid_request_error", "method_not_allowed"),
    413: Failure(413, "invalid_request_error", "request_too_large"),
    415: Failure(415, "invalid_request_error", "unsupported_media_type"),
}
INTERNAL = Failure(500, "internal_error", "internal_error")


def exception_handlers() -> ExceptionHandlersMap:
    """Handlers for the whole application: an unknown path is nobody's route."""
    return {
        ValidationException: _validation,
        HTTPException: _http,
        errors.TollkeeperError: _ours,
        Exception: _defect,
    }


def _ours(request: Request[Any, Any, Any], error: errors.TollkeeperError) -> Response[Any]:
    failure = next((FAILURES[kind] for kind in type(error).__mro__ if kind in FAILURES), None)
    if failure is None:
        return _defect(request, error)
    headers = {"retry-after": STORE_RETRY_S} if failure.type == "service_unavailable" else {}
    if isinstance(error, errors.TooManyFailuresError):
        headers = {"retry-after": str(error.retry_after_s)}
    return _response(failure, str(error), param=getattr(error, "field", None), headers=headers)


def _validation(_request: Request[Any, Any, Any], error: ValidationException) -> Response[Any]:
    """The first thing that is wrong with a parameter or the body, by its name."""
    found = error.extra[0] if isinstance(error.extra, list) and error.extra else {}
    message = str(found.get("message") or error.detail)
    param = found.get("key")
    if param == "data":
        return _response(BY_STATUS[400], "the body is missing; send a JSON object")
    return _response(BY_STATUS[400], f"{param}: {message}" if param else message, param=param)


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    failure = BY_STATUS.get(error.status_code)
    if failure is None:
        return _defect(request, error)
    message = error.detail
    if failure.status == 404:  # noqa: PLR2004
        message = f"There is nothing at {request.method} {request.scope['path'][:200]}."
    elif failure.status == 405:  # noqa: PLR2004
        message = f"{request.method[:20]} is not possible at {request.scope['path'][:200]}."
    return _response(failure, message, headers=error.headers)


def _defect(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    get_logger().error(
        "admin_request_failed", method=request.method, path=request.scope["path"], exc_info=error
    )
    return _response(INTERNAL, "The request failed; the operator finds the reason in the log.")


def _response(
    failure: Failure, message: str, *, param: str | None = None, headers: Mapping[str, str] | None = None
) -> Response[Any]:
    if failure.status == 401:  # noqa: PLR2004  (RFC 9110: a 401 names the scheme)
        headers = {**(headers or {}), "www-authenticate": 'Bearer realm="tollkeeper"'}
    body = {"message": message, "type": failure.type, "param": param, "code": failure.code}
    return Response({"error": body}, status_code=failure.status, headers=headers)
