"""What may be given for a rule; a refusal names the field."""

from typing import Any

import msgspec
import pytest

from service.alerts.metrics import METRICS
from service.alerts.values import NewRule, RuleChanges, as_given, rule_from, window_of
from service.errors import InvalidInputError
from tests.alerts.making import DAY, MINUTE, rule


def columns(metric: str = "error_rate", **fields: Any) -> dict[str, Any]:
    return NewRule(**{"name": "A rule", "metric": metric, **fields}).checked()


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_defaults_that_can_be_used(name: str) -> None:
    metric = METRICS[name]
    needed = {"critical": 9.0} if metric.needs_threshold and not (metric.warning or metric.critical) else {}
    found = columns(name, **needed)
    assert found["window"] == (metric.window or "")
    assert found["min_requests"] == metric.min_requests


def test_defaults_come_from_the_metric() -> None:
    assert columns() == {
        "name": "A rule",
        "metric": "error_rate",
        "group_by": [],
        "filters": {},
        "window": "15m",
        "warning": 0.1,
        "critical": 0.5,
        "min_requests": 20,
        "no_data": "ok",
        "renotify": None,
        "channels": [],
    }


def test_what_is_given_holds() -> None:
    found = columns(
        group_by=["key", "model"],
        filter={"project": "alpha", "model": ["gpt-*", "o1"]},
        window="1h",
        critical=0.3,
        min_requests=0,
        no_data="alert",
        renotify="4h",
        channels=["chn_1"],
    )
    assert found["filters"] == {"project": ["alpha"], "model": ["gpt-*", "o1"]}
    assert (found["warning"], found["critical"]) == (None, 0.3)
    assert (found["min_requests"], found["no_data"], found["renotify"]) == (0, "alert", "4h")


@pytest.mark.parametrize(
    ("metric", "fields", "field", "reason"),
    [
        ("bogus", {}, "metric", "metric is 'bogus'; use one of budget_used, "),
        ("error_rate", {"group_by": ["colour"]}, "group_by", "group_by names 'colour', which error_rate"),
        ("error_rate", {"group_by": ["key", "key"]}, "group_by", "names 'key' twice"),
        ("error_rate", {"group_by": ["key", "model", "project", "upstream"]}, "group_by", "more than 3"),
        ("budget_used", {"group_by": ["key"]}, "group_by", "budget_used does not have; leave it out"),
        ("upstream_down", {"group_by": ["upstream"]}, "group_by", "leave it out"),
        ("silence", {"group_by": ["end_user"]}, "group_by", "silence does not have; use one of key"),
        ("error_rate", {"filter": {"colour": "red"}}, "filter", "filter names 'colour'"),
        ("budget_used", {"filter": {"key": "a"}}, "filter", "use one of budget, scope, subject"),
        ("error_rate", {"filter": {"key": []}}, "filter.key", "must list 1 to 100 values"),
        ("error_rate", {"filter": {"key": "a\x00b"}}, "filter.key", "a character that no record can have"),
        (
            "budget_used",
            {"filter": {"subject": "a\x00b"}},
            "filter.subject",
            "a character that no record can",
        ),
        ("error_rate", {"name": "a\tb"}, "name", "1 to 200 printable characters"),
        ("error_rate", {"window": "soon"}, "window", "window is 'soon'; write a duration"),
        ("error_rate", {"window": "30s"}, "window", "error_rate looks back 1m to 31d"),
        ("error_rate", {"window": "32d"}, "window", "error_rate looks back 1m to 31d"),
        ("error_rate", {"window": "2d", "group_by": ["tag"]}, "window", "with tag looks back 1m to 1d"),
        ("upstream_down", {"window": "2h"}, "window", "looks back 1m"),
        ("budget_used", {"window": "1h"}, "window", "budget_used has none; leave it out"),
        ("report", {"window": "3d"}, "window", "a report is made for 1d or 7d"),
        ("report", {"warning": 1.0}, "warning", "a report has no thresholds"),
        ("error_rate", {"warning": float("nan")}, "warning", "warning is nan; it must be a number above 0"),
        ("error_rate", {"critical": float("inf")}, "critical", "critical is inf"),
        ("error_rate", {"warning": 0.0}, "warning", "warning is 0.0"),
        ("error_rate", {"warning": -1.0}, "warning", "warning is -1.0"),
        ("error_rate", {"critical": 1e300}, "critical", "critical is 1e"),
        ("error_rate", {"warning": 0.5, "critical": 0.1}, "critical", "critical is 0.1, below warning .0.5."),
        ("spend", {}, "warning", "spend needs at least one of them .usd."),
        ("error_rate", {"min_requests": -1}, "min_requests", "min_requests is -1"),
        ("error_rate", {"no_data": "maybe"}, "no_data", "no_data is 'maybe'; use ok or alert"),
        ("silence", {"no_data": "alert"}, "no_data", "silence knows only ok"),
        ("error_rate", {"renotify": "1m"}, "renotify", "renotify is 1m; use 5m to 31d"),
        ("error_rate", {"renotify": "often"}, "renotify", "write a duration"),
        ("error_rate", {"channels": ["a", "a"]}, "channels", "at most 50, each once"),
    ],
)
def test_a_bad_rule_is_refused_by_the_name_of_its_field(
    metric: str, fields: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(InvalidInputError, match=reason) as refused:
        columns(metric, **fields)
    assert refused.value.field == field


@pytest.mark.parametrize("name", ["", " a", "a\n", "x" * 201])
def test_a_name_is_a_line(name: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        NewRule(name=name, metric="error_rate").checked()
    assert refused.value.field == "name"


def test_json_is_strict() -> None:
    for text in (
        b'{"name":"a","metric":"spend","warning":"5"}',
        b'{"name":"a","metric":"spend","colour":1}',
        b'{"name":"a"}',
        b'{"name":"a","metric":"spend","warning":NaN}',
    ):
        with pytest.raises(msgspec.MsgspecError):
            msgspec.json.decode(text, type=NewRule)


def test_a_stored_rule_is_as_it_was_given() -> None:
    found = rule("spend", warning=5.0, group_by=["key"], filter={"project": ["a"]}, renotify="2h")
    assert rule_from({"id": "rule_1", **as_given(found).checked(), **_dates(found)}) == found
    assert (window_of(found), found.renotify_every) == (DAY, 120 * MINUTE)
    assert window_of(rule("budget_used")) == 0 * DAY


def _dates(found: Any) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ("created_at", "updated_at", "deleted_at", "muted_until")}


def test_changes_keep_the_rest_and_none_takes_the_default() -> None:
    found = rule("error_rate", warning=0.2, critical=0.4, window="1h", min_requests=5)
    changed = RuleChanges(window=None, critical=0.6, min_requests=None).applied(found)
    assert (changed["window"], changed["warning"], changed["critical"]) == ("15m", 0.2, 0.6)
    assert changed["min_requests"] == 20
    assert RuleChanges().applied(found) == as_given(found).checked()
    with pytest.raises(InvalidInputError, match=r"critical is 0\.1, below warning"):
        RuleChanges(critical=0.1).applied(found)
