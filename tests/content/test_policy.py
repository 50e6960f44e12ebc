"""What a project may say about its content."""

import pytest

from service.content.policy import Capture, capture_as_stored, capture_from, check_capture
from service.errors import InvalidInputError

FULL = Capture(enabled=True, retention_days=7, redact=("email", "card", "email"))


def test_stored_and_read_again() -> None:
    stored = capture_as_stored(FULL)
    assert stored == {"enabled": True, "retention_days": 7, "redact": ["card", "email"]}
    assert capture_from(stored) == Capture(enabled=True, retention_days=7, redact=("card", "email"))
    assert capture_as_stored(Capture(enabled=True)) == {"enabled": True, "retention_days": 30, "redact": None}
    assert capture_as_stored(None) is None


@pytest.mark.parametrize("stored", [None, {"enabled": False, "retention_days": 7, "redact": None}])
def test_nothing_is_kept_unless_somebody_said_so(stored: dict[str, object] | None) -> None:
    assert capture_from(stored) is None


@pytest.mark.parametrize("capture", [None, FULL, Capture(enabled=False), Capture(enabled=True, redact=())])
def test_taken(capture: Capture | None) -> None:
    check_capture(capture)


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_days(days: int) -> None:
    with pytest.raises(InvalidInputError, match="from 1 to 3650") as refused:
        check_capture(Capture(enabled=True, retention_days=days))
    assert refused.value.field == "capture.retention_days"


def test_kinds_of_redaction_must_be_known() -> None:
    wanted = Capture(enabled=True, redact=("email", "employee"))
    with pytest.raises(
        InvalidInputError, match="'employee' is not one of credential, email, iban, card, phone"
    ):
        check_capture(wanted)
    check_capture(wanted, known=("email", "employee"))
