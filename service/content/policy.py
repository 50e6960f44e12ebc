"""What a project keeps of its content: the value, and the rules for what may be given. Pure."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from service.errors import InvalidInputError
from service.settings.redaction import BUILT_IN

RETENTION_DAYS = 30
MOST_DAYS = 3650


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether content is kept, for how many days, and what is redacted; *redact* None means everything we can find."""

    enabled: bool
    retention_days: int = RETENTION_DAYS
    redact: tuple[str, ...] | None = None


def check_capture(capture: Capture | None, *, known: Collection[str] = BUILT_IN) -> None:
    """Refuse what no project may have; *known* are the kinds of redaction, own patterns among them."""
    if capture is None:
        return
    if not 1 <= capture.retention_days <= MOST_DAYS:
        raise InvalidInputError(
            f"capture.retention_days must be an integer from 1 to {MOST_DAYS}", field="capture.retention_days"
        )
    for name in capture.redact or ():
        if name not in known:
            raise InvalidInputError(
                f"capture.redact: {name[:50]!r} is not one of {', '.join(known)}", field="capture.redact"
            )


def capture_as_stored(capture: Capture | None) -> dict[str, Any] | None:
    """The row's value; None where nothing was ever said."""
    if capture is None:
        return None
    stored: dict[str, Any] = msgspec.to_builtins(capture)
    if capture.redact is not None:
        stored["redact"] = sorted(set(capture.redact))
    return stored


def capture_from(stored: Mapping[str, Any] | None) -> Capture | None:
    """What a row says; None unless content is kept."""
    capture = None if stored is None else msgspec.convert(stored, Capture)
    return capture if capture is not None and capture.enabled else None
