"""`tollkeeper budgets`, on SQLite and PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.budgets import leases
from service.budgets.answers import Want
from service.budgets.charges import NO_LEASE, Charge, Spending
from service.budgets.settling import settle_flush
from service.store.engine import Store
from service.store.types import to_micros
from tests.cli.conftest import Cli


def made(cli: Cli, *arguments: str) -> dict[str, Any]:
    budget: dict[str, Any] = cli.ok("budgets", "create", *arguments, "--json").json
    return budget


def test_the_short_form(on_store: Cli) -> None:
    budget = made(on_store, "10usd/month", "--global", "--timezone", "Europe/Madrid", "--anchor-day", "31")
    assert (budget["limit_usd"], budget["window"], budget["mode"]) == ("10.00", "month", "hard")
    assert (budget["timezone"], budget["anchor_day"]) == ("Europe/Madrid", 31)
    assert (budget["remaining_usd"], budget["thresholds"]) == ("10.00", [0.5, 0.8, 1.0])
    shown = on_store.ok("budgets", "show", budget["id"], "--json").json
    assert (shown.pop("leases"), shown.pop("subjects")) == ([], None)
    assert shown == budget


def test_people_get_fields(on_store: Cli) -> None:
    out = on_store.ok("budgets", "create", "10usd/day", "--project", "*").out
    fields = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (fields["scope"], fields["limit_usd"], fields["spent_usd"]) == ("project *", "10.00", "-")
    deleted = on_store.ok("budgets", "delete", fields["id"], "--json").json
    assert deleted["deleted_at"] is not None


def test_every_scope(on_store: Cli) -> None:
    key = on_store.ok("keys", "create", "--name", "app", "--project", "search", "--json").json["id"]
    rule = (
        "--limit",
        "1.5",
        "--window",
        "day",
        "--mode",
        "soft",
        "--models",
        "gpt-4o*, o1",
        "--thresholds",
        "1",
    )
    scopes = {
        ("--global",): {"kind": "global", "id": None},
        ("--project", "search"): {"kind": "project", "id": "search"},
        ("--key", "app"): {"kind": "key", "id": key},
        ("--key", "*"): {"kind": "key", "id": "*"},
        ("--end-user", "ann"): {"kind": "end_user", "id": "ann"},
        ("--model", "gpt-*"): {"kind": "model", "id": "gpt-*"},
    }
    for options, scope in scopes.items():
        budget = made(on_store, *rule, *options)
        assert (budget["scope"], budget["mode"], budget["models"]) == (scope, "soft", ["gpt-4o*", "o1"])
        assert [one["id"] for one in on_store.ok("budgets", "list", *options, "--json").json] == [
            budget["id"]
        ]
    assert len(on_store.ok("budgets", "list", "--json").json) == len(scopes)
    table = on_store.ok("budgets", "list").out.splitlines()
    assert table[0].split()[:3] == ["id", "scope", "mode"]
    assert any(f"key {key}" in line for line in table)


def test_update_raise_and_delete(on_store: Cli) -> None:
    budget = made(on_store, "10usd/month", "--global")["id"]
    changed = on_store.ok(
        *("budgets", "update", budget, "--limit", "5", "--timezone", "Asia/Tokyo", "--anchor-day", "3"),
        *("--mode", "soft", "--models", "o1", "--thresholds", "0.9", "--json"),
    ).json
    assert (changed["limit_usd"], changed["timezone"], changed["anchor_day"]) == ("5.00", "Asia/Tokyo", 3)
    assert (changed["mode"], changed["models"], changed["thresholds"]) == ("soft", ["o1"], [0.9])
    lifted = on_store.ok("budgets", "update", budget, "--models", "none", "--json").json
    assert (lifted["models"], lifted["limit_usd"]) == (None, "5.00")
    raised = on_store.ok("budgets", "raise", budget, "2.5", "--until", "2d", "--json").json
    until = datetime.fromisoformat(raised["raise"]["until"])
    assert timedelta(days=1) < until - datetime.now(UTC) < timedelta(days=2)  # noqa: TID251  (a command's clock)
    assert (raised["raise"]["amount_usd"], raised["limit_now_usd"]) == ("2.50", "7.50")
    later = on_store.ok("budgets", "raise", budget, "1", "--until", "2040-01-01T00:00:00Z", "--json").json
    assert later["raise"]["until"] == "2040-01-01T00:00:00Z"
    assert on_store.ok("budgets", "raise", budget, "none", "--json").json["raise"] is None
    assert on_store.ok("budgets", "delete", budget).out.startswith(f"{budget} is deleted; its history stays")
    assert on_store.ok("budgets", "list", "--json").json == []
    assert on_store.ok("budgets", "list", "--all", "--json").json[0]["deleted_at"] is not None
    assert "no budget has the id" in on_store.refused("budgets", "update", budget, "--limit", "1")


def test_show_says_where_every_held_nano_dollar_is(on_store: Cli, store: Store) -> None:
    budget = made(on_store, "10usd/total", "--global")["id"]
    now = datetime.now(UTC)  # noqa: TID251  (a command's clock)
    spending = Spending()
    spending.add([Charge(budget, "", 7, 0)], cost_nanos=1_000_000_001, started_at=to_micros(now))
    with store.write() as tx:
        wants = [Want((budget, ""), 7, 3 * 10**9, 0)]
        leases.acquire(tx, wants, holder="relay-host-1", now=now, expires_at=now + timedelta(hours=1))
        settle_flush(tx, spending)
    out = on_store.ok("budgets", "show", budget).out
    assert "Held, 1.999999999 USD in all:" in out
    line = out.splitlines()[-1]
    assert line.split()[:5] == ["relay-host-1", "active", "3.00", "1.000000001", "1.999999999"]
    assert line.endswith("a relay spends from it")


def test_subjects_and_history(on_store: Cli, store: Store) -> None:
    budget = made(on_store, "10usd/total", "--end-user", "*")["id"]
    spending = Spending()
    for name, cost in (("ann", 1), ("bob", 2)):
        charge = Charge(budget, name, NO_LEASE, 0)
        spending.add([charge], cost_nanos=cost * 10**9, started_at=to_micros(datetime.now(UTC)))  # noqa: TID251  (a command's clock)
    with store.write() as tx:
        settle_flush(tx, spending)
    out = on_store.ok("budgets", "show", budget).out
    assert [line.split()[:2] for line in out.splitlines()[-2:]] == [["ann", "1.00"], ["bob", "2.00"]]
    bob = on_store.ok("budgets", "show", budget, "--subject", "bob", "--json").json
    assert (bob["spent_usd"], bob["remaining_usd"]) == ("2.00", "8.00")
    history = on_store.ok("budgets", "history", budget, "--json").json
    assert [(one["subject"], one["spent_usd"], one["ends_at"]) for one in history] == [
        ("bob", "2.00", None),
        ("ann", "1.00", None),
    ]
    [header, line] = on_store.ok("budgets", "history", budget, "--subject", "ann").out.splitlines()
    assert header.split() == ["starts_at", "ends_at", "subject", "limit_usd", "spent_usd", "held_usd"]
    assert line.split()[-3:] == ["10.00", "1.00", "0.00"]
    on_store.ok("budgets", "delete", budget)
    assert len(on_store.ok("budgets", "history", budget, "--limit", "1", "--json").json) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["10usd/month"], "say whose spending counts"),
        (["--global"], "give a limit and a window"),
        (["--global", "--limit", "1"], "give a limit and a window"),
        (["10usd/month", "--global", "--limit", "1"], "not both"),
        (["10usd/month", "--global", "--key", "x"], "--global and --key exclude each other"),
        (["10usd/year", "--global"], "'year' is no window"),
        (["0usd/day", "--global"], "budget is 0"),
        (["-- -1usd/day"], "write one such as 10usd/month"),
        (["nanusd/day", "--global"], "write one such as 10usd/month"),
        (["1e999usd/day", "--global"], "write one such as 10usd/month"),
        (["1111111111111111111usd/day", "--global"], "more than can be stored"),
        (["2000000000usd/day", "--global"], "the most is 1000000000.00"),
        (["--limit", "NaN", "--window", "day", "--global"], "limit_usd is 'NaN'"),
        (["1usd/day", "--global", "--timezone", "Mars/Base"], "timezone is 'Mars/Base'"),
        (["1usd/week", "--global", "--anchor-day", "8"], "anchor_day is 8"),
        (["1usd/day", "--global", "--mode", "warn"], "mode is 'warn'"),
        (["1usd/day", "--global", "--models", ","], "models must list 1 to"),
        (["1usd/day", "--global", "--thresholds", "x"], "thresholds is 'x'"),
        (["1usd/day", "--global", "--thresholds", "nan"], "thresholds: at most 20 shares"),
        (["1usd/day", "--key", "nobody"], "no key has the id or name 'nobody'"),
        (["1usd/day", "--project", "nothing"], "no project has the id or name 'nothing'"),
        (["1usd/day", "--end-user", " "], "scope.id must have 1 to 200"),
        (["1usd/day", "--model", "gpt-["], "scope.id"),
    ],
)
def test_what_cannot_be_created(cli: Cli, arguments: list[str], reason: str) -> None:
    if arguments[0].startswith("-- "):
        arguments = ["--global", "--", arguments[0][3:]]
    assert reason in cli.refused("budgets", "create", *arguments)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["update", "{id}", "--limit", "0"], "limit_usd is 0"),
        (["update", "{id}", "--anchor-day", "9"], "anchor_day is 9"),
        (["raise", "{id}", "1"], "raise.until is missing"),
        (["raise", "{id}", "0", "--until", "1d"], "raise.amount_usd is 0"),
        (["raise", "{id}", "1", "--until", "0s"], "raise.until must be in the future"),
        (["raise", "{id}", "1", "--until", "2020-01-01T00:00:00Z"], "raise.until must be in the future"),
        (["raise", "{id}", "1", "--until", "soon"], "raise.until is 'soon'"),
        (["raise", "{id}", "1", "--until", "999999w"], "raise.until is '999999w'"),
        (["show", "{id}", "--subject", "ann"], "only a budget with the scope id `*` has subjects"),
        (["show", "bud_absent"], "no budget has the id 'bud_absent'"),
        (["history", "\x00"], "no budget has the id"),
        (["delete", "bud_absent"], "no budget has the id 'bud_absent'"),
    ],
)
def test_what_cannot_be_done_to_one(cli: Cli, arguments: list[str], reason: str) -> None:
    budget = made(cli, "10usd/week", "--global")["id"]
    assert reason in cli.refused("budgets", *(argument.format(id=budget) for argument in arguments))
