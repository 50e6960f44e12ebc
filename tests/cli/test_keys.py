"""`tollkeeper keys`, on SQLite and PostgreSQL."""

from pathlib import Path

import pytest

from service.keys.token import parse
from tests.cli.conftest import Cli


def test_create_prints_id_and_key_once(on_store: Cli) -> None:
    created = on_store.ok(
        *("keys", "create", "--name", "batch", "--project", "search", "--models", "gpt-4o*, o1"),
        *("--expires", "30d", "--metadata", '{"team": 1}', "--rpm", "60", "--json"),
    ).json
    assert parse(created["key"]) is not None
    shown = on_store.ok("keys", "show", "batch", "--json").json
    assert created.pop("budgets") == []
    assert shown == {name: value for name, value in created.items() if name != "key"}
    assert (shown["project"], shown["models"], shown["limits"]) == ("search", ["gpt-4o*", "o1"], {"rpm": 60})
    assert (shown["metadata"], shown["status"]) == ({"team": 1}, "active")


def test_create_makes_budgets_with_the_key(on_store: Cli) -> None:
    created = on_store.ok(
        *("keys", "create", "--name", "batch", "--budget", "10usd/month", "--budget", "1$/day", "--json")
    ).json
    found = on_store.ok("budgets", "list", "--key", "batch", "--json").json
    assert {budget["limit_usd"] for budget in found} == {"10.00", "1.00"}
    assert [budget["window"] for budget in created["budgets"]] == ["month", "day"]
    out = on_store.ok("keys", "create", "--name", "other", "--budget", "10usd/month").out
    assert "10.00 USD, month, hard" in out


def test_people_get_fields_and_a_warning(on_store: Cli) -> None:
    outcome = on_store.ok("keys", "create", "--name", "batch")
    fields = dict(line.split(maxsplit=1) for line in outcome.out.splitlines())
    assert parse(fields["key"]) is not None
    assert (fields["name"], fields["models"], fields["status"]) == ("batch", "-", "active")
    assert outcome.err == "\nThe key is shown once; keep it.\n"


def test_list_leaves_revoked_keys_out(on_store: Cli) -> None:
    for name, project in (("a", "p"), ("b", "q"), ("c", "q")):
        on_store.ok("keys", "create", "--name", name, "--project", project)
    on_store.ok("keys", "revoke", "b")
    assert [key["name"] for key in on_store.ok("keys", "list", "--json").json] == ["c", "a"]
    assert [key["name"] for key in on_store.ok("keys", "list", "--all", "--json").json] == ["c", "b", "a"]
    header, *rows = on_store.ok("keys", "list", "--project", "q").out.splitlines()
    assert header.split()[:4] == ["id", "name", "project", "status"]
    assert [row.split()[1:4] for row in rows] == [["c", "q", "active"]]


def test_list_walks_all_pages(on_store: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.cli.keys.PAGE", 2)
    for number in range(5):
        on_store.ok("keys", "create", "--name", f"k{number}")
    names = [key["name"] for key in on_store.ok("keys", "list", "--json").json]
    assert names == ["k4", "k3", "k2", "k1", "k0"]


def test_update_changes_what_is_given(on_store: Cli) -> None:
    on_store.ok(
        "keys", "create", "--name", "a", "--models", "m", "--rpm", "1", "--tpm", "2", "--expires", "1d"
    )
    changed = on_store.ok(
        "keys", "update", "a", "--name", "b", "--rpm", "none", "--models", "none", "--json"
    ).json
    assert (changed["name"], changed["models"], changed["limits"]) == ("b", None, {"tpm": 2})
    assert changed["expires_at"] is not None
    changed = on_store.ok(
        *("keys", "update", "b", "--expires", "none", "--tpm", "none", "--metadata", '{"x":1}', "--json")
    ).json
    assert (changed["expires_at"], changed["limits"], changed["metadata"]) == (None, None, {"x": 1})
    assert on_store.ok("keys", "update", "b", "--metadata", "none", "--json").json["metadata"] is None


def test_rotate_prints_another_key(on_store: Cli) -> None:
    before = on_store.ok("keys", "create", "--name", "a", "--json").json
    after = on_store.ok("keys", "rotate", "a", "--overlap", "24h", "--json").json
    assert after["id"] == before["id"]
    assert after["key"] != before["key"]


def test_revoke_is_for_good_and_may_be_repeated(on_store: Cli) -> None:
    created = on_store.ok("keys", "create", "--name", "a", "--json").json
    for _ in range(2):
        assert on_store.ok("keys", "revoke", created["id"], "--json").json["status"] == "revoked"
    assert "is revoked and cannot be changed" in on_store.refused("keys", "rotate", created["id"])


def test_an_ambiguous_name_is_refused_with_the_ids(on_store: Cli) -> None:
    ids = [on_store.ok("keys", "create", "--name", "a", "--json").json["id"] for _ in range(2)]
    message = on_store.refused("keys", "revoke", "a")
    assert all(key_id in message for key_id in ids)
    assert on_store.ok("keys", "revoke", ids[0], "--json").json["id"] == ids[0]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--name", ""], "name must have 1 to 200"),
        (["--name", "a\tb"], "name must have 1 to 200"),
        (["--name", "a", "--models", ","], "models must list 1 to"),
        (["--name", "a", "--expires", "soon"], "neither a duration"),
        (["--name", "a", "--expires", "2020-01-01T00:00:00Z"], "must be in the future"),
        (["--name", "a", "--metadata", "[]"], "metadata must be a JSON object"),
        (["--name", "a", "--rpm", "0"], "limits.rpm must be an integer"),
        (["--name", "a", "--budget", "10usd"], "budgets[0] is '10usd'; write one such as 10usd/month"),
        (["--name", "a", "--budget", "1usd/day", "--budget", "0usd/day"], "budgets[1] is 0"),
        (["--name", "a", "--budget", "1usd/year"], "'year' is no window"),
    ],
)
def test_what_cannot_be_created(cli: Cli, options: list[str], reason: str) -> None:
    assert reason in cli.refused("keys", "create", *options)


def test_what_cannot_be_updated(cli: Cli) -> None:
    cli.ok("keys", "create", "--name", "a")
    assert "limits.rpm must be an integer, or `none`" in cli.refused("keys", "update", "a", "--rpm", "-1")
    assert "overlap is 'x'" in cli.refused("keys", "rotate", "a", "--overlap", "x")
    assert "no key has the id or name 'b'" in cli.refused("keys", "show", "b")


def test_a_store_that_is_not_there_is_made_by_create_only(cli: Cli) -> None:
    for command in (["list"], ["show", "a"], ["revoke", "a"]):
        assert "does not exist yet; run: tollkeeper up" in cli.refused("keys", *command)
    assert list(Path().iterdir()) == []
    cli.ok("keys", "create", "--name", "a")
    assert Path("tollkeeper.db").exists()
    assert Path(".tollkeeper/secret.key").exists()


def test_another_secret_is_refused(on_store: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    on_store.ok("keys", "create", "--name", "a")
    monkeypatch.setenv("TOLLKEEPER_SECRET_KEY", "0123456789abcdef0123456789abcdef")
    assert "set up with another secret key" in on_store.refused("keys", "create", "--name", "b")


def test_a_name_cannot_draw_on_the_terminal(on_store: Cli) -> None:
    on_store.ok("keys", "create", "--name", "a", "--metadata", '{"x": "\\u001b[2J\\u202e"}')
    out = on_store.ok("keys", "show", "a").out
    assert "\x1b" not in out
    assert "\u202e" not in out
