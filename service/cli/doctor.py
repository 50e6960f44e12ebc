"""`tollkeeper doctor`: is everything there that a relay needs? Exit 1 if something is not."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import click

from service.cli import findings
from service.cli.findings import Finding
from service.cli.options import config_option, json_option, store_option
from service.cli.output import print_json, print_table
from service.cli.session import utc_now
from service.errors import TollkeeperError
from service.settings import Loaded, Settings, survey
from service.store.engine import Store, parse_url
from service.store.health import StoreHealth, store_health

JOURNAL_FOLDER = "journal"


@click.command()
@config_option
@store_option
@click.option("--offline", is_flag=True, help="Do not call the upstreams.")
@json_option
def doctor(config: Path | None, *, store_url: str | None, offline: bool, as_json: bool) -> None:
    """Check configuration, store, secret key, journal, upstreams, prices, clock and versions."""
    found = list(_examine(config, store_url=store_url, offline=offline))
    problems = sum(finding.status == "problem" for finding in found)
    if as_json:
        print_json({"ok": not problems, "checks": found})
    else:
        print_table(
            ("check", "status", "detail"),
            ((finding.check, finding.status, finding.detail) for finding in found),
        )
    if problems:
        sys.exit(1)


def _examine(config: Path | None, *, store_url: str | None, offline: bool) -> Iterator[Finding]:
    yield from findings.version_findings()
    try:
        loaded = survey(config_path=config, environ=os.environ, flags={"store.url": store_url})
    except TollkeeperError as error:
        yield Finding("configuration", "problem", str(error))
        return
    yield from findings.settings_findings(loaded)
    yield from _examine_loaded(loaded, offline=offline)


def _examine_loaded(loaded: Loaded, *, offline: bool) -> Iterator[Finding]:
    settings = loaded.settings
    clocks: dict[str, datetime] = {}
    health, found, is_sqlite = _examine_store(settings)
    yield from found
    if health is not None and health.now is not None:
        clocks["the store"] = health.now
    yield findings.secret_finding(settings, is_sqlite=is_sqlite, health=health)
    yield findings.journal_finding(settings, folder=settings.relay.data_dir / JOURNAL_FOLDER)
    if health is not None and health.at_head:
        yield findings.price_finding(health)
        yield from findings.content_findings(health, now=utc_now())
    if settings.upstreams and not offline:
        from service.cli.reachability import reach

        for upstream, reached in zip(settings.upstreams, reach(settings.upstreams), strict=True):
            yield reached.finding
            if reached.clock is not None:
                clocks[f"upstream {upstream.name}"] = reached.clock
    yield findings.clock_finding(utc_now(), others=clocks)


def _examine_store(settings: Settings) -> tuple[StoreHealth | None, list[Finding], bool]:
    """Its health, what was found, and whether it is on SQLite."""
    is_sqlite = True
    try:
        url = parse_url(settings.store.url)
        is_sqlite = url.get_backend_name() == "sqlite"
        if is_sqlite and _is_absent(Path(url.database or "")):
            detail = f"{url} does not exist yet; `tollkeeper up` and `tollkeeper migrate` create it"
            return None, [Finding("store", "warning", detail)], is_sqlite
        with closing(Store(settings.store.url)) as store:
            health = store_health(store)
            return health, list(findings.store_findings(health, name=str(store))), is_sqlite
    except TollkeeperError as error:
        return None, [Finding("store", "problem", str(error))], is_sqlite


def _is_absent(file: Path) -> bool:
    """A file that could be created; where its directory is missing too, opening the store says so."""
    return file.parent.is_dir() and not file.exists()
