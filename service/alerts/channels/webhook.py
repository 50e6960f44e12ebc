"""A signed webhook as Standard Webhooks 1.0 has it: `webhook-id`, `webhook-timestamp`, `webhook-signature`.

The receiver checks HMAC-SHA-256 over `id.timestamp.body` with the secret `whsec_…`. While a secret is being replaced
both sign.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence

import msgspec

from service.alerts.channels.outcome import Envelope
from service.alerts.channels.posting import Poster
from service.errors import InvalidInputError

PREFIX = "whsec_"
SECRET_BYTES = 32
_FEWEST, _MOST = 24, 64


class WebhookChannel:
    """Posts the payload to *url*, signed with each of *secrets*."""

    def __init__(self, url: str, *, secrets: Sequence[str], poster: Poster) -> None:
        self._url = url
        self._keys = [secret_bytes(secret) for secret in secrets]
        self._poster = poster

    def __repr__(self) -> str:
        return "WebhookChannel(********)"

    def send(self, envelope: Envelope) -> str:
        """Post it; any 2xx is an acceptance."""
        body = msgspec.json.encode(envelope.payload)
        timestamp = str(int(envelope.sent_at.timestamp()))
        signed = f"{envelope.id}.{timestamp}.".encode() + body
        signatures = [base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in self._keys]
        headers = {
            "content-type": "application/json",
            "webhook-id": envelope.id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
        }
        return self._poster.post(self._url, body=body, headers=headers)


def new_secret(random: bytes) -> str:
    """A secret from 32 random bytes."""
    return PREFIX + base64.b64encode(random).decode()


def secret_bytes(secret: str) -> bytes:
    """The key inside `whsec_…`: 24 to 64 bytes in base64."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not _FEWEST <= len(key) <= _MOST:
        raise InvalidInputError(
            f"secret must be {PREFIX} and {_FEWEST} to {_MOST} bytes in base64; leave it out to have one made",
            field="secret",
        )
    return key
