"""PagerDuty by its Events API v2: an alert triggers an incident, its end resolves it, both under the event's id."""

from collections.abc import Mapping
from typing import Any

import msgspec

from service.alerts.channels.outcome import Envelope
from service.alerts.channels.posting import Poster

URL = "https://events.pagerduty.com/v2/enqueue"
SUMMARY_LENGTH = 1_024
_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "alert.firing": ("trigger",),
    "alert.resolved": ("resolve",),
    "test": ("trigger", "resolve"),
}


class PagerDutyChannel:
    """Sends events under *routing_key* (an integration key of Events API v2)."""

    def __init__(self, routing_key: str, *, url: str, poster: Poster) -> None:
        self._routing_key = routing_key
        self._url = url
        self._poster = poster

    def __repr__(self) -> str:
        return "PagerDutyChannel(********)"

    def send(self, envelope: Envelope) -> str:
        """Trigger or resolve; a test does both."""
        said = []
        for action in _ACTIONS[envelope.payload["type"]]:
            body = msgspec.json.encode(self._event(action, envelope.payload))
            headers = {"content-type": "application/json", "x-idempotency-key": f"{envelope.id}-{action}"}
            said.append(f"{action}: {self._poster.post(self._url, body=body, headers=headers)}")
        return ", ".join(said)

    def _event(self, action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        event: dict[str, Any] = {
            "routing_key": self._routing_key,
            "event_action": action,
            "dedup_key": f"tollkeeper-{payload['id']}",
        }
        if action == "resolve":
            return event
        event["payload"] = {
            "summary": payload["summary"][:SUMMARY_LENGTH],
            "source": "tollkeeper",
            "severity": payload["severity"],
            "timestamp": payload["fired_at"],
            "component": payload["subject"],
            "group": payload["rule"],
            "class": payload["metric"],
            "custom_details": {name: payload[name] for name in ("value", "threshold", "period", "details")},
        }
        event["client"] = "Tollkeeper"
        event["links"] = [{"href": url, "text": "Dashboard"} for url in payload["links"].values()]
        return event
