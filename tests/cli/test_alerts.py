"""`tollkeeper alerts`, on SQLite and PostgreSQL."""

import io
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from service.keys.secrets import audit_trail
from service.store.engine import Store
from tests.cli.conftest import Cli
from tests.support.alert_town import Town
from tests.support.audit import audited
from tests.support.clock import HandClock
from tests.support.receivers import Answer, Receiver, receiver

SECRET_KEY = b"4fd1bb2e9ac07d35e8f61a90c2b7d4e3"
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops"


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """`alerts test` sets up logging for its process; here that is undone."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    structlog.reset_defaults()
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("TOLLKEEPER_ALERTS_ALLOWED_NETWORKS", "127.0.0.0/8")
    with receiver() as found:
        yield found


@pytest.fixture
def today(store: Store) -> Town:
    """The town of alerts by the machine's clock, as the command line sees it."""
    return Town(store, clock=HandClock(datetime.now(UTC)))  # noqa: TID251  (what the commands go by)


def test_rules_from_making_to_deleting(on_store: Cli, store: Store) -> None:
    made = on_store.ok(
        *("alerts", "rules", "create", "--name", "Fails", "--metric", "error_rate", "--warning", "0.05"),
        *("--group-by", "key,model", "--filter", "project=a,b", "--filter", "model=gpt-*", "--json"),
    ).json
    assert made["filter"] == {"project": ["a", "b"], "model": ["gpt-*"]}
    assert (made["group_by"], made["warning"], made["critical"]) == (["key", "model"], 0.05, None)
    assert on_store.ok("alerts", "show", "Fails", "--json").json == made
    changed = on_store.ok(
        *("alerts", "update", "Fails", "--critical", "0.4", "--group-by", "none", "--filter", "none"),
        *("--min-requests", "3", "--renotify", "4h", "--name", "Fails often", "--json"),
    ).json
    assert (changed["group_by"], changed["filter"], changed["min_requests"]) == ([], {}, 3)
    assert (changed["critical"], changed["renotify"], changed["name"]) == (0.4, "4h", "Fails often")
    back = on_store.ok(
        "alerts", "update", "Fails often", "--min-requests", "none", "--renotify", "none", "--json"
    )
    assert (back.json["min_requests"], back.json["renotify"]) == (20, None)
    assert [one["name"] for one in on_store.ok("alerts", "list", "--json").json] == ["Fails often"]
    assert "0.05" in on_store.ok("alerts", "rules", "list").out
    on_store.ok("alerts", "delete", "Fails often")
    assert on_store.ok("alerts", "list", "--json").json == []
    trail = audit_trail(SECRET_KEY, now=HandClock().now)
    entries = audited(store, "alert_rule.*", trail=trail)
    assert [entry.action.removeprefix("alert_rule.") for entry in entries] == [
        "create",
        "update",
        "update",
        "delete",
    ]
    assert {entry.actor.kind for entry in entries} == {"command_line"}


def test_mute_and_unmute(on_store: Cli) -> None:
    on_store.ok("alerts", "create", "--name", "a", "--metric", "unpriced")
    assert on_store.ok("alerts", "mute", "a", "--for", "2h", "--json").json["muted_until"] is not None
    assert on_store.ok("alerts", "unmute", "a", "--json").json["muted_until"] is None
    assert (
        on_store.ok("alerts", "mute", "a", "--until", "2027-01-01", "--json")
        .json["muted_until"]
        .startswith("2027-01-01T00:00:00")
    )
    assert "either for how long" in on_store.refused("alerts", "mute", "a")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--metric", "bogus"], "metric is 'bogus'; use one of budget_used"),
        (["--metric", "spend"], "spend needs at least one of them"),
        (["--metric", "spend", "--warning", "much"], "warning is 'much'; write a number"),
        (["--metric", "spend", "--warning", "nan"], "warning is nan"),
        (["--metric", "spend", "--warning", "5", "--filter", "project"], "must be DIMENSION=VALUE"),
        (["--metric", "spend", "--warning", "5", "--channel", "absent"], "no channel has the id or name"),
        (["--metric", "spend", "--warning", "5", "--window", "1s"], "window is 1s"),
    ],
)
def test_a_bad_rule_is_one_clear_line(on_store: Cli, arguments: list[str], reason: str) -> None:
    assert reason in on_store.refused("alerts", "create", "--name", "a", *arguments)


def test_metrics_explain_themselves(cli: Cli) -> None:
    names = [one["name"] for one in cli.ok("alerts", "metrics", "--json").json]
    assert (names[0], len(names)) == ("budget_used", 15)
    assert "Failed requests of all requests in the window." in cli.ok("alerts", "metrics").out


def test_a_webhooks_secret_is_shown_once(on_store: Cli, store: Store) -> None:
    made = on_store.ok(
        "alerts", "channels", "create", "--name", "hook", "--url", "https://8.8.8.8/t0ken", "--json"
    )
    assert made.json["secret"].startswith("whsec_")
    for command in (["show", "hook"], ["list"], ["update", "hook", "--name", "hook 2"]):
        for flags in ([], ["--json"]):
            shown = on_store.ok("alerts", "channels", *command, *flags).out if command[0] != "update" else ""
            assert "whsec_" not in shown
            assert "t0ken" not in shown
    plain = on_store.ok("alerts", "channels", "rotate", "hook")
    assert "whsec_" in plain.out
    assert "shown once" in plain.err
    assert audited(store, "alert_channel.*", trail=audit_trail(SECRET_KEY, now=HandClock().now))


def test_channels_from_making_to_deleting(on_store: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SLACK}\n"))
    on_store.ok("alerts", "channels", "create", "--name", "chat", "--url", "-")
    assert on_store.ok("alerts", "channels", "show", "chat", "--json").json["target"] == "slack://********"
    on_store.ok("alerts", "channels", "update", "chat", "--url", SLACK.replace("ops", "tolls"))
    on_store.ok("alerts", "create", "--name", "a", "--metric", "unpriced", "--channel", "chat")
    assert on_store.ok("alerts", "channels", "rekey", "--json").json == {"channels": 1}
    assert "1 channel." in on_store.ok("alerts", "channels", "rekey").out
    on_store.ok("alerts", "channels", "delete", "chat", "--json")
    assert on_store.ok("alerts", "channels", "list", "--json").json == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--url", "json://10.0.0.1/s3cret"], "the scheme 'json' is not allowed"),
        (["--url", "https://10.0.0.1/s3cret"], "10.0.0.1, a private address"),
        (["--url", "https://169.254.169.254/s3cret"], "a link-local address"),
        (["--url", "slack://s3cret"], "apprise does not understand it"),
        (["--kind", "pigeon"], "kind is 'pigeon'"),
        (["--routing-key", "s3cret"], "32 characters"),
        ([], "kind is missing"),
    ],
)
def test_a_bad_channel_is_one_clear_line(on_store: Cli, arguments: list[str], reason: str) -> None:
    line = on_store.refused("alerts", "channels", "create", "--name", "a", *arguments)
    assert reason in line
    assert "s3cret" not in line


def test_nothing_on_standard_input_is_nothing(on_store: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert "nothing came on standard input" in on_store.refused(
        "alerts", "channels", "create", "--name", "a", "--url", "-"
    )


def test_a_test_message_says_at_once_whether_it_arrived(on_store: Cli, hook: Receiver) -> None:
    on_store.ok("alerts", "channels", "create", "--name", "hook", "--url", f"{hook.url}/x")
    outcome = on_store.ok("alerts", "test", "hook", "--json")
    assert (outcome.json["state"], outcome.json["log"][0]["detail"]) == ("delivered", "HTTP 200")
    hook.choose = lambda _got: Answer(500, b"sorry")
    failed = on_store("alerts", "test", "hook", "--json")
    assert (failed.code, failed.json["state"], failed.json["error"]) == (1, "waiting", "HTTP 500: sorry")
    assert len(on_store.ok("alerts", "deliveries", "--channel", "hook", "--json").json) == 2
    shown = on_store.ok("alerts", "deliveries", failed.json["id"])
    assert "HTTP 500: sorry" in shown.out
    assert "is waiting; only one that was given up" in on_store.refused("alerts", "retry", failed.json["id"])
    hook.choose = lambda _got: Answer(410)
    dead = on_store("alerts", "test", "hook", "--json").json
    assert dead["state"] == "dead"
    assert on_store.ok("alerts", "retry", dead["id"], "--json").json["state"] == "waiting"


def test_events_and_their_deliveries(on_store: Cli, today: Town, capsys: pytest.CaptureFixture[str]) -> None:
    on_store.ok("alerts", "create", "--name", "Money", "--metric", "budget_used")
    on_store.ok("alerts", "channels", "create", "--name", "log", "--kind", "log")
    budget = today.budget()
    today.spend(6, charged=[(budget, "")])
    today.watcher().watch_budgets()
    assert "alert_fired" in capsys.readouterr().out
    (found,) = on_store.ok("alerts", "events", "--json").json
    assert (found["state"], found["threshold"], found["rule_name"]) == ("firing", 0.5, "Money")
    assert "has used 60 %" in on_store.ok("alerts", "events", "--rule", "Money", "--since", "1d").out
    assert on_store.ok("alerts", "events", "--state", "resolved", "--json").json == []
    shown = on_store.ok("alerts", "events", found["id"], "--json").json
    assert [one["channel_name"] for one in shown["deliveries"]] == ["log"]
    assert "log" in on_store.ok("alerts", "events", found["id"]).out
    assert "firing" in on_store.ok("alerts", "deliveries", "--state", "waiting").out
    assert "is no id of an alert" in on_store.refused("alerts", "events", "x")
    assert "state is 'bogus'" in on_store.refused("alerts", "events", "--state", "bogus")


def test_a_simulation_says_when_a_rule_would_have_fired(on_store: Cli, today: Town) -> None:
    now = today.clock.now()
    for days in (2, 5):
        today.record(count=10, outcome="timeout", at=now - timedelta(days=days))
    outcome = on_store.ok(
        "alerts", "simulate", "--metric", "error_rate", "--min-requests", "5", "--critical", "0.5"
    )
    assert outcome.err.splitlines()[-1] == "error_rate would have fired 2 times."
    on_store.ok("alerts", "create", "--name", "Fails", "--metric", "error_rate", "--min-requests", "5")
    found = on_store.ok("alerts", "simulate", "Fails", "--since", "3d", "--json").json
    assert [one["severity"] for one in found["data"]] == ["warning", "critical"]
    assert "name a rule, or give --metric" in on_store.refused("alerts", "simulate")
    assert "has no history to simulate" in on_store.refused("alerts", "simulate", "--metric", "report")
    assert "at most 92 days" in on_store.refused("alerts", "simulate", "Fails", "--since", "100d")
