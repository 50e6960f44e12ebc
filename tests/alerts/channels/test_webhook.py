"""Webhooks are checked with the reference implementation of Standard Webhooks."""

import base64
import json
import time
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from service.alerts.channels.addresses import AddressGuard
from service.alerts.channels.outcome import Envelope
from service.alerts.channels.posting import Poster
from service.alerts.channels.webhook import WebhookChannel, new_secret, secret_bytes
from service.errors import InvalidInputError
from tests.support.receivers import receiver

SECRET = new_secret(bytes(range(32)))
OTHER = new_secret(bytes(32))
PAYLOAD = {"type": "alert.firing", "id": "1", "subject": "ünï", "value": 0.5}


def send(url: str, *secrets: str) -> Envelope:
    poster = Poster(AddressGuard(["127.0.0.0/8"]), monotonic=time.monotonic)
    now = datetime.now(UTC)  # noqa: TID251  (the reference implementation goes by the machine's clock)
    envelope = Envelope(id="0199-delivery", payload=PAYLOAD, sent_at=now)
    assert WebhookChannel(url, secrets=secrets, poster=poster).send(envelope) == "HTTP 200"
    return envelope


def test_the_reference_implementation_accepts_the_signature() -> None:
    with receiver() as found:
        envelope = send(f"{found.url}/hook", SECRET)
    (got,) = found.got
    assert Webhook(SECRET).verify(got.body, got.headers) == PAYLOAD
    assert got.headers["webhook-id"] == envelope.id
    assert got.headers["content-type"] == "application/json"


def test_a_changed_body_or_another_secret_is_noticed() -> None:
    with receiver() as found:
        send(f"{found.url}/hook", SECRET)
    (got,) = found.got
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(got.body + b" ", got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(got.body, got.headers)


def test_while_a_secret_is_replaced_both_sign() -> None:
    with receiver() as found:
        send(f"{found.url}/hook", SECRET, OTHER)
    (got,) = found.got
    for secret in (SECRET, OTHER):
        assert Webhook(secret).verify(got.body, got.headers) == json.loads(got.body)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_!!!",
        base64.b64encode(bytes(32)).decode(),
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
    ],
)
def test_what_is_no_secret_is_refused(secret: str) -> None:
    with pytest.raises(InvalidInputError, match="secret must be whsec_"):
        secret_bytes(secret)


def test_a_channel_does_not_show_its_secrets() -> None:
    channel = WebhookChannel("https://x.example/t0ken", secrets=[SECRET], poster=None)  # type: ignore[arg-type]
    assert repr(channel) == "WebhookChannel(********)"
