"""The text of a key: `tk_<public id>_<secret>_<checksum>`, and `tka_…` for an admin key. Pure.

All parts are base62. The public id (12 characters) names the key and may be shown. The secret has 256 random
bits (43 characters). The checksum (CRC-32, 6 characters) tells a mistyped key from an unknown one and lets
scanners recognise ours. Stored is HMAC-SHA-256(pepper, secret) and nothing that leads back to the secret.
"""

import hmac
import re
from collections.abc import Callable, Sequence
from typing import Literal
from zlib import crc32

import msgspec

from service.errors import AuthenticationError

Kind = Literal["tk", "tka"]
RandomBytes = Callable[[int], bytes]

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PUBLIC_ID_BYTES = 8
_PUBLIC_ID_LENGTH = 12
_SECRET_BYTES = 32
_SECRET_LENGTH = 43
_CHECKSUM_LENGTH = 6
_SHAPE = re.compile(r"(tka?)_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})", re.ASCII)
_BEARER = re.compile(r"bearer +([^ ]+) *", re.IGNORECASE | re.ASCII)


class TokenParts(msgspec.Struct, frozen=True):
    """A well-formed key. Its repr does not show the secret."""

    kind: Kind
    public_id: str
    secret: str

    def __repr__(self) -> str:
        return f"TokenParts({self.kind}_{self.public_id}_…)"

    @property
    def text(self) -> str:
        """The whole key, as its holder sends it."""
        return f"{self.kind}_{self.public_id}_{self.secret}_{_checksum(self)}"


def mint(random_bytes: RandomBytes, *, kind: Kind = "tk") -> TokenParts:
    """A new key from the randomness that *random_bytes* gives."""
    return TokenParts(
        kind,
        base62(int.from_bytes(random_bytes(_PUBLIC_ID_BYTES)), width=_PUBLIC_ID_LENGTH),
        base62(int.from_bytes(random_bytes(_SECRET_BYTES)), width=_SECRET_LENGTH),
    )


def parse(text: str) -> TokenParts | None:
    """The parts of a key; None for anything else, a wrong checksum included."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        return None
    kind, public_id, secret, checksum = found.groups()
    parts = TokenParts("tka" if kind == "tka" else "tk", public_id, secret)
    return parts if checksum == _checksum(parts) else None


def digest(pepper: bytes, secret: str) -> bytes:
    """What the store keeps of *secret*."""
    return hmac.digest(pepper, secret.encode(), "sha256")


def bearer_token(header: str | None) -> str:
    """The token of an `Authorization: Bearer …` value; empty where there is none."""
    found = _BEARER.fullmatch(header or "")
    return "" if found is None else found[1]


def sole_bearer_token(headers: Sequence[str]) -> str:
    """The token of a request with these `Authorization` headers.

    Raises:
        AuthenticationError: there are several. Which of them a program before us has judged is not known here.
    """
    if len(headers) > 1:
        raise AuthenticationError(f"The request has {len(headers)} `Authorization` headers; send one.")
    return bearer_token(headers[0] if headers else None)


def base62(number: int, *, width: int) -> str:
    """*number* in base62, as *width* digits; greater numbers sort later."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def _checksum(parts: TokenParts) -> str:
    text = f"{parts.kind}_{parts.public_id}_{parts.secret}"
    return base62(crc32(text.encode()), width=_CHECKSUM_LENGTH)
