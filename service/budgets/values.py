"""What may be given for a budget, whichever door it came through. Pure, but for the zone files.

`NewBudget.checked` and `BudgetChanges.checked` refuse with the name of the field. Amounts are decimal strings: a
number such as NaN, 1e999 or -1 cannot even be written as one.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from service.budgets.policy import EACH, SCOPE_KINDS, Mode, Scope, ScopeKind
from service.budgets.windows import DAYS_OF_WEEK, LONGEST_MONTH, WINDOWS, Window, WindowRule, time_zone
from service.errors import InvalidInputError
from service.pricing.money import format_usd, parse_usd
from service.settings.checks import label_problem, model_pattern_problem
from service.store.budget_tables import MAX_AMOUNT

MODES: tuple[Mode, ...] = ("hard", "soft")
DEFAULT_THRESHOLDS = (0.5, 0.8, 1.0)
_HIGHEST_THRESHOLD = 10.0
_MOST = 20
_MOST_MODELS = 500
_ID_LENGTH = 200
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
_SHORT = re.compile(r"\s*([0-9.]{1,40})\s*(?:usd|\$)?\s*/\s*([a-z]{1,10})\s*", re.IGNORECASE)


class GivenScope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A scope as it is given; the id `*` is each one by itself."""

    kind: str
    id: str | None = None


class GivenRaise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So much more, until then."""

    amount_usd: str
    until: datetime


class BudgetFilter(msgspec.Struct, frozen=True):
    """Which budgets; None leaves a side open. *deleted* shows those as well."""

    kind: ScopeKind | None = None
    id: str | None = None
    deleted: bool = False


class KeyBudget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A budget of a key that is being made; `NewBudget` without its scope."""

    limit_usd: str
    window: str
    timezone: str = "UTC"
    anchor_day: int = 1
    mode: str = "hard"
    models: list[str] | None = None
    thresholds: tuple[float, ...] = DEFAULT_THRESHOLDS

    def of(self, scope: GivenScope) -> "NewBudget":
        """The same with a scope."""
        return NewBudget(scope=scope, **msgspec.structs.asdict(self))


class NewBudget(KeyBudget, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new budget is made of."""

    scope: GivenScope

    def checked(self) -> dict[str, Any]:
        """Column → value, or a refusal."""
        scope = check_scope(self.scope)
        rule = check_rule(self.window, self.timezone, self.anchor_day)
        return {
            "scope_kind": scope.kind,
            "scope_id": scope.id,
            "limit_nanos": check_amount(self.limit_usd, field="limit_usd"),
            "window_kind": rule.window,
            "timezone": rule.timezone,
            "anchor_day": rule.anchor_day,
            "mode": check_mode(self.mode),
            "models": check_models(self.models),
            "thresholds": check_thresholds(self.thresholds),
        }


class BudgetChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes on a budget; UNSET fields stay. Whose it is and its window do not change: make another.

    A new zone or anchor day counts from the end of the running period.
    """

    limit_usd: str | UnsetType = UNSET
    timezone: str | UnsetType = UNSET
    anchor_day: int | UnsetType = UNSET
    mode: str | UnsetType = UNSET
    models: list[str] | UnsetType | None = UNSET
    thresholds: list[float] | UnsetType = UNSET
    temporary_raise: GivenRaise | UnsetType | None = msgspec.field(default=UNSET, name="raise")

    def checked(self, rule: WindowRule, *, now: datetime) -> dict[str, Any]:
        """Column → value of what changes on a budget of *rule*, or a refusal."""
        values: dict[str, Any] = {}
        if self.limit_usd is not UNSET:
            values["limit_nanos"] = check_amount(self.limit_usd, field="limit_usd")
        if self.timezone is not UNSET:
            values["timezone"] = self.timezone
        if self.anchor_day is not UNSET:
            values["anchor_day"] = self.anchor_day
        if values.keys() & {"timezone", "anchor_day"}:
            check_rule(
                rule.window,
                values.get("timezone", rule.timezone),
                values.get("anchor_day", rule.anchor_day),
            )
        if self.mode is not UNSET:
            values["mode"] = check_mode(self.mode)
        if self.models is not UNSET:
            values["models"] = check_models(self.models)
        if self.thresholds is not UNSET:
            values["thresholds"] = check_thresholds(self.thresholds)
        if self.temporary_raise is not UNSET:
            values |= check_raise(self.temporary_raise, now=now)
        return values


def parse_short(text: str, *, field: str = "budget") -> tuple[str, str]:
    """Limit and window of a short form such as ``10usd/month``."""
    found = _SHORT.fullmatch(text)
    if found is None:
        raise InvalidInputError(f"{field} is {text[:50]!r}; write one such as 10usd/month", field=field)
    check_amount(found[1], field=field)
    return found[1], check_window(found[2].lower(), field=field)


def check_scope(given: GivenScope) -> Scope:
    """Whose spending counts."""
    kind = check_kind(given.kind, field="scope.kind")
    if kind == "global":
        if given.id is not None:
            raise InvalidInputError("scope.id: a global budget has none", field="scope.id")
        return Scope(kind)
    if not given.id:
        raise InvalidInputError(
            f"scope.id is missing: say which {kind}, or {EACH} for each by itself", field="scope.id"
        )
    check_subject(given.id, field="scope.id")
    if kind == "model" and given.id != EACH and (problem := model_pattern_problem(given.id)):
        raise InvalidInputError(f"scope.id: {problem}", field="scope.id")
    return Scope(kind, given.id)


def check_kind(text: str, *, field: str) -> ScopeKind:
    """The name of a kind of scope."""
    if text not in SCOPE_KINDS:
        raise InvalidInputError(f"{field} is {text[:50]!r}; use {', '.join(SCOPE_KINDS)}", field=field)
    return text


def check_subject(text: str, *, field: str) -> str:
    """The name of a project, a key, an end user or a model."""
    if problem := label_problem(text, longest=_ID_LENGTH):
        raise InvalidInputError(f"{field} {problem}", field=field)
    return text


def check_amount(text: str, *, field: str) -> int:
    """Nano-USD of an amount above zero."""
    nanos = parse_usd(text, field=field)
    if nanos == 0:
        raise InvalidInputError(f"{field} is 0; a budget has to be above it", field=field)
    if nanos > MAX_AMOUNT:
        raise InvalidInputError(f"{field} is {text}; the most is {format_usd(MAX_AMOUNT)}", field=field)
    return nanos


def check_window(text: str, *, field: str = "window") -> Window:
    """The name of a window."""
    if text not in WINDOWS:
        raise InvalidInputError(f"{field}: {text[:50]!r} is no window; use {', '.join(WINDOWS)}", field=field)
    return text


def check_rule(window: str, timezone: str, anchor_day: int) -> WindowRule:
    """How time is cut."""
    known = check_window(window)
    time_zone(timezone)
    highest = {"week": DAYS_OF_WEEK, "month": LONGEST_MONTH}.get(known, 1)
    if not 1 <= anchor_day <= highest:
        raise InvalidInputError(
            f"anchor_day is {anchor_day}; for the window {known} use 1"
            + (f" to {highest}" if highest > 1 else ""),
            field="anchor_day",
        )
    return WindowRule(known, timezone, anchor_day)


def check_mode(text: str) -> Mode:
    """The name of a mode."""
    if text not in MODES:
        raise InvalidInputError(f"mode is {text[:50]!r}; use hard or soft", field="mode")
    return text


def check_models(models: Sequence[str] | None) -> list[str] | None:
    """Model names and patterns; None is every model."""
    if models is None:
        return None
    if not 1 <= len(models) <= _MOST_MODELS:
        raise InvalidInputError(
            f"models must list 1 to {_MOST_MODELS} names or patterns; leave it out for every model",
            field="models",
        )
    for model in models:
        if problem := model_pattern_problem(model):
            raise InvalidInputError(f"models: {problem}", field="models")
    return list(models)


def check_thresholds(shares: Sequence[float]) -> list[float]:
    """Shares of the limit, ascending; a comparison with NaN is never true."""
    if len(shares) > _MOST or not all(0 < share <= _HIGHEST_THRESHOLD for share in shares):
        raise InvalidInputError(
            f"thresholds: at most {_MOST} shares above 0 and up to {_HIGHEST_THRESHOLD}", field="thresholds"
        )
    return sorted(set(shares))


def check_raise(given: GivenRaise | None, *, now: datetime) -> dict[str, Any]:
    """Column → value of a temporary raise; None ends it."""
    if given is None:
        return {"raise_nanos": None, "raise_until": None}
    if given.until.tzinfo is None:
        raise InvalidInputError("raise.until needs its UTC offset, such as Z", field="raise.until")
    if not now < given.until < _LATEST:
        raise InvalidInputError("raise.until must be in the future", field="raise.until")
    return {
        "raise_nanos": check_amount(given.amount_usd, field="raise.amount_usd"),
        "raise_until": given.until.astimezone(UTC),
    }
