"""What a channel is given and what it may answer. Pure."""

from datetime import datetime
from typing import Any, Protocol

import msgspec

from service.errors import TollkeeperError


class DeliveryFailedError(TollkeeperError):
    """A message did not get through. *final*: it never will; *retry_after_s*: the receiver asks to wait so long."""

    def __init__(self, detail: str, *, retry_after_s: float | None = None, final: bool = False) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s
        self.final = final


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One message. *id* is the idempotency key, *payload* what `payload` builds, *sent_at* now."""

    id: str
    payload: dict[str, Any]
    sent_at: datetime


class Channel(Protocol):
    """A way to people."""

    def send(self, envelope: Envelope) -> str:
        """Send, or raise `DeliveryFailedError`; returns what to note in the log of deliveries."""
        ...
