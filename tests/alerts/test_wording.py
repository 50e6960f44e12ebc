"""What alerts say: one line, with numbers and units, about whom."""

from typing import Any

import pytest

from service.alerts.metrics import METRICS
from service.alerts.rules import NO_DATA, Rule, Threshold
from service.alerts.wording import amount, ending, report, summary
from tests.alerts.making import reading, rule

MONEY = {"limit_usd": "10.00", "spent_usd": "8.00", "about": "The budget of key alpha (month)"}


def text(of: Rule, value: float | None, limit: float | None, **details: Any) -> str:
    claim = NO_DATA if value is None else "warning"
    return summary(of, reading(value, details=details), threshold=Threshold(claim, "warning", limit))


def test_budgets() -> None:
    used = text(rule("budget_used"), 0.8, 0.8, **MONEY)
    assert used == "The budget of key alpha (month): has used 80 % (8.00 of 10.00 USD), threshold 80 %"
    ahead = text(rule("budget_forecast"), 1.5, 1.0, **MONEY, exceeds_on="2026-03-20")
    assert ahead.endswith("will exceed its limit of 10.00 USD on 2026-03-20: 150 % by its end")
    assert "USD: 150 %" in text(rule("budget_forecast"), 1.5, 1.0, **MONEY, exceeds_on=None)
    burning = text(rule("burn_rate"), 7.2, 5.0, **MONEY, window_usd="0.50")
    assert burning.endswith("burns 7.2 times as fast as it can pay for (0.50 USD in 1h), threshold 5 times")


def test_usage() -> None:
    assert text(rule(), 0.3, 0.1) == "all: the error rate in 15m is 30 %, threshold 10 %"
    assert text(rule("spend", warning=5.0), 7.5, 5.0, about="Project x") == (
        "Project x: spending in 1d is 7.5 USD, threshold 5 USD"
    )
    assert text(rule("silence"), 61.4, 60.0, about="Key a") == (
        "Key a: no request for 61 minutes, threshold 60 minutes"
    )
    unusual = text(rule("spend_anomaly"), 3.5, 3.0, spent_usd="7.00", usual_usd="2.00")
    assert (
        unusual == "all: spending in 1d is 3.5 times the usual for this weekday (7.00 USD against 2.00 USD)"
    )


def test_nothing_to_measure() -> None:
    assert text(rule(no_data="alert"), None, None) == "all: nothing to measure in the last 15m (error_rate)"


@pytest.mark.parametrize("name", [name for name, one in METRICS.items() if one.family in ("usage", "gauge")])
def test_every_plain_metric_has_words(name: str) -> None:
    found = rule(name, critical=None if METRICS[name].critical else 9.0)
    assert f"is {amount(found, 2.0)}, threshold {amount(found, 1.0)}" in text(found, 2.0, 1.0)


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("error_rate", 0.123456, "12.35 %"),
        ("budget_used", 0.9999999, "99.99 %"),
        ("budget_used", 1.0, "100 %"),
        ("budget_used", 1.0000001, "100 %"),
        ("spend", 1234.5, "1234.5 USD"),
        ("burn_rate", 12.345, "12.3 times"),
        ("p95_latency_ms", 1500.4, "1500 ms"),
        ("silence", 90.0, "90 minutes"),
        ("unpriced", 3.0, "3"),
    ],
)
def test_units(metric: str, value: float, shown: str) -> None:
    assert amount(rule(metric, warning=1.0), value) == shown


def test_the_end() -> None:
    assert ending(rule(), "All requests", value=0.02) == "All requests: A rule is over, now 2 %"
    assert ending(rule(), "Key a", value=None) == "Key a: A rule is over"


def test_a_report() -> None:
    facts = {"requests": 12, "cost_usd": "3.50", "change": -0.125}
    assert report(rule("report"), facts) == "12 requests for 3.50 USD in 7d, -12.5 % against the 7d before"
    assert report(rule("report"), {**facts, "change": None}) == "12 requests for 3.50 USD in 7d"
