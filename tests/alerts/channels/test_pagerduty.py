"""PagerDuty: an alert triggers, its end resolves, under one key; a test does both."""

import json
import time
from typing import Any

import pytest

from service.alerts.channels.addresses import AddressGuard
from service.alerts.channels.outcome import DeliveryFailedError, Envelope
from service.alerts.channels.pagerduty import PagerDutyChannel
from service.alerts.channels.posting import Poster
from tests.alerts.making import NOW
from tests.support.receivers import Answer, receiver

KEY = "0123456789abcdef0123456789abcdef"


def payload(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "id": "event-1",
        "rule": "Money",
        "metric": "budget_used",
        "subject": "bud_1",
        "severity": "critical",
        "value": 1.0,
        "threshold": 1.0,
        "period": {"start": "2026-03-01T00:00:00Z", "end": None},
        "fired_at": "2026-03-04T12:00:00Z",
        "summary": "s" * 2000,
        "details": {"spent_usd": "10.00"},
        "links": {"dashboard": "https://tolls.example/alerts?event=event-1"},
        **more,
    }


def send(url: str, kind: str) -> str:
    poster = Poster(AddressGuard(["127.0.0.0/8"]), monotonic=time.monotonic)
    channel = PagerDutyChannel(KEY, url=url, poster=poster)
    return channel.send(Envelope(id="delivery-1", payload=payload(kind), sent_at=NOW))


def test_an_alert_triggers_an_incident() -> None:
    with receiver() as found:
        found.choose = lambda _got: Answer(202)
        assert send(f"{found.url}/v2/enqueue", "alert.firing") == "trigger: HTTP 202"
    (got,) = found.got
    event = json.loads(got.body)
    assert (event["routing_key"], event["event_action"], event["dedup_key"]) == (
        KEY,
        "trigger",
        "tollkeeper-event-1",
    )
    assert event["payload"]["severity"] == "critical"
    assert len(event["payload"]["summary"]) == 1024
    assert event["payload"]["custom_details"]["details"] == {"spent_usd": "10.00"}
    assert event["links"] == [{"href": "https://tolls.example/alerts?event=event-1", "text": "Dashboard"}]


def test_its_end_resolves_the_same_incident() -> None:
    with receiver() as found:
        send(found.url, "alert.resolved")
    assert json.loads(found.got[0].body) == {
        "routing_key": KEY,
        "event_action": "resolve",
        "dedup_key": "tollkeeper-event-1",
    }


def test_a_test_leaves_no_incident_open() -> None:
    with receiver() as found:
        send(found.url, "test")
    assert [json.loads(got.body)["event_action"] for got in found.got] == ["trigger", "resolve"]


def test_a_refusal_is_told() -> None:
    with receiver() as found:
        found.choose = lambda _got: Answer(400, b'{"message":"Invalid routing key"}')
        with pytest.raises(DeliveryFailedError, match=r"HTTP 400: .*Invalid routing key"):
            send(found.url, "alert.firing")


def test_it_does_not_show_its_key() -> None:
    assert KEY not in repr(PagerDutyChannel(KEY, url="https://x.example", poster=None))  # type: ignore[arg-type]
