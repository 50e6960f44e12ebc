"""Logs: one JSON object a line on standard error; readable lines where that is a terminal.

No secret reaches a line: `Secret` values print masked, fields with the name of a credential are masked, and so
is everything that looks like a key. Control characters are escaped, so that no value can begin a line of its own.
The libraries' own loggers (standard `logging`) take the same way. What is logged while a request is served carries
its id, whoever logs it.
"""

import logging
import re
import sys
import uuid
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from service.settings.secret import MASK

LOGGER_NAME = "tollkeeper"
request_id: ContextVar[bytes | None] = ContextVar("request_id", default=None)
"""The id of the request that the running task serves, set by whoever begins to serve it."""
_CREDENTIAL_NAMES = frozenset(
    {
        "admin_key",
        "api-key",
        "api_key",
        "apikey",
        "authorization",
        "client_secret",
        "cookie",
        "id_token",
        "oidc_client_secret",
        "otlp_headers",
        "password",
        "pepper",
        "proxy-authorization",
        "secret",
        "secret_key",
        "set-cookie",
        "token",
        "x-api-key",
    }
)
_CREDENTIALS = re.compile(
    r"\b(tka?_[0-9A-Za-z]{4,}_)\w+|\b(sk-)[\w-]{8,}|(?i:\b(bearer\s+))\S+|(?<=://)([^/@:\s]*:)[^/@\s]+(?=@)"
    # Channels whose address is the secret: Slack, Discord, Telegram.
    r"|(/services/T\w+/B\w+/)\w+|(/api/webhooks/\d+/)[\w-]+|(/bot\d+:)[\w-]+"
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def configure(
    *,
    level: int = logging.INFO,
    stream: TextIO | None = None,
    style: Literal["json", "console", "auto"] = "auto",
) -> None:
    """Set up logging for this process. *auto* means: console on a terminal, else JSON."""
    target = sys.stderr if stream is None else stream
    console = style == "console" or (style == "auto" and target.isatty())
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _with_request,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without_credentials,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *before],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderer(console=console),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger(LOGGER_NAME).setLevel(level)


def get_logger() -> structlog.stdlib.BoundLogger:
    """Tollkeeper's logger. Events are snake_case names; what varies goes into fields."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(LOGGER_NAME)
    return logger


def _renderer(*, console: bool) -> list[Processor]:
    if console:
        return [_on_one_line, structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)]
    return [structlog.processors.EventRenamer("event"), structlog.processors.JSONRenderer(default=str)]


def _with_request(_logger: Any, _method: str, event: EventDict) -> EventDict:
    identifier = request_id.get()
    if identifier is not None:
        event.setdefault("request_id", str(uuid.UUID(bytes=identifier)))
    return event


def _without_credentials(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {name: _masked(name, value) for name, value in event.items()}


def _masked(name: str, value: Any) -> Any:
    if name.lower() in _CREDENTIAL_NAMES and value is not None:
        return MASK
    match value:
        case str():
            return _CREDENTIALS.sub(_mask_match, value)
        case Mapping():
            return {str(key): _masked(str(key), inner) for key, inner in value.items()}
        case list() | tuple():
            return [_masked(name, inner) for inner in value]
        case _:
            return value


def _mask_match(found: re.Match[str]) -> str:
    shown: str = next(filter(None, found.groups()))
    return shown + MASK


def _on_one_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Nothing of an event begins a line, but a stack trace, which is indented."""
    traceback = event.pop("exception", None)
    shown = {name: _escaped(value) for name, value in event.items()}
    if isinstance(traceback, str):
        shown["exception"] = "\n".join(f"    {_escaped(line)}" for line in traceback.split("\n"))
    return shown


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
    return value
