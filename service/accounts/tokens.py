"""Secrets that a browser holds: session tokens and one-time links. 256 random bits; stored is their HMAC. Pure."""

import base64
import hmac
import re
from collections.abc import Callable
from datetime import datetime

import msgspec

RandomBytes = Callable[[int], bytes]
_SECRET_BYTES = 32
_ID_BYTES = 10
_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class Token(msgspec.Struct, frozen=True):
    """A new secret: what its holder gets, and what the store keeps."""

    text: str
    digest: bytes

    def __repr__(self) -> str:
        return "Token(********)"


def mint(random_bytes: RandomBytes, *, key: bytes, purpose: str) -> Token:
    """A new secret for one *purpose*."""
    text = base64.urlsafe_b64encode(random_bytes(_SECRET_BYTES)).decode().rstrip("=")
    return Token(text, _digest(text, key=key, purpose=purpose))


def digest_of(text: str, *, key: bytes, purpose: str) -> bytes | None:
    """What the store would keep of *text*; None for what cannot be one of ours."""
    return _digest(text, key=key, purpose=purpose) if _SHAPE.fullmatch(text) else None


def new_id(prefix: str, *, now: datetime, random_bytes: RandomBytes) -> str:
    """`acc_…`, `ses_…`: milliseconds first, then randomness; later ids sort later."""
    return f"{prefix}_{int(now.timestamp() * 1000):012x}{random_bytes(_ID_BYTES).hex()}"


def _digest(text: str, *, key: bytes, purpose: str) -> bytes:
    return hmac.digest(key, f"{purpose}\n{text}".encode(), "sha256")
