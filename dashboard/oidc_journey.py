"""What a browser carries while its owner is at the identity provider: a signed cookie that lasts ten minutes.

It holds a random seed, its end and the page to go to. State, nonce and PKCE verifier are derived from the seed with
our key, so that a browser never learns the verifier, and nothing has to be kept in the store. Pure.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

LIFETIME = timedelta(minutes=10)
LONGEST_NEXT = 1_500
_SEED_BYTES = 32
_COOKIE_LENGTH = 4_000


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to sign in. *state*, *nonce* and *verifier* are what OpenID Connect and PKCE (RFC 7636) call so."""

    seed: str
    expires_at: int
    next_path: str
    state: str
    nonce: str
    verifier: str

    @property
    def challenge(self) -> str:
        """PKCE's S256 challenge."""
        return _text(hashlib.sha256(self.verifier.encode()).digest())

    def __repr__(self) -> str:
        return f"Journey(next_path={self.next_path!r})"


class Journeys:
    """Begins them and recognises them. *key* is derived from the root secret; *now* is the wall clock (UTC)."""

    def __init__(
        self, key: bytes, *, now: Callable[[], datetime], random_bytes: Callable[[int], bytes]
    ) -> None:
        self._key = key
        self._now = now
        self._random_bytes = random_bytes

    def begin(self, *, next_path: str) -> Journey:
        """A new one."""
        seed = _text(self._random_bytes(_SEED_BYTES))
        expires_at = int((self._now() + LIFETIME).timestamp())
        return self._of(seed, expires_at, next_path if len(next_path) <= LONGEST_NEXT else "/")

    def cookie(self, journey: Journey) -> str:
        """The journey as the browser carries it."""
        body = _text(msgspec.json.encode((journey.seed, journey.expires_at, journey.next_path)))
        return f"{body}.{self._derived('cookie', body)}"

    def resume(self, cookie: str | None) -> Journey | None:
        """The journey of this cookie; None where it is not ours or has ended."""
        body, dot, signature = (cookie or "").partition(".")
        if not dot or len(body) > _COOKIE_LENGTH or not cookie or not cookie.isascii():
            return None
        if not hmac.compare_digest(signature, self._derived("cookie", body)):
            return None
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        seed, expires_at, next_path = msgspec.json.decode(raw, type=tuple[str, int, str])
        if expires_at <= self._now().timestamp():
            return None
        return self._of(seed, expires_at, next_path)

    def _of(self, seed: str, expires_at: int, next_path: str) -> Journey:
        return Journey(
            seed=seed,
            expires_at=expires_at,
            next_path=next_path,
            state=self._derived("state", seed),
            nonce=self._derived("nonce", seed),
            verifier=self._derived("verifier", seed),
        )

    def _derived(self, purpose: str, text: str) -> str:
        return _text(hmac.digest(self._key, f"{purpose}\n{text}".encode(), "sha256"))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
