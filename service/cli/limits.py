"""Rate limits and metadata as options, for keys and projects alike; `none` removes what was set."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
import msgspec
from msgspec import UNSET, UnsetType

from service.errors import InvalidInputError
from service.keys.values import Limits

F = TypeVar("F")
T = TypeVar("T")
NONE = "none"
_WHAT = {"rpm": "Requests per minute", "tpm": "Tokens per minute", "concurrency": "Requests at once"}


def limit_options(command: F) -> F:
    """`--rpm`, `--tpm` and `--concurrency` for something new."""
    return _options(command, end=".", type=int)


def changed_limit_options(command: F) -> F:
    """The same for something that may have limits; `none` lifts one."""
    return _options(command, end="; `none` lifts the limit.")


def limits_of(options: Mapping[str, Any]) -> Limits:
    """The limits that `limit_options` give."""
    return Limits(**{name: options[name] for name in _WHAT})


def changed_limits(options: Mapping[str, Any], *, before: Mapping[str, int] | None) -> Limits | UnsetType:
    """The limits as they will be; UNSET where no option names one."""
    named = {name: options[name] for name in _WHAT if options[name] is not None}
    if not named:
        return UNSET
    limits: dict[str, int | None] = dict(before or {})
    for name, text in named.items():
        if text != NONE and not (text.isascii() and text.isdigit()):
            raise InvalidInputError(f"limits.{name} must be an integer, or `none`", field=f"limits.{name}")
        limits[name] = None if text == NONE else int(text)
    return Limits(**limits)


def metadata_of(text: str | None) -> dict[str, Any] | None:
    """A JSON object."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise InvalidInputError(f"metadata must be a JSON object: {error}", field="metadata") from error


def unless_none(text: str | None, read: Callable[[str], T | None]) -> T | UnsetType | None:
    """UNSET where the option is absent, None for `none`, else what *read* makes of it."""
    if text is None:
        return UNSET
    return None if text == NONE else read(text)


def _options(command: F, *, end: str, **facts: Any) -> F:
    for name, what in reversed(_WHAT.items()):
        decorate: Any = click.option(f"--{name}", help=what + end, **facts)
        command = decorate(command)
    return command
