"""Error answers in OpenAI's shape and words. Pure."""

from http import HTTPStatus
from typing import Any

import msgspec

from service.simulator.rules import Violation


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """One error answer."""

    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error}


NO_KEY = Refusal(
    status=401,
    message=(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
        "auth (i.e. Authorization: Bearer YOUR_KEY)."
    ),
)
WRONG_KEY = Refusal(status=401, message="Incorrect API key provided: invalid.", code="invalid_api_key")
NOT_JSON = Refusal(
    status=400,
    message=(
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
        "library correctly. The API expects a JSON payload, but what was sent was not valid JSON.)"
    ),
)
NO_STREAM_OPTIONS = Refusal(
    status=400,
    message="Unrecognized request argument supplied: stream_options",
    param="stream_options",
    code="unknown_parameter",
)
OUTAGE = Refusal(
    status=503,
    message="The engine is currently overloaded, please try again later",
    type="server_error",
    code="overloaded",
)
IN_STREAM = Refusal(
    status=200,
    message="The server had an error while processing your request. Sorry about that!",
    type="server_error",
    code="server_error",
)

_TYPES = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("permission_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def breach_of_contract(violation: Violation) -> Refusal:
    """400, with the parameter at fault."""
    return Refusal(status=400, message=violation.message, param=violation.param, code=violation.code)


def unknown_model(name: str) -> Refusal:
    """404 for a model that is not in the catalogue."""
    message = f"The model `{name}` does not exist or you do not have access to it."
    return Refusal(status=404, message=message, code="model_not_found")


def unknown_path(method: str, path: str) -> Refusal:
    """404 for an address that is not served."""
    return Refusal(status=404, message=f"Invalid URL ({method} {path})")


def wrong_method(method: str, path: str) -> Refusal:
    """405 for a served address."""
    message = f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)"
    return Refusal(status=405, message=message, code="method_not_supported")


def of_status(status: int, *, code: str | None = None) -> Refusal:
    """The error answer that goes with *status*."""
    if code == "insufficient_quota":
        message = "You exceeded your current quota, please check your plan and billing details."
        return Refusal(status=status, message=message, type=code, code=code)
    if status == OUTAGE.status:
        return OUTAGE
    kind = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    named, known_code = _TYPES.get(status, (kind, None))
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"
    return Refusal(status=status, message=f"Simulated error: {phrase}.", type=named, code=code or known_code)
