"""Single JSON values as upstreams really send them: nothing trusted, nothing raised.

Numbers with a point or an exponent are read as `Decimal`: no amount passes through a float.
"""

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

LONGEST_TEXT = 256
"""Characters kept of a name or identifier an upstream sends."""

GARBAGE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding arbitrary bytes can raise."""


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond what Decimal holds
        return Decimal("NaN")


_decoder = msgspec.json.Decoder(float_hook=_decimal)


def value_of(raw: bytes | msgspec.Raw) -> Any:
    """The decoded value; None for null, nothing and garbage."""
    try:
        return _decoder.decode(raw)
    except GARBAGE:
        return None


def text_of(raw: bytes | msgspec.Raw) -> str | None:
    """A non-empty string, or an integer as its digits; cut to `LONGEST_TEXT`."""
    return as_text(value_of(raw))


def as_text(value: Any) -> str | None:
    """As `text_of`, of a decoded value."""
    if isinstance(value, str) and value:
        return value[:LONGEST_TEXT]
    return str(value) if type(value) is int and abs(value) < 1 << 63 else None


def index_of(raw: bytes | msgspec.Raw) -> int:
    """A choice's index; 0 where it is missing or no index."""
    value = value_of(raw)
    return value if type(value) is int and 0 <= value < 1 << 31 else 0


def is_null(raw: bytes | msgspec.Raw) -> bool:
    """Absent or null."""
    return bytes(raw) in {b"", b"null"}
