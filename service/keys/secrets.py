"""The one root secret of an installation, and the keys derived from it.

TOLLKEEPER_SECRET_KEY holds it. On SQLite, where one machine is the whole installation, it is generated into the
data directory on first use. The store keeps a fingerprint of it, so that a relay with another secret, to which
every virtual key would look unknown, refuses to start.
"""

import contextlib
import hmac
import os
import secrets
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from service.audit.trail import AuditTrail
from service.content.vault import Vault
from service.errors import ConfigurationError
from service.settings import Settings
from service.store.engine import Store
from service.store.facts import fact_set_once, read_fact

SECRET_FILE = "secret.key"  # noqa: S105  (a file's name)
FINGERPRINT = "secret_fingerprint"
_SALT = b"tollkeeper"
_HASH_BYTES = 32
_LEAST_LENGTH = 32


class Peppers(msgspec.Struct, frozen=True):
    """What virtual keys and admin keys are digested with. Never printed."""

    virtual: bytes
    admin: bytes

    @classmethod
    def of(cls, root: bytes) -> "Peppers":
        """The peppers of an installation."""
        return cls(derive(root, "virtual keys"), derive(root, "admin keys"))

    def __repr__(self) -> str:
        return "Peppers(********)"


def root_secret(settings: Settings, *, is_sqlite: bool) -> bytes:
    """The root secret: configured, or kept in (on first use, generated into) the data directory on SQLite."""
    if settings.secret_key is not None:
        return settings.secret_key.reveal().encode()
    if not is_sqlite:
        raise ConfigurationError(
            "TOLLKEEPER_SECRET_KEY is not set, and a store on PostgreSQL needs it, the same for every relay; "
            "set a random value, such as: openssl rand -hex 32"
        )
    path = settings.relay.data_dir / SECRET_FILE
    try:
        if not path.exists():
            _generate(path)
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the secret key file {path} cannot be used: {error}") from error
    if len(text) < _LEAST_LENGTH:
        raise ConfigurationError(f"the secret key file {path} is damaged; restore it from a backup")
    return text.encode()


def installation_secret(store: Store, settings: Settings) -> bytes:
    """The root secret that *store* was set up with; generated only for a store that knows none yet.

    Raises:
        ConfigurationError: the secret is missing, damaged, or not the one of the store.
    """
    path = settings.relay.data_dir / SECRET_FILE
    if store.is_sqlite and settings.secret_key is None and not path.exists():
        with store.read() as tx:
            known = read_fact(tx, FINGERPRINT)
        if known is not None:
            raise ConfigurationError(
                f"{path} is not there, but the store was set up with a secret key (fingerprint {known}); "
                "name its directory with relay.data_dir, restore the file, or set TOLLKEEPER_SECRET_KEY"
            )
    root = root_secret(settings, is_sqlite=store.is_sqlite)
    with store.write() as tx:
        check_fingerprint(tx, root)
    return root


def derive(root: bytes, purpose: str) -> bytes:
    """A key for one *purpose*: HKDF-SHA-256 (RFC 5869), one block."""
    extracted = hmac.digest(_SALT, root, "sha256")
    return hmac.digest(extracted, purpose.encode() + b"\x01", "sha256")[:_HASH_BYTES]


def audit_trail(root: bytes, *, now: Callable[[], datetime]) -> AuditTrail:
    """The audit log of an installation."""
    return AuditTrail(derive(root, "audit log"), now=now)


def account_key(root: bytes) -> bytes:
    """What the dashboard's sessions, links and sign-in counters are digested with."""
    return derive(root, "dashboard accounts")


def oidc_key(root: bytes) -> bytes:
    """What the cookie of somebody on the way to the identity provider is signed with."""
    return derive(root, "OpenID Connect sign-in")


def content_vault(root: bytes) -> Vault:
    """What captured content is sealed with."""
    return Vault(partial(derive, root))


def fingerprint(root: bytes) -> str:
    """What may be shown and stored to recognise the root secret."""
    return derive(root, "fingerprint")[:8].hex()


def check_fingerprint(tx: Connection, root: bytes) -> None:
    """Refuse a store that was set up with another root secret; the first one to come sets it."""
    ours = fingerprint(root)
    found = fact_set_once(tx, name=FINGERPRINT, value=ours)
    if found != ours:
        raise ConfigurationError(
            f"the store was set up with another secret key (fingerprint {found}, ours is {ours}): no key in it "
            "would be recognised; set TOLLKEEPER_SECRET_KEY to the first one, or restore its secret.key"
        )


def _generate(path: Path) -> None:
    """Write a new secret; of two processes at once, one wins and both use its secret."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_HASH_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(unfinished, path)
    finally:
        unfinished.unlink()
