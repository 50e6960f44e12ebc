"""What entries say about things: canonical, and without secrets."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from service.audit.values import canonical, difference
from service.keys.token import mint

TOKEN = mint(lambda count: b"\x07" * count).text


def test_canonical_text_is_sorted_and_compact() -> None:
    values = {"b": datetime(2026, 1, 2, tzinfo=UTC), "a": ["é", None, 1.5], "c": Decimal("0.10")}
    assert canonical(values) == '{"a":["é",null,1.5],"b":"2026-01-02T00:00:00Z","c":"0.10"}'
    assert canonical(dict(reversed(values.items()))) == canonical(values)
    assert canonical(None) is None
    assert canonical({}) == "{}"


def test_what_the_encoder_does_not_know_is_text() -> None:
    assert canonical({"a": 1 + 2j}) == '{"a":"(1+2j)"}'


@pytest.mark.parametrize("values", [{"digest": "x"}, {"a": [{"token": "x"}]}, {"a": {"password": "x"}}])
def test_a_field_that_tells_of_a_secret_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="an audit entry may not hold the field"):
        canonical(values)


def test_names_in_metadata_are_the_users_own() -> None:
    assert canonical({"metadata": {"token": "yes", "more": {"secret": 1}}}) is not None


def test_a_key_in_any_text_is_masked() -> None:
    text = canonical({"name": f"my {TOKEN}", "metadata": {TOKEN: [TOKEN, 1]}})
    assert text is not None
    assert TOKEN not in text
    assert text.count("********") == 3


def test_a_difference_names_what_changed() -> None:
    before = {"name": "a", "models": None, "gone": 1}
    after = {"name": "b", "models": None, "fresh": 2}
    assert difference(before, after) == (
        {"name": "a", "gone": 1, "fresh": None},
        {"name": "b", "gone": None, "fresh": 2},
    )
    assert difference(before, before) == ({}, {})
