"""`tollkeeper accounts`, on SQLite and PostgreSQL."""

from contextlib import closing
from typing import Any

import pytest

from service.accounts.passwords import HashedPassword
from service.accounts.session_registry import SessionRegistry
from service.accounts.values import Client
from service.cli.session import account_registries
from service.settings import Secret, Settings, StoreSettings
from service.store.engine import Store
from tests.cli.conftest import Cli


def create(cli: Cli, *arguments: str) -> dict[str, Any]:
    created: dict[str, Any] = cli.ok("accounts", "create", *arguments, "--json").json
    return created


def begin_session(url: str, *, token: str) -> tuple[str, SessionRegistry, Store]:
    """Redeem a link and sign in, as the dashboard does; the caller closes the store."""
    settings = Settings(store=StoreSettings(url=url), secret_key=Secret("4fd1bb2e9ac07d35e8f61a90c2b7d4e3"))
    store = Store(url)
    registry, sessions = account_registries(store, settings)
    with store.write() as tx:
        account = registry.redeem_link(tx, token, password=HashedPassword("$argon2id$…"))
        return sessions.begin(tx, account.id, client=Client()).token, sessions, store


def test_create_prints_a_link(on_store: Cli) -> None:
    created = create(on_store, "Ada", "--role", "admin")
    assert (created["name"], created["role"], created["status"]) == ("Ada", "admin", "invited")
    assert created["link"].startswith("http://127.0.0.1:8501/link/")
    (listed,) = on_store.ok("accounts", "list", "--json").json
    assert listed == {
        name: value for name, value in created.items() if name not in ("link", "link_expires_at")
    }
    assert "password_hash" not in listed


def test_the_link_names_the_configured_dashboard(on_store: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLKEEPER_DASHBOARD_HOST", "::1")
    monkeypatch.setenv("TOLLKEEPER_DASHBOARD_PORT", "9000")
    assert create(on_store, "Ada")["link"].startswith("http://[::1]:9000/link/")
    monkeypatch.setenv("TOLLKEEPER_ALERTS_DASHBOARD_URL", "https://costs.example/")
    assert create(on_store, "Bert")["link"].startswith("https://costs.example/link/")


def test_people_get_fields_and_a_hint(on_store: Cli) -> None:
    outcome = on_store.ok("accounts", "create", "Ada Lovelace")
    assert "http://127.0.0.1:8501/link/" in outcome.out
    assert "works once" in outcome.err
    header, row = on_store.ok("accounts", "list").out.splitlines()
    assert header.split() == ["id", "name", "role", "status", "signed_in_at", "created_at"]
    assert "Ada Lovelace" in row
    assert " viewer " in row


def test_role_disable_and_enable(on_store: Cli) -> None:
    ada = create(on_store, "Ada")["id"]
    assert on_store.ok("accounts", "role", "ADA", "admin", "--json").json["role"] == "admin"
    assert on_store.ok("accounts", "disable", ada, "--json").json["status"] == "disabled"
    assert "is disabled" in on_store.refused("accounts", "reset", "ada")
    assert "invited" in on_store.ok("accounts", "enable", "ada").out


def test_the_link_sets_a_password_and_sign_out_ends_sessions(on_store: Cli, store_url: str) -> None:
    create(on_store, "Ada")
    reset = on_store.ok("accounts", "reset", "ada", "--json").json
    token, sessions, store = begin_session(store_url, token=reset["link"].rpartition("/")[2])
    with closing(store):
        with store.read() as tx:
            assert sessions.resolve(tx, token) is not None
        assert on_store.ok("accounts", "sign-out", "ada", "--json").json["ended_sessions"] == 1
        with store.read() as tx:
            assert sessions.resolve(tx, token) is None
    assert on_store.ok("accounts", "sign-out", "ada").out == "0 sessions of Ada ended.\n"
    assert on_store.ok("accounts", "list", "--json").json[0]["status"] == "active"


def test_what_cannot_be(on_store: Cli) -> None:
    create(on_store, "Ada")
    assert "named 'ada' already" in on_store.refused("accounts", "create", "ada")
    assert "an account's name must have" in on_store.refused("accounts", "create", "")
    assert "no account has the id or name 'eve'" in on_store.refused("accounts", "disable", "eve")
    assert on_store("accounts", "role", "ada", "owner").code == 2
