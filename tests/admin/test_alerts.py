"""`/admin/v1/alerts`: rules, channels, events and deliveries, as a client sees them."""

from datetime import timedelta
from typing import Any

import pytest

from service.admin.alert_pages import before
from service.errors import InvalidInputError
from tests.admin.conftest import ROOT, Api, error_of
from tests.support.alert_town import Town
from tests.support.audit import audited

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops"
HOOK: dict[str, Any] = {"name": "hook", "url": "https://8.8.8.8/t0ken"}
KEY = "0123456789abcdef0123456789abcdef"


def post(api: Api, path: str, body: dict[str, Any] | None = None, *, status: int = 201, **fields: Any) -> Any:
    answer = api.call("POST", f"/alerts{path}", json=fields if body is None else body)
    assert answer.status_code == status, answer.text
    return answer.json()


def refused(api: Api, method: str, path: str, *, status: int = 400, **fields: Any) -> tuple[str, str | None]:
    answer = api.call(method, f"/alerts{path}", json=fields)
    assert answer.status_code == status, answer.text
    error = error_of(answer)
    return error["message"], error["param"]


def town_of(api: Api) -> Town:
    """What happens in the same store, by the same clock."""
    town = Town(api.store, clock=api.clock)
    town.desk = api.context.alerts
    return town


def test_a_rule_from_making_to_deleting(api: Api) -> None:
    made = post(api, "/rules", name="Fails", metric="error_rate", group_by=["key"], filter={"project": "a"})
    assert made["id"].startswith("rule_")
    assert {name: made[name] for name in ("window", "warning", "critical", "min_requests", "no_data")} == {
        "window": "15m",
        "warning": 0.1,
        "critical": 0.5,
        "min_requests": 20,
        "no_data": "ok",
    }
    assert made["filter"] == {"project": ["a"]}
    assert api.get(f"/alerts/rules/{made['id']}") == made
    answer = api.call("PATCH", f"/alerts/rules/{made['id']}", json={"critical": None, "renotify": "4h"})
    assert (answer.json()["critical"], answer.json()["renotify"]) == (None, "4h")
    assert api.call("DELETE", f"/alerts/rules/{made['id']}").json()["id"] == made["id"]
    assert api.call("GET", f"/alerts/rules/{made['id']}").status_code == 404
    assert [entry.action for entry in audited(api.store, "alert_rule.*", trail=api.context.trail)] == [
        "alert_rule.create",
        "alert_rule.update",
        "alert_rule.delete",
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"metric": "bogus"}, "metric"),
        ({"metric": "spend"}, "warning"),
        ({"metric": "error_rate", "window": "soon"}, "window"),
        ({"metric": "error_rate", "warning": "0.1"}, "warning"),
        ({"metric": "error_rate", "filter": {"colour": "red"}}, "filter"),
        ({"metric": "error_rate", "channels": ["chn_absent"]}, "channels"),
        ({"metric": "error_rate", "id": "rule_mine"}, "id"),
        ({}, "metric"),
    ],
)
def test_a_bad_rule_is_refused_by_its_field(sqlite_api: Api, fields: dict[str, Any], param: str) -> None:
    assert refused(sqlite_api, "POST", "/rules", name="a", **fields)[1] == param


def test_rules_come_in_pages(sqlite_api: Api) -> None:
    for number in range(3):
        post(sqlite_api, "/rules", name=f"r{number}", metric="unpriced")
        sqlite_api.clock.advance(timedelta(seconds=1))
    first = sqlite_api.get("/alerts/rules", limit=2)
    rest = sqlite_api.get("/alerts/rules", limit=2, cursor=first["next"])
    assert [one["name"] for one in (*first["data"], *rest["data"])] == ["r2", "r1", "r0"]
    assert rest["next"] is None


def test_a_rule_can_be_muted_for_a_while(api: Api) -> None:
    made = post(api, "/rules", name="a", metric="unpriced")
    muted = post(api, f"/rules/{made['id']}/mute", {"for": "2h"}, status=200)
    assert muted["muted_until"] == "2026-03-01T14:00:00Z"
    until = post(api, f"/rules/{made['id']}/mute", status=200, until="2026-03-02T00:00:00Z")
    assert until["muted_until"] == "2026-03-02T00:00:00Z"
    assert post(api, f"/rules/{made['id']}/unmute", status=200)["muted_until"] is None
    assert refused(api, "POST", f"/rules/{made['id']}/mute")[1] == "for"
    assert refused(api, "POST", f"/rules/{made['id']}/mute", until="2020-01-01T00:00:00Z")[1] == "until"


def test_secrets_of_channels_come_in_and_never_leave(api: Api) -> None:
    hook = post(api, "/channels", **HOOK)
    chat = post(api, "/channels", name="chat", url=SLACK)
    page = post(api, "/channels", name="page", kind="pagerduty", routing_key=KEY)
    assert hook["secret"].startswith("whsec_")
    assert (chat["secret"], page["secret"]) == (None, None)
    assert [one["target"] for one in (hook, chat)] == ["https://8.8.8.8/********", "slack://********"]
    seen = "".join(
        api.call("GET", path).text
        for path in (
            "/alerts/channels",
            *(f"/alerts/channels/{one['id']}" for one in (hook, chat, page)),
            "/audit",
        )
    )
    assert [secret for secret in ("t0ken", "TIiaj", KEY, "whsec_") if secret in seen] == []


def test_a_channel_can_be_changed_rotated_and_deleted(api: Api) -> None:
    made = post(api, "/channels", **HOOK)
    path = f"/alerts/channels/{made['id']}"
    changed = api.call("PATCH", path, json={"name": "hook 2", "url": "https://1.1.1.1/x"}).json()
    assert (changed["name"], changed["target"]) == ("hook 2", "https://1.1.1.1/********")
    rotated = post(api, f"/channels/{made['id']}/rotate", status=200)
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != made["secret"]
    assert api.call("DELETE", path).status_code == 200
    assert api.call("GET", path).status_code == 404
    assert api.get("/alerts/channels") == {"data": [], "next": None}


@pytest.mark.parametrize(
    ("fields", "reason", "param"),
    [
        ({"url": "json://8.8.8.8/s3cret"}, "the scheme 'json' is not allowed", "url"),
        ({"url": "https://10.0.0.5/s3cret"}, "10.0.0.5, a private address", "url"),
        ({"url": "https://169.254.169.254/s3cret"}, "a link-local address", "url"),
        ({"url": "http://127.0.0.1:4000/s3cret"}, "an address of this machine", "url"),
        ({"url": "mailto://u:s3cret@192.168.0.1?to=a@b.c"}, "192.168.0.1, a private address", "url"),
        ({"url": f"{SLACK}?redirect=yes"}, "the parameter 'redirect' is not allowed", "url"),
        (
            {"kind": "webhook", "url": "https://8.8.8.8", "secret": "s3cret"},
            "secret must be whsec_",
            "secret",
        ),
        ({"kind": "pagerduty", "routing_key": "s3cret"}, "32 characters", "routing_key"),
        ({}, "kind is missing", "kind"),
    ],
)
def test_a_bad_channel_is_refused_by_its_field(
    sqlite_api: Api, fields: dict[str, Any], reason: str, param: str
) -> None:
    message, named = refused(sqlite_api, "POST", "/channels", name="a", **fields)
    assert reason in message
    assert named == param
    assert "s3cret" not in message
    assert sqlite_api.get("/alerts/channels")["data"] == []


def test_a_change_to_an_address_inside_is_refused(sqlite_api: Api) -> None:
    made = post(sqlite_api, "/channels", **HOOK)
    message, param = refused(sqlite_api, "PATCH", f"/channels/{made['id']}", url="https://10.0.0.5/x")
    assert ("a private address" in message, param) == (True, "url")


def test_a_test_message_waits_for_the_keeper(api: Api) -> None:
    made = post(api, "/channels", name="log", kind="log")
    delivery = post(api, f"/channels/{made['id']}/test", status=202)["delivery_id"]
    shown = api.get(f"/alerts/deliveries/{delivery}")
    assert (shown["kind"], shown["state"], shown["channel_name"], shown["log"]) == (
        "test",
        "waiting",
        "log",
        [],
    )
    town_of(api).courier().run_once()
    for _ in range(500):
        if api.get(f"/alerts/deliveries/{delivery}")["state"] == "delivered":
            break
    assert api.get(f"/alerts/deliveries/{delivery}")["log"][0]["detail"] == "written to the log"
    assert refused(api, "POST", "/channels/chn_absent/test", status=404)


def test_what_was_raised_and_who_was_told(api: Api) -> None:
    town = town_of(api)
    rule = post(api, "/rules", name="Money", metric="budget_used")
    channel = post(api, "/channels", name="log", kind="log")
    budget = town.budget()
    watcher = town.watcher()
    for _ in range(2):
        town.spend(4.5, charged=[(budget, "")])
        api.clock.advance(timedelta(seconds=1))
        watcher.watch_budgets()
    events = api.get("/alerts/events")["data"]
    assert [(one["threshold"], one["severity"], one["state"], one["told"]) for one in events] == [
        (0.8, "warning", "firing", 1),
        (0.5, "warning", "firing", 1),
    ]
    assert api.get("/alerts/events", rule=rule["id"], severity="warning", state="firing")["data"] == events
    assert api.get("/alerts/events", **{"from": "2026-03-02", "to": "2026-03-03"})["data"] == []
    assert api.get("/alerts/events", state="resolved")["data"] == []
    first = api.get("/alerts/events", limit=1)
    assert api.get("/alerts/events", limit=1, cursor=first["next"])["data"] == events[1:]
    shown = api.get(f"/alerts/events/{events[0]['id']}")
    assert [one["channel_id"] for one in shown["deliveries"]] == [channel["id"]]
    deliveries = api.get("/alerts/deliveries", channel=channel["id"], state="waiting")["data"]
    assert len(deliveries) == 2
    assert api.get("/alerts/deliveries", event=events[1]["id"])["data"] == deliveries[1:]
    page = api.get("/alerts/deliveries", limit=1)
    assert api.get("/alerts/deliveries", limit=1, cursor=page["next"])["data"] == deliveries[1:]


def test_what_was_given_up_can_be_sent_again(api: Api) -> None:
    town = town_of(api)
    made = post(api, "/channels", name="log", kind="log")
    delivery = post(api, f"/channels/{made['id']}/test", status=202)["delivery_id"]
    message, _ = refused(api, "POST", f"/deliveries/{delivery}/retry", status=409)
    assert "is waiting" in message
    assert api.call("DELETE", f"/alerts/channels/{made['id']}").status_code == 200
    town.courier().run_once()
    assert api.get("/alerts/deliveries", state="dead")["data"][0]["error"] == "the channel was deleted"
    assert post(api, f"/deliveries/{delivery}/retry", status=200)["state"] == "waiting"
    assert audited(api.store, "alert_delivery.retry", trail=api.context.trail)


def test_what_is_not_there_and_what_is_no_filter(sqlite_api: Api) -> None:
    absent = "0199f000-0000-7000-8000-000000000000"
    for path in (f"/events/{absent}", f"/deliveries/{absent}", "/rules/absent", "/channels/absent"):
        assert sqlite_api.call("GET", f"/alerts{path}").status_code == 404
    for path in ("/events/x", "/deliveries/x", "/events?state=bogus", "/events?severity=bogus"):
        assert sqlite_api.call("GET", f"/alerts{path}").status_code == 400
    for resource in ("rules", "channels", "events", "deliveries"):
        assert sqlite_api.call("GET", f"/alerts/{resource}?colour=red").status_code == 400
        assert sqlite_api.call("GET", f"/alerts/{resource}?cursor=x").status_code == 400
    assert sqlite_api.call("GET", "/alerts/deliveries?state=bogus").status_code == 400
    assert before(None) is None
    with pytest.raises(InvalidInputError):
        before("nonsense")
    assert ROOT


def test_viewers_read_and_change_nothing(sqlite_api: Api) -> None:
    made = post(sqlite_api, "/rules", name="a", metric="unpriced")
    viewer = sqlite_api.viewer_key
    assert sqlite_api.call("GET", "/alerts/rules", key=viewer).status_code == 200
    for method, path in (
        ("POST", "/alerts/rules"),
        ("PATCH", f"/alerts/rules/{made['id']}"),
        ("DELETE", f"/alerts/rules/{made['id']}"),
        ("POST", f"/alerts/rules/{made['id']}/mute"),
        ("POST", "/alerts/channels"),
    ):
        assert sqlite_api.call(method, path, key=viewer, json={}).status_code == 403
