"""Whether an ID token is what it must be: OpenID Connect Core 1.0, section 3.1.3.7. Pure.

The signature comes first, with public keys of the provider and asymmetric algorithms only: no `none`, and no HMAC, with
which a public key could be taken for a secret.
"""

from datetime import datetime
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import ClaimError, InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, KeySet
from joserfc.jws import JWSRegistry

from service.accounts.sign_in import NotProvedError

ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
LEEWAY_S = 60
_KEY_TYPES = ("RSA", "EC", "OKP")
# A header may say more than joserfc knows; what it marks as critical must still be known.
_REGISTRY = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)


class UnknownKeyError(NotProvedError):
    """The token names a key that is not among these; the provider may have a new one."""


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What the claims of a token must say."""

    issuer: str
    client_id: str
    nonce: str


def key_set(document: Any) -> KeySet:
    """The public keys of a JWKS document that can sign; others are passed over."""
    keys = document.get("keys") if isinstance(document, dict) else None
    found = []
    for data in keys if isinstance(keys, list) else ():
        if not isinstance(data, dict) or data.get("kty") not in _KEY_TYPES or data.get("use", "sig") != "sig":
            continue
        try:
            found.append(JWKRegistry.import_key(data))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    return KeySet(found)


def verified(token: str, keys: KeySet, *, expected: Expected, now: datetime) -> dict[str, Any]:
    """The claims of *token*.

    Raises:
        UnknownKeyError: none of *keys* is the one that it names.
        NotProvedError: it is not signed by the provider, not for us, not of this attempt, or too old.
    """
    try:
        claims = jwt.decode(token, keys, registry=_REGISTRY).claims
    except InvalidKeyIdError as error:
        raise UnknownKeyError(
            "the ID token names a key that the identity provider does not publish"
        ) from error
    except (JoseError, ValueError, TypeError) as error:
        raise NotProvedError(f"the ID token is not signed as it must be: {_reason(error)}") from error
    _check(claims, expected=expected, now=now)
    return claims


def _check(claims: dict[str, Any], *, expected: Expected, now: datetime) -> None:
    needed = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=LEEWAY_S,
        iss={"essential": True, "value": expected.issuer},
        aud={"essential": True, "value": expected.client_id},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        needed.validate(claims)
    except ClaimError as error:
        raise NotProvedError(f"the ID token cannot be accepted: {_reason(error)}") from error
    if claims.get("nonce") != expected.nonce:
        raise NotProvedError("the ID token belongs to another attempt to sign in (nonce)")
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else expected.client_id) != expected.client_id:
        raise NotProvedError("the ID token was issued to another client (azp)")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
