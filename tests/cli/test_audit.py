"""`tollkeeper audit`, on SQLite and PostgreSQL; and that every changing command is in the log."""

import os
import pwd
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, text, update

from service.store.audit_tables import audit_entry
from service.store.engine import Store
from tests.cli.conftest import Cli

ME = pwd.getpwuid(os.getuid()).pw_name


def changes(cli: Cli, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cli.ok("audit", "list", *arguments, "--json").json
    return found


def tamper(url: str, statement: Any) -> None:
    """As somebody who owns the database and removes what stands in the way."""
    with closing(Store(url)) as store, store.write() as tx:
        if store.is_sqlite:
            for event in ("update", "delete"):
                tx.execute(text(f"DROP TRIGGER audit_entry_no_{event}"))
        else:
            tx.execute(text("DROP TRIGGER audit_entry_stays ON audit_entry"))
        tx.execute(statement)


def test_every_changing_command_is_in_the_log(on_store: Cli) -> None:
    key = on_store.ok("keys", "create", "--name", "a", "--json").json["id"]
    on_store.ok("keys", "update", key, "--name", "b")
    on_store.ok("keys", "rotate", "b", "--overlap", "1h")
    on_store.ok("keys", "revoke", "b")
    price = on_store.ok("prices", "set", "m", "--input", "1", "--output", "2", "--json").json["added"][0][
        "id"
    ]
    on_store.ok("prices", "end", price)
    Path("p.csv").write_text("model,input_usd_per_mtok,output_usd_per_mtok\nn,1,2\n")
    on_store.ok("prices", "import", "p.csv")
    on_store.ok("admin-keys", "create", "--name", "ops", "--role", "viewer")
    on_store.ok("admin-keys", "revoke", "ops")
    on_store.ok("accounts", "create", "Ada")
    on_store.ok("accounts", "role", "ada", "admin")
    on_store.ok("accounts", "reset", "ada")
    on_store.ok("accounts", "disable", "ada")
    on_store.ok("accounts", "enable", "ada")
    found = [one for one in reversed(changes(on_store)) if one["target"]["kind"] != "project"]
    assert [one["action"] for one in found] == [
        *("key.create", "key.update", "key.rotate", "key.revoke"),
        *("price.set", "price.end", "price.set"),
        *("admin_key.create", "admin_key.revoke"),
        *("account.create", "account.role", "account.reset", "account.disable", "account.enable"),
    ]
    actor = {"kind": "command_line", "id": f"{ME}@{socket.gethostname()}", "name": ME, "address": None}
    assert [one["actor"] for one in found] == [actor] * len(found)
    assert on_store.ok("audit", "verify", "--json").json["ok"] is True


def test_reading_is_not_in_the_log(on_store: Cli) -> None:
    on_store.ok("keys", "create", "--name", "a")
    before = changes(on_store)
    for command in (
        ["keys", "list"],
        ["keys", "show", "a"],
        ["prices", "list"],
        ["audit", "verify"],
        ["check"],
    ):
        on_store.ok(*command)
    assert changes(on_store) == before


def test_who_used_sudo_stands_in_the_name(on_store: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    on_store.ok("keys", "create", "--name", "a")
    actor = changes(on_store, "--action", "key.create")[0]["actor"]
    assert (actor["id"], actor["name"]) == (f"{ME}@{socket.gethostname()}", f"{ME} (sudo by alice)")


def test_the_environment_does_not_say_who_it_was(on_store: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    on_store.ok("keys", "create", "--name", "a")
    assert changes(on_store, "--action", "key.create")[0]["actor"]["name"] == ME


def test_a_user_without_a_name(on_store: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    on_store.ok("keys", "create", "--name", "a")
    assert changes(on_store, "--action", "key.create")[0]["actor"]["name"] == "uid 4000000000"


def test_filters_and_limit(on_store: Cli) -> None:
    for name in ("a", "b"):
        on_store.ok("keys", "create", "--name", name)
    on_store.ok("keys", "revoke", "a")
    names = [one["target"]["name"] for one in changes(on_store, "--action", "key.*")]
    assert names == ["a", "b", "a"]
    assert len(changes(on_store, "--action", "key.*", "--limit", "2")) == 2
    assert [one["action"] for one in changes(on_store, "--target", "b")] == ["key.create"]
    assert changes(on_store, "--actor", "nobody") == []
    assert len(changes(on_store, "--action", "key.*", "--actor", ME, "--since", "1h")) == 3
    assert changes(on_store, "--until", "1h") == []
    assert "limit must be" in on_store.refused("audit", "list", "--limit", "0")
    assert "--since" in on_store.refused("audit", "list", "--since", "yesterday")
    assert "target has a character" in on_store.refused("audit", "list", "--target", "a\udcff")


def test_a_table_for_people(on_store: Cli) -> None:
    on_store.ok("keys", "create", "--name", "a")
    header, first, *_ = on_store.ok("audit", "list", "--action", "key.*").out.splitlines()
    assert header.split() == ["seq", "at", "actor", "action", "target", "before", "after"]
    assert " key.create " in first
    assert " key a " in first


def test_verify_prints_a_head_that_can_be_expected(on_store: Cli) -> None:
    on_store.ok("keys", "create", "--name", "a")
    noted = on_store.ok("audit", "verify", "--json").json
    assert noted["head"].startswith(f"{noted['entries']}:")
    on_store.ok("keys", "create", "--name", "b")
    outcome = on_store.ok("audit", "verify", "--expect", noted["head"])
    assert outcome.out.startswith(f"{noted['entries'] + 1} entries. Head: ")
    assert "The audit log is whole" in outcome.err
    assert "is not one that" in on_store.refused("audit", "verify", "--expect", "5:xyz")


def test_verify_says_what_is_wrong(on_store: Cli, store_url: str) -> None:
    for name in ("a", "b", "c"):
        on_store.ok("keys", "create", "--name", name)
    whole = on_store.ok("audit", "verify", "--json").json
    last = whole["entries"]
    changed = update(audit_entry).where(audit_entry.c.seq == 2).values(actor_name="somebody else")
    tamper(store_url, changed)
    outcome = on_store("audit", "verify")
    assert outcome.code == 1
    assert outcome.out.splitlines()[0] == "changed: entry 2 is not what was written in its place"
    assert outcome.err == "The audit log is not what was written.\n"
    with closing(Store(store_url)) as store, store.write() as tx:
        tx.execute(delete(audit_entry).where(audit_entry.c.seq.in_([2, last])))
    found = on_store("audit", "verify", "--json", "--expect", whole["head"])
    assert (found.code, found.json["ok"], found.json["entries"]) == (1, False, last - 2)
    assert [(one["seq"], one["finding"]) for one in found.json["problems"]] == [
        (3, "missing"),
        (last, "cut_off"),
        (last, "cut_off"),
    ]


def test_another_installations_secret_is_refused(on_store: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    on_store.ok("keys", "create", "--name", "a")
    monkeypatch.setenv("TOLLKEEPER_SECRET_KEY", "0f1e2d3c4b5a69788796a5b4c3d2e1f0")
    assert "was set up with another secret key" in on_store.refused("audit", "verify")
