"""What may be given for a rule, whichever door it came through: API, command line, dashboard.

`NewRule.checked` and `RuleChanges.applied` give the rule's columns or refuse with the name of the field. A number
that is none (NaN, infinity, below zero) never gets in: nothing would ever reach it, and the alert would be silent.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from service.alerts.metrics import METRICS, MINUTE, Metric
from service.alerts.rules import Rule
from service.errors import InvalidInputError
from service.keys.values import check_name, parse_duration
from service.reporting.dimensions import DIMENSIONS, ROLLUP, require_known, require_storable, require_usable

BUDGET_FILTERS = ("budget", "scope", "subject")
GAUGE_FILTERS = ("subject",)
MOST_CHANNELS = 50
MOST_DIMENSIONS = 3
MOST_VALUES = 100
HIGHEST = 1e15
SHORTEST_RENOTIFY = 5 * MINUTE
LONGEST_RENOTIFY = timedelta(days=31)
LONGEST_BY_RECORDS = timedelta(days=1)
"""Windows of dimensions that only the records have, which have to be read one by one."""
REPORT_WINDOWS = ("1d", "7d")

GivenFilter = dict[str, str | list[str]]


class NewRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new rule is made of; what is absent comes from the metric. No channels: every channel."""

    name: str
    metric: str
    group_by: list[str] = []
    filter: GivenFilter = {}
    window: str | None = None
    warning: float | None = None
    critical: float | None = None
    min_requests: int | None = None
    no_data: str = "ok"
    renotify: str | None = None
    channels: list[str] = []

    def checked(self) -> dict[str, Any]:
        """Column → value, or a refusal."""
        metric = check_metric(self.metric)
        check_name(self.name, field="name")
        warning, critical = self.warning, self.critical
        if warning is None and critical is None:
            warning, critical = metric.warning, metric.critical
        return {
            "name": self.name,
            "metric": metric.name,
            "group_by": check_group_by(self.group_by, metric=metric),
            "filters": check_filter(self.filter, metric=metric),
            "window": _window(self, metric=metric),
            **check_thresholds(warning, critical, metric=metric),
            "min_requests": _at_least_zero(
                metric.min_requests if self.min_requests is None else self.min_requests
            ),
            "no_data": check_no_data(self.no_data, metric=metric),
            "renotify": check_renotify(self.renotify),
            "channels": check_channels(self.channels),
        }


class RuleChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes on a rule; UNSET fields stay, None takes the metric's default. The metric stays: make another."""

    name: str | UnsetType = UNSET
    group_by: list[str] | UnsetType = UNSET
    filter: GivenFilter | UnsetType = UNSET
    window: str | UnsetType | None = UNSET
    warning: float | UnsetType | None = UNSET
    critical: float | UnsetType | None = UNSET
    min_requests: int | UnsetType | None = UNSET
    no_data: str | UnsetType = UNSET
    renotify: str | UnsetType | None = UNSET
    channels: list[str] | UnsetType = UNSET

    def applied(self, rule: Rule) -> dict[str, Any]:
        """Column → value of the whole rule with the changes, or a refusal."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}
        return msgspec.structs.replace(as_given(rule), **given).checked()


def as_given(rule: Rule) -> NewRule:
    """A stored rule as it would be given."""
    return NewRule(
        name=rule.name,
        metric=rule.metric,
        group_by=list(rule.group_by),
        filter={name: list(values) for name, values in rule.filters.items()},
        window=rule.window or None,
        warning=rule.warning,
        critical=rule.critical,
        min_requests=rule.min_requests,
        no_data=rule.no_data,
        renotify=rule.renotify,
        channels=list(rule.channels),
    )


def rule_from(row: Mapping[str, Any]) -> Rule:
    """A row of `alert_rule`, or the columns of `checked` with an id, as a value."""
    fields: dict[str, Any] = dict(row)
    renotify = fields["renotify"]
    fields |= {
        "group_by": tuple(fields["group_by"]),
        "filters": {name: tuple(values) for name, values in fields["filters"].items()},
        "channels": tuple(fields["channels"]),
        "renotify_every": None if renotify is None else parse_duration(renotify, field="renotify"),
    }
    return Rule(**fields)


def window_of(rule: Rule) -> timedelta:
    """How far back the rule looks; nothing where its metric has no window."""
    return parse_duration(rule.window, field="window") if rule.window else timedelta(0)


def check_metric(name: str) -> Metric:
    """A metric by its name."""
    found = METRICS.get(name)
    if found is None:
        raise InvalidInputError(f"metric is {name[:50]!r}; use one of {', '.join(METRICS)}", field="metric")
    return found


def check_group_by(names: Iterable[str], *, metric: Metric) -> list[str]:
    """Dimensions that each get an alert of their own."""
    found = list(names)
    allowed = _dimensions(metric)
    for name in found:
        if name not in allowed:
            hint = f"use one of {', '.join(allowed)}" if allowed else "leave it out"
            raise InvalidInputError(
                f"group_by names {name[:50]!r}, which {metric.name} does not have; {hint}", field="group_by"
            )
    require_known(found, field="group_by")
    if len(found) > MOST_DIMENSIONS:
        raise InvalidInputError(f"group_by names more than {MOST_DIMENSIONS} dimensions", field="group_by")
    return found


def check_filter(given: GivenFilter, *, metric: Metric) -> dict[str, list[str]]:
    """For each dimension the values that count."""
    found: dict[str, list[str]] = {}
    allowed = _filters(metric)
    for name, value in given.items():
        if name not in allowed:
            hint = f"use one of {', '.join(allowed)}" if allowed else "leave it out"
            raise InvalidInputError(
                f"filter names {name[:50]!r}, which {metric.name} does not have; {hint}", field="filter"
            )
        values = [value] if isinstance(value, str) else value
        if not 1 <= len(values) <= MOST_VALUES:
            raise InvalidInputError(
                f"filter.{name} must list 1 to {MOST_VALUES} values", field=f"filter.{name}"
            )
        for text in values:
            require_storable(text, field=f"filter.{name}")
        found[name] = list(values)
    require_usable({name: tuple(values) for name, values in found.items() if name in DIMENSIONS})
    return found


def check_thresholds(
    warning: float | None, critical: float | None, *, metric: Metric
) -> dict[str, float | None]:
    """Values above zero; a critical one is not below the warning."""
    for name, value in (("warning", warning), ("critical", critical)):
        if value is not None and not (math.isfinite(value) and 0 < value <= HIGHEST):
            raise InvalidInputError(f"{name} is {value}; it must be a number above 0", field=name)
        if value is not None and metric.family == "report":
            raise InvalidInputError(f"{name}: a report has no thresholds; leave it out", field=name)
    if warning is None and critical is None and metric.needs_threshold:
        raise InvalidInputError(
            f"warning and critical are missing: {metric.name} needs at least one of them ({metric.unit})",
            field="warning",
        )
    if warning is not None and critical is not None and critical < warning:
        raise InvalidInputError(
            f"critical is {critical:g}, below warning ({warning:g}); higher is worse", field="critical"
        )
    return {"warning": warning, "critical": critical}


def check_no_data(text: str, *, metric: Metric) -> str:
    """What it means that there is nothing to measure."""
    if text not in ("ok", "alert"):
        raise InvalidInputError(f"no_data is {text[:50]!r}; use ok or alert", field="no_data")
    if text == "alert" and metric.family not in ("usage", "gauge"):
        raise InvalidInputError(f"no_data: {metric.name} knows only ok", field="no_data")
    return text


def check_renotify(text: str | None) -> str | None:
    """How often people are told again while an alert lasts; None: never."""
    if text is None:
        return None
    if not SHORTEST_RENOTIFY <= parse_duration(text, field="renotify") <= LONGEST_RENOTIFY:
        raise InvalidInputError(f"renotify is {text}; use 5m to 31d", field="renotify")
    return text.strip()


def check_channels(ids: list[str]) -> list[str]:
    """Channels by id; whether they exist is for the store to say."""
    if len(ids) > MOST_CHANNELS or len(set(ids)) < len(ids):
        raise InvalidInputError(f"channels: at most {MOST_CHANNELS}, each once", field="channels")
    return list(ids)


def _window(given: NewRule, *, metric: Metric) -> str:
    text = (given.window or metric.window or "").strip()
    if metric.window is None:
        if text:
            raise InvalidInputError(f"window: {metric.name} has none; leave it out", field="window")
        return ""
    window = parse_duration(text, field="window")
    if metric.family == "report" and text not in REPORT_WINDOWS:
        raise InvalidInputError(f"window is {text}; a report is made for 1d or 7d", field="window")
    by_records = {*given.group_by, *given.filter} - ROLLUP.keys()
    longest = LONGEST_BY_RECORDS if by_records and metric.family != "budget" else metric.longest
    if not MINUTE <= window <= longest:
        because = (
            f" with {', '.join(sorted(by_records))}" if longest is LONGEST_BY_RECORDS and by_records else ""
        )
        raise InvalidInputError(
            f"window is {text}; {metric.name}{because} looks back 1m to {longest.days}d", field="window"
        )
    return text


def _at_least_zero(number: int) -> int:
    if not 0 <= number < 2**31:
        raise InvalidInputError(f"min_requests is {number}; use 0 or more", field="min_requests")
    return number


def _dimensions(metric: Metric) -> tuple[str, ...]:
    match metric.family:
        case "usage":
            return DIMENSIONS
        case "history" | "activity" | "report":
            return tuple(ROLLUP)
        case _:
            return ()


def _filters(metric: Metric) -> tuple[str, ...]:
    match metric.family:
        case "budget":
            return BUDGET_FILTERS
        case "gauge":
            return GAUGE_FILTERS
        case "upstream":
            return tuple(ROLLUP)
        case _:
            return _dimensions(metric)
