"""`tollkeeper migrate`."""

import pytest

from service.store.engine import Store
from service.store.health import store_health
from service.store.schema import HEAD
from tests.cli.conftest import Cli


def url_of(store: Store) -> str:
    return store.url.render_as_string(hide_password=False)


def test_an_empty_store_gets_schema_and_prices(cli: Cli, empty_store: Store) -> None:
    outcome = cli.ok("migrate", "--store-url", url_of(empty_store), "--json")
    assert (outcome.json["before"], outcome.json["after"]) == (None, HEAD)
    health = store_health(empty_store)
    assert health.at_head
    assert health.price_cards > 1000
    again = cli.ok("migrate", "--store-url", url_of(empty_store))
    assert f"is at {HEAD} already" in again.out
    assert store_health(empty_store).price_cards == health.price_cards


def test_what_it_did_is_said(cli: Cli) -> None:
    assert f"sqlite:///tollkeeper.db went from empty to {HEAD}." in cli.ok("migrate").out


def test_commands_refuse_a_postgresql_that_was_not_migrated(
    cli: Cli, empty_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLKEEPER_SECRET_KEY", "4fd1bb2e9ac07d35e8f61a90c2b7d4e3")
    if empty_store.is_sqlite:
        cli.ok("keys", "create", "--name", "a", "--store-url", url_of(empty_store))
    else:
        message = cli.refused("keys", "create", "--name", "a", "--store-url", url_of(empty_store))
        assert message.endswith("run: tollkeeper migrate")
