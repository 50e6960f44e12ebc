"""What an alert says: one sentence for people, from its rule, its subject and its numbers. Pure."""

from collections.abc import Mapping
from typing import Any

from service.alerts.rules import NO_DATA, Reading, Rule, Threshold

_NOUNS: Mapping[str, str] = {
    "spend": "spending",
    "error_rate": "the error rate",
    "p95_latency_ms": "the 95th percentile of the duration",
    "p95_ttft_ms": "the 95th percentile of the time to the first event",
    "unpriced": "the number of attempts without a price",
    "estimated_share": "the share of estimated usage",
    "upstream_down": "the share of failed attempts",
    "journal_backlog": "the journal's fill",
    "bookkeeping_drift": "the number of differences in the books",
}

ALMOST = "99.99 %"
"""Not all is never shown as all."""


def summary(rule: Rule, reading: Reading, *, threshold: Threshold) -> str:
    """What happened, in one line."""
    who = str(reading.details.get("about") or reading.subject)
    if threshold.claim == NO_DATA:
        return f"{who}: nothing to measure in the last {rule.window} ({rule.metric})"
    value, limit = reading.value or 0.0, threshold.limit or 0.0
    shown, line = amount(rule, value), amount(rule, limit)
    details = reading.details
    match rule.metric:
        case "budget_used":
            spent = f"{details['spent_usd']} of {details['limit_usd']} USD"
            text = f"has used {shown} ({spent}), threshold {line}"
        case "budget_forecast":
            on = f" on {details['exceeds_on']}" if details.get("exceeds_on") else ""
            text = f"will exceed its limit of {details['limit_usd']} USD{on}: {shown} by its end"
        case "burn_rate":
            spent = f"{details['window_usd']} USD in {rule.window}"
            text = f"burns {shown} as fast as it can pay for ({spent}), threshold {line}"
        case "spend_anomaly":
            usual = f"{details['spent_usd']} USD against {details['usual_usd']} USD"
            text = f"spending in {rule.window} is {shown} the usual for this weekday ({usual})"
        case "silence":
            text = f"no request for {shown}, threshold {line}"
        case metric:
            during = f" in {rule.window}" if rule.window else ""
            text = f"{_NOUNS[metric]}{during} is {shown}, threshold {line}"
    return f"{who}: {text}"


def report(rule: Rule, details: Mapping[str, Any]) -> str:
    """A report in one line; *details* as `reports` makes them."""
    change = details["change"]
    against = "" if change is None else f", {change * 100:+.1f} % against the {rule.window} before"
    return f"{details['requests']} requests for {details['cost_usd']} USD in {rule.window}{against}"


def ending(rule: Rule, about: str, *, value: float | None) -> str:
    """What is said when an alert has ended; *value* is what its metric is now, if that is known."""
    now = "" if value is None else f", now {amount(rule, value)}"
    return f"{about}: {rule.name} is over{now}"


def amount(rule: Rule, value: float) -> str:
    """A value or a threshold with its unit."""
    match rule.measured.unit:
        case "share":
            shown = f"{value * 100:.4g} %"
            return ALMOST if shown == "100 %" and value < 1 else shown
        case "usd":
            return f"{value:.6g} USD"
        case "times":
            return f"{value:.3g} times"
        case "ms":
            return f"{value:.0f} ms"
        case "minutes":
            return f"{value:.0f} minutes"
        case _:
            return f"{value:.0f}"
