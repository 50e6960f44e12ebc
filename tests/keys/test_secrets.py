"""The root secret: configured or generated once, and the store that remembers it."""

import hashlib
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from service.errors import ConfigurationError
from service.keys.secrets import (
    Peppers,
    check_fingerprint,
    derive,
    fingerprint,
    installation_secret,
    root_secret,
)
from service.settings import RelaySettings, Secret, Settings
from service.store.engine import Store

CONFIGURED = "4fd1bb2e9ac07d35e8f61a90c2b7d4e3"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(relay=RelaySettings(data_dir=tmp_path / "data"))


def test_the_configured_secret_is_used_and_no_file_made(settings: Settings) -> None:
    configured = msgspec.structs.replace(settings, secret_key=Secret(CONFIGURED))
    assert root_secret(configured, is_sqlite=True) == CONFIGURED.encode()
    assert root_secret(configured, is_sqlite=False) == CONFIGURED.encode()
    assert not settings.relay.data_dir.exists()


def test_postgresql_needs_a_configured_secret(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="TOLLKEEPER_SECRET_KEY is not set"):
        root_secret(settings, is_sqlite=False)
    assert not settings.relay.data_dir.exists()


def test_sqlite_generates_one_and_keeps_it(settings: Settings) -> None:
    first = root_secret(settings, is_sqlite=True)
    assert root_secret(settings, is_sqlite=True) == first
    assert len(first) == 64
    (file,) = settings.relay.data_dir.iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == ("secret.key", 0o600)


def test_the_file_s_text_may_move_into_the_variable(settings: Settings) -> None:
    first = root_secret(settings, is_sqlite=True)
    text = (settings.relay.data_dir / "secret.key").read_text().strip()
    moved = msgspec.structs.replace(settings, secret_key=Secret(text))
    assert root_secret(moved, is_sqlite=False) == first


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 64])
def test_a_damaged_file_is_not_replaced(settings: Settings, content: bytes) -> None:
    settings.relay.data_dir.mkdir()
    file = settings.relay.data_dir / "secret.key"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"secret\.key (is damaged|cannot be used)"):
        root_secret(settings, is_sqlite=True)
    assert file.read_bytes() == content


def test_a_place_that_cannot_be_written(settings: Settings) -> None:
    settings.relay.data_dir.write_text("a file where the directory should be")
    with pytest.raises(ConfigurationError, match=r"secret\.key cannot be used"):
        root_secret(settings, is_sqlite=True)


def test_processes_that_start_together_agree(settings: Settings) -> None:
    program = (
        "import sys; from pathlib import Path; from service.settings import *; "
        "from service.keys.secrets import root_secret; sys.stdin.read(); "
        "s = Settings(relay=RelaySettings(data_dir=Path(sys.argv[1]))); "
        "print(root_secret(s, is_sqlite=True).decode())"
    )
    command = [sys.executable, "-c", program, str(settings.relay.data_dir)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    assert len({process.communicate()[0] for process in started}) == 1
    assert [path.name for path in settings.relay.data_dir.iterdir()] == ["secret.key"]


def test_derivation_is_hkdf() -> None:
    """As `openssl kdf -kdfopt digest:SHA256 -kdfopt key:root -kdfopt salt:tollkeeper -kdfopt info:audit HKDF`."""
    expected = "d05caa24443f291eda4fbae65573b46cadeb0b2969064564afb93d99ab7f177c"
    assert derive(b"root", "audit").hex() == expected


def test_purposes_give_different_keys() -> None:
    peppers = Peppers.of(b"root")
    assert len({peppers.virtual, peppers.admin, derive(b"root", "fingerprint")}) == 3
    assert peppers.virtual.hex() not in repr(peppers)
    assert fingerprint(b"root") != hashlib.sha256(b"root").hexdigest()[:16]


def test_the_store_remembers_the_first_secret(store: Store) -> None:
    for _ in range(2):
        with store.write() as tx:
            check_fingerprint(tx, b"first")
    with store.write() as tx, pytest.raises(ConfigurationError) as caught:
        check_fingerprint(tx, b"second")
    assert "set TOLLKEEPER_SECRET_KEY to the first one" in str(caught.value)
    assert fingerprint(b"first") in str(caught.value)
    with store.write() as tx:
        check_fingerprint(tx, b"first")


def test_a_new_store_on_sqlite_gets_a_secret_and_keeps_it(settings: Settings, sqlite_store: Store) -> None:
    first = installation_secret(sqlite_store, settings)
    assert installation_secret(sqlite_store, settings) == first


def test_a_store_in_use_is_not_given_another_secret(settings: Settings, sqlite_store: Store) -> None:
    first = installation_secret(sqlite_store, settings)
    file = settings.relay.data_dir / "secret.key"
    kept = file.read_text()
    file.unlink()
    with pytest.raises(ConfigurationError, match="was set up with a secret key"):
        installation_secret(sqlite_store, settings)
    assert not file.exists()
    moved = msgspec.structs.replace(settings, secret_key=Secret(kept.strip()))
    assert installation_secret(sqlite_store, moved) == first


def test_the_secret_of_another_installation_is_refused(settings: Settings, store: Store) -> None:
    ours = msgspec.structs.replace(settings, secret_key=Secret(CONFIGURED))
    assert installation_secret(store, ours) == CONFIGURED.encode()
    theirs = msgspec.structs.replace(settings, secret_key=Secret(CONFIGURED[::-1]))
    with pytest.raises(ConfigurationError, match="another secret key"):
        installation_secret(store, theirs)
