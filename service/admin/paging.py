"""Keyset pages: `?limit=&cursor=` in, `{"data": […], "next": cursor | null}` out. Pure.

A cursor is opaque to the caller: the position of the last row, in base64url. It grants nothing, so it is not
signed, but everything in it is checked.
"""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

from service.errors import InvalidInputError
from service.store.types import from_micros, to_micros

T = TypeVar("T")
DEFAULT_PAGE = 50
MAX_PAGE = 1000
_CURSOR_LENGTH = 2000
_LATEST_MICROS = 253_402_300_799_999_999  # the year 9999


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page; *next* is None on the last."""

    data: list[T]
    next: str | None


class Position(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where a page ends: `created_at` in microseconds, and the id, or whatever else tells rows of one instant apart."""

    micros: Annotated[int, Meta(ge=0, le=_LATEST_MICROS)]
    id: Annotated[str, Meta(max_length=200, pattern="^[^\\x00]*$")]


def check_limit(limit: int) -> int:
    """A page has 1 to 1000 rows."""
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInputError(f"limit must be an integer from 1 to {MAX_PAGE}", field="limit")
    return limit


def write_cursor(created_at: datetime, identifier: str) -> str:
    """The cursor after this row."""
    encoded = msgspec.json.encode(Position(to_micros(created_at), identifier))
    return base64.urlsafe_b64encode(encoded).decode().rstrip("=")


def read_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    """The row that a cursor of ours names."""
    if cursor is None:
        return None
    padded = cursor[:_CURSOR_LENGTH] + "=" * (-len(cursor) % 4)
    try:
        decoded = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
        position = msgspec.json.decode(decoded, type=Position)
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise InvalidInputError("cursor is not one that an earlier page gave", field="cursor") from error
    return from_micros(position.micros), position.id
