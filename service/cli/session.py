"""What a command needs of an installation: its settings, its store, the registries that change it, who runs it."""

import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from service.accounts.registry import AccountRegistry
from service.accounts.session_registry import SessionRegistry
from service.audit.actor import Actor
from service.audit.trail import AuditTrail
from service.errors import StoreSchemaError
from service.keys.admin_registry import AdminKeyRegistry
from service.keys.registry import KeyRegistry
from service.keys.secrets import Peppers, account_key, audit_trail, installation_secret
from service.pricing.upkeep import PriceUpkeep
from service.settings import Settings, load
from service.store.engine import Store, parse_url
from service.store.schema import migrate_if_needed, require_head


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)  # noqa: TID251  (the command line puts itself together)


def load_settings(config: Path | None, **flags: Any) -> Settings:
    """The settings; *flags* are options of the command under the names `store_url` and `data_dir`."""
    keys = {"store_url": "store.url", "data_dir": "relay.data_dir"}
    given = {keys[name]: value for name, value in flags.items()}
    return load(config_path=config, environ=os.environ, flags=given).settings


@contextmanager
def open_store(settings: Settings, *, create: bool = False) -> Iterator[Store]:
    """The store at the schema of this version: SQLite is migrated, PostgreSQL must have been.

    A SQLite file that is not there is made only if *create* says so: most likely its path is wrong.
    """
    url = parse_url(settings.store.url)
    if url.get_backend_name() == "sqlite" and not create and not Path(url.database or "").exists():
        raise StoreSchemaError(f"the store {url} does not exist yet; run: tollkeeper up")
    with closing(Store(settings.store.url)) as store:
        if store.is_sqlite:
            migrate_if_needed(store)
        require_head(store)
        yield store


def key_registry(store: Store, settings: Settings) -> KeyRegistry:
    """The keys of *store*; refuses another installation's secret."""
    root = installation_secret(store, settings)
    trail = audit_trail(root, now=utc_now)
    return KeyRegistry(Peppers.of(root), trail=trail, now=utc_now, random_bytes=os.urandom)


def audit_log(store: Store, settings: Settings) -> AuditTrail:
    """The audit log of *store*; refuses another installation's secret."""
    return audit_trail(installation_secret(store, settings), now=utc_now)


def price_upkeep(store: Store, settings: Settings) -> PriceUpkeep:
    """What changes the price book of *store*; refuses another installation's secret."""
    return PriceUpkeep(audit_log(store, settings), now=utc_now)


def admin_key_registry(store: Store, settings: Settings) -> AdminKeyRegistry:
    """The admin keys of *store*; refuses another installation's secret."""
    root = installation_secret(store, settings)
    trail = audit_trail(root, now=utc_now)
    return AdminKeyRegistry(Peppers.of(root), trail=trail, now=utc_now, random_bytes=os.urandom)


def account_registries(store: Store, settings: Settings) -> tuple[AccountRegistry, SessionRegistry]:
    """The dashboard's accounts and sessions in *store*; refuses another installation's secret."""
    root = installation_secret(store, settings)
    key, trail = account_key(root), audit_trail(root, now=utc_now)
    accounts = AccountRegistry(key, trail=trail, now=utc_now, random_bytes=os.urandom)
    return accounts, SessionRegistry(key, trail=trail, now=utc_now, random_bytes=os.urandom)


@contextmanager
def installation(options: dict[str, Any], *, create: bool = False) -> Iterator[tuple[Store, Settings]]:
    """The open store, and the settings, that `store_options` name."""
    config: Path | None = options["config"]
    settings = load_settings(config, store_url=options["store_url"], data_dir=options["data_dir"])
    with open_store(settings, create=create) as store:
        yield store, settings


def operator() -> Actor:
    """Who runs this command: the operating system's user. Who became that user with sudo stands in the name."""
    number = os.getuid()
    try:
        user = pwd.getpwuid(number).pw_name
    except KeyError:  # as in a container
        user = f"uid {number}"
    before = os.environ.get("SUDO_USER")
    actor = Actor.command_line(user=user, host=socket.gethostname())
    return msgspec.structs.replace(actor, name=f"{user} (sudo by {before})") if before else actor
