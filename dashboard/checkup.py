"""The checks of `tollkeeper doctor`, from here, and what only the books can tell: how far behind they are."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from dashboard import data
from dashboard.context import current
from service.cli import findings
from service.cli.doctor import JOURNAL_FOLDER
from service.cli.findings import Finding
from service.cli.reachability import reach
from service.errors import StoreError
from service.ledger.segments import SUFFIX
from service.store.health import StoreHealth, store_health


class Lag(msgspec.Struct, frozen=True):
    """What is in the journals and not known to be in the store; None where they are on another machine."""

    segments: int | None
    bytes: int | None
    newest_record: datetime | None


def checks() -> list[Finding]:
    """Everything but the upstreams, which are called on demand."""
    return list(_checks())


def _checks() -> Iterator[Finding]:
    loaded, store = current().loaded, current().store
    yield from findings.version_findings()
    yield from findings.settings_findings(loaded)
    health: StoreHealth | None = None
    try:
        health = store_health(store)
    except StoreError as error:
        yield Finding("store", "problem", str(error))
    else:
        yield from findings.store_findings(health, name=str(store))
    yield findings.secret_finding(loaded.settings, is_sqlite=store.is_sqlite, health=health)
    folder = loaded.settings.relay.data_dir / JOURNAL_FOLDER
    yield findings.journal_finding(loaded.settings, folder=folder)
    if health is not None and health.at_head:
        yield findings.price_finding(health)
        yield from findings.content_findings(health, now=data.now())
    others = {} if health is None or health.now is None else {"the store": health.now}
    yield findings.clock_finding(data.now(), others=others)


def upstreams() -> list[Finding]:
    """Whether each upstream answers, by calling it."""
    return [reached.finding for reached in reach(current().settings.upstreams)]


def lag() -> Lag:
    """How far the books are behind what relays have journalled here."""
    folder = current().settings.relay.data_dir / JOURNAL_FOLDER
    if not folder.is_dir():
        return Lag(None, None, data.newest())
    sizes = [path.stat().st_size for path in folder.glob(f"*{SUFFIX}")]
    return Lag(len(sizes), sum(sizes), data.newest())
