"""Virtual keys and admin keys as values, and the rules for what may be given. Pure.

What comes in is checked by `NewKey.checked` and `KeyChanges.checked`, whichever door it used.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from service.errors import InvalidInputError
from service.settings.checks import label_problem, model_pattern_problem

Role = Literal["admin", "viewer"]
KeyStatus = Literal["active", "expired", "revoked"]
DEFAULT_PROJECT = "default"
_NAME_LENGTH = 200
_MODELS = 500
_METADATA_BYTES = 4096
_LIMIT = 2**31 - 1
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
_DURATION = re.compile(r"([0-9]{1,6})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class VirtualKey(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual key without its secret. *models* None means every model."""

    id: str
    name: str
    project: str
    models: list[str] | None
    metadata: dict[str, Any] | None
    limits: dict[str, int] | None
    expires_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime
    updated_at: datetime


class AdminKey(msgspec.Struct, frozen=True, kw_only=True):
    """An admin key without its secret."""

    public_id: str
    name: str
    role: Role
    created_at: datetime
    revoked_at: datetime | None


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Requests and tokens per minute, and requests at once, of a key or of a project."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new virtual key is made of."""

    name: str
    project: str = DEFAULT_PROJECT
    models: list[str] | None = None
    expires_at: datetime | None = None
    metadata: dict[str, Any] | None = None
    limits: Limits | None = None

    def checked(self, now: datetime) -> "NewKey":
        """The same, or a refusal."""
        check_fields(msgspec.structs.asdict(self), now=now)
        return self


class KeyChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes on a virtual key; UNSET fields stay, None clears."""

    name: str | UnsetType = UNSET
    project: str | UnsetType = UNSET
    models: list[str] | UnsetType | None = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    limits: Limits | UnsetType | None = UNSET

    def checked(self, now: datetime) -> dict[str, Any]:
        """Field → new value, or a refusal; empty where nothing changes."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}
        check_fields(given, now=now)
        return given


def status_of(key: VirtualKey, *, now: datetime) -> KeyStatus:
    """Whether the key works at *now*."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    return "active"


def parse_expiry(text: str, *, now: datetime) -> datetime:
    """`30d`, `12h`, or an ISO 8601 instant with its offset."""
    try:
        if found := _DURATION.fullmatch(text.strip()):
            return now + timedelta(**{_UNITS[found[2]]: int(found[1])})
        return datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(
            f"expires: {text!r} is neither a duration such as 30d or 12h nor an instant such as "
            "2030-01-31T00:00:00Z",
            field="expires_at",
        ) from error


def parse_duration(text: str, *, field: str) -> timedelta:
    """`90m`, `12h`, `30d`."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise InvalidInputError(f"{field} is {text[:50]!r}; write a duration such as 12h or 7d", field=field)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def check_name(text: str, *, field: str) -> None:
    """A label of 1 to 200 printable characters."""
    if problem := label_problem(text, longest=_NAME_LENGTH):
        raise InvalidInputError(f"{field} {problem}", field=field)


def limits_as_stored(limits: Limits | None) -> dict[str, int] | None:
    """The limits that are set; None where none is."""
    return (msgspec.to_builtins(limits) or None) if limits is not None else None


def limits_from(stored: Mapping[str, int] | None) -> Limits | None:
    """The limits of a row; None where none is set."""
    return Limits(**stored) if stored else None


def check_fields(given: Mapping[str, Any], *, now: datetime) -> None:
    """Refuse what no key or project may have, by the name of the field."""
    for field in ("name", "project"):
        if field in given:
            check_name(given[field], field=field)
    _check_models(given.get("models"))
    _check_expiry(given.get("expires_at"), now=now)
    _check_metadata(given.get("metadata"))
    _check_limits(given.get("limits"))


def _check_models(models: Sequence[str] | None) -> None:
    if models is None:
        return
    if not 1 <= len(models) <= _MODELS:
        raise InvalidInputError(
            f"models must list 1 to {_MODELS} names or patterns; leave it out to allow every model",
            field="models",
        )
    for model in models:
        if problem := model_pattern_problem(model):
            raise InvalidInputError(f"models: {problem}", field="models")


def _check_expiry(expires_at: datetime | None, *, now: datetime) -> None:
    if expires_at is None:
        return
    if expires_at.tzinfo is None:
        raise InvalidInputError("expires_at needs its UTC offset, such as Z", field="expires_at")
    if not now < expires_at < _LATEST:
        raise InvalidInputError("expires_at must be in the future", field="expires_at")


def _check_metadata(metadata: dict[str, Any] | None) -> None:
    if metadata is not None and len(msgspec.json.encode(metadata)) > _METADATA_BYTES:
        raise InvalidInputError(f"metadata may have {_METADATA_BYTES} bytes as JSON", field="metadata")


def _check_limits(limits: Limits | None) -> None:
    for name, value in (limits_as_stored(limits) or {}).items():
        if not 1 <= value <= _LIMIT:
            raise InvalidInputError(
                f"limits.{name} must be an integer from 1 to {_LIMIT}", field=f"limits.{name}"
            )
