"""What `doctor` looks at on this machine and in the store, one function each. Only reads; nothing is repaired."""

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import msgspec

from service.cli.output import counted, instant_text
from service.errors import TollkeeperError
from service.keys.secrets import SECRET_FILE, fingerprint, root_secret
from service.ledger.segments import DAMAGED_SUFFIX, SUFFIX
from service.pricing.genai import data_version
from service.settings import Loaded, Settings
from service.store.health import StoreHealth

Status = Literal["ok", "warning", "problem"]
TOLERATED_SKEW = timedelta(seconds=5)
TOLERATED_DELAY = timedelta(hours=1)
_LIBRARIES = ("litestar", "uvicorn", "sqlalchemy", "psycopg", "msgspec", "genai-prices")
_FIRST_SAFE_SQLITE = (3, 51, 3)


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    check: str
    status: Status
    detail: str


def settings_findings(loaded: Loaded) -> Iterator[Finding]:
    """Whether the settings can be used."""
    for problem in loaded.problems:
        yield Finding("configuration", "problem", problem)
    for note in loaded.notes:
        yield Finding("configuration", "warning", note)
    if not loaded.problems:
        source = "no file; defaults and environment" if loaded.path is None else f"read from {loaded.path}"
        yield Finding("configuration", "ok", source)
    if not loaded.settings.upstreams:
        detail = "none configured, and OPENAI_API_KEY is not set: `up` answers from the simulated upstream"
        yield Finding("upstreams", "warning", detail)


def version_findings() -> Iterator[Finding]:
    """What runs here."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("versions", "ok", f"tollkeeper {version('tollkeeper')}, Python {python}, {libraries}")
    detail = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < _FIRST_SAFE_SQLITE:
        detail += " (has the WAL-reset bug; a lock file around writes and checkpoints keeps it away)"
    yield Finding("versions", "ok", detail)


def store_findings(health: StoreHealth, *, name: str) -> Iterator[Finding]:
    """Whether the store is at this version's schema, and whether it refused records."""
    if health.revision is None:
        yield Finding("store", "problem", f"{name} is empty; run: tollkeeper migrate")
        return
    if not health.at_head:
        detail = f"{name} is at schema {health.revision}, not this version's; run: tollkeeper migrate"
        yield Finding("store", "problem", detail)
        return
    yield Finding("store", "ok", f"{name} on {health.server}, schema {health.revision}")
    if health.dead_letters:
        detail = f"the store refused {health.dead_letters} records; they are kept in the table dead_letter"
        yield Finding("store", "problem", detail)


def secret_finding(settings: Settings, *, is_sqlite: bool, health: StoreHealth | None) -> Finding:
    """Whether the root secret is there, kept to its owner, and the one that the store knows."""
    file = settings.relay.data_dir / SECRET_FILE
    configured = settings.secret_key is not None
    if not configured and is_sqlite and not file.exists():
        if health is not None and health.secret_fingerprint is not None:
            detail = f"{file} is gone: no key of the store can be recognised; restore it from a backup"
            return Finding("secret key", "problem", detail)
        return Finding("secret key", "ok", f"none yet; the first start generates {file}")
    try:
        ours = fingerprint(root_secret(settings, is_sqlite=is_sqlite))
    except TollkeeperError as error:
        return Finding("secret key", "problem", str(error))
    if health is not None and health.secret_fingerprint not in (None, ours):
        detail = f"its fingerprint is {ours}, the store was set up with {health.secret_fingerprint}"
        return Finding("secret key", "problem", detail)
    if not configured and file.stat().st_mode & 0o077:
        return Finding("secret key", "warning", f"others may read {file}; run: chmod 600 {file}")
    where = "TOLLKEEPER_SECRET_KEY" if configured else str(file)
    return Finding("secret key", "ok", f"from {where}, fingerprint {ours}")


def journal_finding(settings: Settings, *, folder: Path) -> Finding:
    """Whether the journal can be written, has room, and was never damaged."""
    place = _nearest(folder)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Finding("journal", "problem", f"{place} cannot be written; a relay needs it for {folder}")
    damaged = sorted(path.name for path in folder.glob(f"*{DAMAGED_SUFFIX}"))
    if damaged:
        detail = f"{folder} holds damaged segments, kept aside: {', '.join(damaged[:3])}"
        return Finding("journal", "problem", detail)
    segments = [path.stat().st_size for path in folder.glob(f"*{SUFFIX}")]
    free = shutil.disk_usage(place).free
    detail = (
        f"{folder}: {counted(len(segments), 'segment')}, {_mebibytes(sum(segments))}; {_mebibytes(free)} free"
    )
    if free < settings.relay.journal_max_bytes:
        detail += f", less than relay.journal_max_bytes ({_mebibytes(settings.relay.journal_max_bytes)})"
        return Finding("journal", "warning", detail)
    return Finding("journal", "ok", detail)


def price_finding(health: StoreHealth) -> Finding:
    """Whether there are prices, and whether they are those of the installed price data."""
    installed = data_version()
    if not health.price_cards:
        return Finding("prices", "problem", "the store has none; run: tollkeeper migrate")
    if health.price_version != installed:
        detail = (
            f"the store has version {health.price_version}, {installed} is installed; run: tollkeeper migrate"
        )
        return Finding("prices", "warning", detail)
    return Finding("prices", "ok", f"{health.price_cards} cards, price data {installed}")


def content_findings(health: StoreHealth, *, now: datetime) -> Iterator[Finding]:
    """Whether captured content goes when its time is over, which is the keeper's work."""
    if health.content_ends_at is None:
        return
    late = now - health.content_ends_at
    if late < TOLERATED_DELAY:
        yield Finding("content", "ok", "is kept for some projects; none has outlived its retention")
        return
    detail = (
        f"some has outlived its retention by {late.days} days and {late.seconds // 3600} hours: no keeper runs; "
        "start one, or run: tollkeeper content purge"
    )
    yield Finding("content", "problem", detail)


def clock_finding(now: datetime, *, others: dict[str, datetime]) -> Finding:
    """Whether this machine's clock agrees with those of the store and the upstreams."""
    for name, theirs in others.items():
        skew = now - theirs
        if abs(skew) > TOLERATED_SKEW:
            detail = f"this machine is {skew.total_seconds():+.0f} s from {name}; synchronise it (NTP)"
            return Finding("clock", "warning", detail)
    compared = ", ".join(others) or "nothing to compare with"
    return Finding("clock", "ok", f"{instant_text(now)} ({compared})")


def _nearest(folder: Path) -> Path:
    """The directory that would have to be written: the first of *folder*'s parents that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _mebibytes(count: int) -> str:
    return f"{count / (1 << 20):,.1f} MiB"
