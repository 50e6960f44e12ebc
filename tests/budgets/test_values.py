"""What may be given for a budget: every wrong value is refused with the name of its field."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from service.budgets.values import (
    BudgetChanges,
    GivenRaise,
    GivenScope,
    NewBudget,
    parse_short,
)
from service.budgets.windows import WindowRule
from service.errors import InvalidInputError
from tests.budgets.making import T0

GIVEN: dict[str, Any] = {"scope": {"kind": "global"}, "limit_usd": "10.00", "window": "month"}


def refused(**fields: Any) -> str:
    new = msgspec.convert(GIVEN | fields, NewBudget)
    with pytest.raises(InvalidInputError) as caught:
        new.checked()
    assert str(caught.value)
    return caught.value.field or ""


def test_what_is_given_becomes_columns() -> None:
    assert msgspec.convert(GIVEN, NewBudget).checked() == {
        "scope_kind": "global",
        "scope_id": None,
        "limit_nanos": 10_000_000_000,
        "window_kind": "month",
        "timezone": "UTC",
        "anchor_day": 1,
        "mode": "hard",
        "models": None,
        "thresholds": [0.5, 0.8, 1.0],
    }


@pytest.mark.parametrize(
    "limit",
    ["0", "0.00", "-1", "+1", "NaN", "nan", "Infinity", "1e999", "1e3", "", " ", "1,5", "1_000", "0x10", "٣",
     "10000000000", "1000000001", "1" * 19, "9" * 31, "1" * 400, "0.0000000001", "1.", ".5"],
)  # fmt: skip
def test_a_limit_is_a_plain_amount_above_zero(limit: str) -> None:
    """Peers: a budget of NaN disabled the enforcement."""
    assert refused(limit_usd=limit) == "limit_usd"


@pytest.mark.parametrize("limit", [10, 10.0, float("nan"), None, True, ["1"]])
def test_a_limit_is_a_string(limit: object) -> None:
    with pytest.raises(msgspec.ValidationError, match="limit_usd"):
        msgspec.json.decode(msgspec.json.encode(GIVEN | {"limit_usd": limit}), type=NewBudget)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"scope": {"kind": "team", "id": "x"}}, "scope.kind"),
        ({"scope": {"kind": "global", "id": "x"}}, "scope.id"),
        ({"scope": {"kind": "key"}}, "scope.id"),
        ({"scope": {"kind": "end_user", "id": ""}}, "scope.id"),
        ({"scope": {"kind": "project", "id": " a"}}, "scope.id"),
        ({"scope": {"kind": "project", "id": "a\x00"}}, "scope.id"),
        ({"scope": {"kind": "project", "id": "a" * 201}}, "scope.id"),
        ({"scope": {"kind": "model", "id": "gpt-["}}, "scope.id"),
        ({"window": "year"}, "window"),
        ({"window": "Month"}, "window"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"timezone": ""}, "timezone"),
        ({"anchor_day": 0}, "anchor_day"),
        ({"anchor_day": 32}, "anchor_day"),
        ({"window": "week", "anchor_day": 8}, "anchor_day"),
        ({"window": "day", "anchor_day": 2}, "anchor_day"),
        ({"mode": "warn"}, "mode"),
        ({"models": []}, "models"),
        ({"models": [""]}, "models"),
        ({"models": ["m"] * 501}, "models"),
        ({"thresholds": [0]}, "thresholds"),
        ({"thresholds": [-0.5]}, "thresholds"),
        ({"thresholds": [11]}, "thresholds"),
        ({"thresholds": [float("nan")]}, "thresholds"),
        ({"thresholds": [float("inf")]}, "thresholds"),
        ({"thresholds": [0.5] * 21}, "thresholds"),
    ],
)
def test_the_field_is_named(fields: dict[str, Any], field: str) -> None:
    assert refused(**fields) == field


def test_unknown_fields_are_refused() -> None:
    """Peers: a budget that was silently not saved."""
    with pytest.raises(msgspec.ValidationError, match="limit"):
        msgspec.convert(GIVEN | {"limit": "1"}, NewBudget)
    for fixed in ("scope", "window", "spent_usd", "id"):
        with pytest.raises(msgspec.ValidationError, match=fixed):
            msgspec.convert({fixed: "day"}, BudgetChanges)


def test_every_scope_and_window_can_be_given() -> None:
    for kind in ("project", "key", "end_user", "model"):
        for identifier in ("x", "*"):
            new = msgspec.convert(GIVEN | {"scope": {"kind": kind, "id": identifier}}, NewBudget)
            assert new.checked()["scope_id"] == identifier
    for window in ("hour", "day", "week", "month", "total"):
        assert msgspec.convert(GIVEN | {"window": window}, NewBudget).checked()["window_kind"] == window


def test_changes_name_their_fields_too() -> None:
    rule = WindowRule("week", "UTC", 3)

    def change(**fields: Any) -> dict[str, Any]:
        return msgspec.convert(fields, BudgetChanges).checked(rule, now=T0)

    assert change() == {}
    assert change(timezone="Asia/Tokyo") == {"timezone": "Asia/Tokyo"}
    assert change(anchor_day=7, mode="soft", models=None, thresholds=[1, 0.5, 1]) == {
        "anchor_day": 7,
        "mode": "soft",
        "models": None,
        "thresholds": [0.5, 1],
    }
    assert change(limit_usd="3") == {"limit_nanos": 3_000_000_000}
    for fields, field in (
        ({"limit_usd": "0"}, "limit_usd"),
        ({"anchor_day": 8}, "anchor_day"),
        ({"timezone": "x"}, "timezone"),
        ({"mode": ""}, "mode"),
        ({"models": []}, "models"),
        ({"thresholds": [0]}, "thresholds"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            change(**fields)
        assert caught.value.field == field


def test_a_raise_has_an_amount_and_an_end() -> None:
    until = T0 + timedelta(days=1)
    rule = WindowRule("day")

    def raised(given: GivenRaise | None) -> dict[str, Any]:
        return BudgetChanges(temporary_raise=given).checked(rule, now=T0)

    assert raised(GivenRaise("5", until)) == {"raise_nanos": 5_000_000_000, "raise_until": until}
    assert raised(None) == {"raise_nanos": None, "raise_until": None}
    for given, field in (
        (GivenRaise("0", until), "raise.amount_usd"),
        (GivenRaise("1", T0), "raise.until"),
        (GivenRaise("1", until.replace(tzinfo=None)), "raise.until"),
        (GivenRaise("1", datetime(9500, 1, 1, tzinfo=UTC)), "raise.until"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            raised(given)
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("10usd/month", ("10", "month")),
        ("10.50 USD / day", ("10.50", "day")),
        ("3$/hour", ("3", "hour")),
        ("3/total", ("3", "total")),
    ],
)
def test_the_short_form(text: str, parts: tuple[str, str]) -> None:
    assert parse_short(text) == parts


@pytest.mark.parametrize(
    "text", ["", "10usd", "usd/month", "10eur/month", "0/day", "10/year", "-1/day", "1e9/day"]
)
def test_a_short_form_that_is_none(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_short(text)
    assert caught.value.field == "budget"


def test_scopes_are_values() -> None:
    assert GivenScope("key", "x") == GivenScope("key", "x")
