"""The first start makes keys once, and says so in the audit log."""

from pathlib import Path

from service.first_run import ensure_first_keys
from service.keys.secrets import audit_trail
from service.settings import RelaySettings, Secret, Settings, StoreSettings
from service.store.engine import Store
from tests.support.audit import audited
from tests.support.clock import HandClock

SECRET = "4fd1bb2e9ac07d35e8f61a90c2b7d4e3"


def installation(url: str, folder: Path, *, admin_key: Secret | None = None) -> Settings:
    return Settings(
        store=StoreSettings(url=url),
        relay=RelaySettings(data_dir=folder),
        secret_key=Secret(SECRET),
        admin_key=admin_key,
    )


def test_the_first_keys_are_audited_and_made_once(store: Store, store_url: str, tmp_path: Path) -> None:
    settings = installation(store_url, tmp_path)
    made = ensure_first_keys(store, settings)
    again = ensure_first_keys(store, settings)
    assert made.admin is not None
    assert made.virtual is not None
    assert (again.admin, again.virtual) == (None, None)
    entries = audited(store, trail=audit_trail(SECRET.encode(), now=HandClock().now))
    found = [(one.action, one.target.name) for one in entries if one.target.kind != "project"]
    assert found == [("admin_key.create", "first admin key"), ("key.create", "first key")]
    assert {one.actor.name for one in entries} == {"first start"}


def test_a_configured_admin_key_is_enough(store: Store, store_url: str, tmp_path: Path) -> None:
    made = ensure_first_keys(store, installation(store_url, tmp_path, admin_key=Secret(SECRET)))
    assert made.admin is None
    assert made.virtual is not None
