"""What a key may be made of."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from service.errors import InvalidInputError
from service.keys.values import KeyChanges, Limits, NewKey, limits_as_stored, parse_expiry

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": "x" * 200, "project": "Übersetzung 翻訳"},
        {"models": ["gpt-4o", "o*"], "expires_at": NOW + timedelta(seconds=1)},
        {"metadata": {"team": {"id": 1}}, "limits": Limits(rpm=1, concurrency=2**31 - 1)},
    ],
)
def test_keys_that_can_be_made(fields: dict[str, Any]) -> None:
    new = NewKey(**{"name": "n", **fields})
    assert new.checked(NOW) is new


WRONG = [
    ({"name": ""}, "name", "1 to 200 printable characters"),
    ({"name": "x" * 201}, "name", "1 to 200 printable characters"),
    ({"name": "a\nb"}, "name", "1 to 200 printable characters"),
    ({"name": "a\x1b[2J"}, "name", "1 to 200 printable characters"),
    ({"name": "a\u202eb"}, "name", "1 to 200 printable characters"),
    ({"name": " a"}, "name", "1 to 200 printable characters"),
    ({"project": ""}, "project", "1 to 200 printable characters"),
    ({"models": []}, "models", "leave it out to allow every model"),
    ({"models": ["m"] * 501}, "models", "1 to 500"),
    ({"models": ["o[1"]}, "models", "has a [ without its ]"),
    ({"expires_at": NOW}, "expires_at", "must be in the future"),
    ({"expires_at": datetime(9999, 1, 1, tzinfo=UTC)}, "expires_at", "must be in the future"),
    ({"expires_at": datetime(2030, 1, 1)}, "expires_at", "needs its UTC offset"),  # noqa: DTZ001  (naive on purpose)
    ({"metadata": {"x": "y" * 4090}}, "metadata", "4096 bytes"),
    ({"limits": Limits(rpm=0)}, "limits.rpm", "from 1 to 2147483647"),
    ({"limits": Limits(tpm=2**31)}, "limits.tpm", "from 1 to 2147483647"),
]


@pytest.mark.parametrize(("fields", "field", "reason"), WRONG)
def test_what_cannot_be_is_refused_by_name(fields: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(InvalidInputError) as creating:
        NewKey(**{"name": "n", **fields}).checked(NOW)
    with pytest.raises(InvalidInputError) as changing:
        KeyChanges(**fields).checked(NOW)
    assert creating.value.field == changing.value.field == field
    assert reason in str(creating.value)


def test_changes_name_only_what_was_given() -> None:
    assert KeyChanges().checked(NOW) == {}
    assert KeyChanges(models=None, name="b").checked(NOW) == {"models": None, "name": "b"}
    decoded = msgspec.json.decode(b'{"expires_at":null}', type=KeyChanges)
    assert decoded.checked(NOW) == {"expires_at": None}


@pytest.mark.parametrize("field", ["id", "created_at", "revoked_at", "updated_at", "budgets"])
def test_what_is_not_for_the_caller_cannot_be_set(field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.json.decode(msgspec.json.encode({field: None}), type=KeyChanges)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30d", NOW + timedelta(days=30)),
        ("12h", NOW + timedelta(hours=12)),
        (" 90m ", NOW + timedelta(minutes=90)),
        ("2w", NOW + timedelta(weeks=2)),
        ("2030-01-31T00:00:00Z", datetime(2030, 1, 31, tzinfo=UTC)),
        ("2030-01-31T01:00:00+01:00", datetime(2030, 1, 31, tzinfo=UTC)),
    ],
)
def test_expiry(text: str, expected: datetime) -> None:
    assert parse_expiry(text, now=NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "30", "d", "-1d", "1.5h", "999999w", "٣d", "2030-13-01"])
def test_no_expiry(text: str) -> None:
    with pytest.raises(InvalidInputError, match="neither a duration"):
        parse_expiry(text, now=NOW)


def test_limits_as_stored() -> None:
    assert limits_as_stored(None) is None
    assert limits_as_stored(Limits()) is None
    assert limits_as_stored(Limits(tpm=5)) == {"tpm": 5}
