"""How fast the dashboard is on many records, and what its viewers cost the relay.

    python -m benchmarks.dashboard [--records 10000000] [--keep FILE] [--rounds 5] [--viewers 10] [--seconds 5]

Starts `tollkeeper up` on a SQLite file with that many records of the last 30 days (generated first; ten million take
a quarter of an hour and 8 GB; `--keep` leaves the file for another run, which finds it full), signs in with a real
Chromium, and times each step from the click to the finished drawing; memory is VmHWM of the dashboard's process. Then
ten viewers refresh their Overviews while the relay answers a load, in turns with the same load without them. One
table: median and worst of the rounds, beside the limit. Exit 1 where a median is over its limit.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from playwright.sync_api import Browser

from benchmarks import crowds, gauge, installation
from benchmarks.books import DAYS
from benchmarks.installation import Installation
from benchmarks.reporting import fill
from benchmarks.screenshots import chromium
from benchmarks.walk import FIGURES, HEADING, Walk, chart, rows, session, set_password, sign_in
from service.reporting.rows import RequestFilter, list_requests
from service.store import schema
from service.store.engine import Store

DAY = timedelta(days=1)
Took = dict[str, list[float]]
SIGN_IN, CHANGE, PAGE, FRESH, MEMORY = 1.5, 1.0, 1.0, 5.0, 400.0
OTHER_PAGES = ("Keys", "Budgets", "Alerts", "Prices", "Reconcile", "Accounts", "Audit", "Health", "Settings")


def overview(walk: Walk) -> None:
    """The range and the dimension of the Overview, there and back."""
    drawn = chart("spend")
    for preset in ("30d", "24h", "MTD", "7d"):
        walk.step(f"Overview: range {preset}", walk.segment("range", preset), until=drawn, watch=FIGURES)
        walk.rest()
    for label in ("Key", "Project", "Model"):
        said = f"document.body.innerText.includes('Spend by {label.lower()}')"
        walk.step(f"Overview: by {label.lower()}", walk.segment("by", label), until=f"{said} && {drawn}")
        walk.rest()


def spend(walk: Walk) -> None:
    """Ranges, dimensions, a pivot and the comparison with other days."""
    over_time, table = chart("spend"), rows("breakdown")
    drawn = f"{over_time} && {chart('breakdown')}"
    walk.step("Spend: from the menu", walk.menu("Spend"), until=f"{HEADING} === 'Spend' && {drawn}")
    for preset in ("30d", "24h", "7d"):
        walk.step(f"Spend: range {preset}", walk.segment("range", preset), until=drawn, watch=table)
        walk.rest()
    for label in ("Key", "End user", "Model"):
        walk.step(f"Spend: by {label.lower()}", walk.choice("by", label), until=drawn, watch=table)
        walk.rest()
    said = "document.body.innerText.includes('Spend by model and key')"
    walk.step("Spend: across keys", walk.choice("across", "Key"), until=f"{said} && {over_time}")
    walk.rest()
    walk.step("Spend: across nothing", walk.choice("across", "Nothing"), until=chart("breakdown"))
    walk.rest()


def usage(walk: Walk) -> None:
    """Ranges, a filter and the measure of the week."""
    drawn = " && ".join(chart(key) for key in ("Latency", "endings", "week"))
    walk.step("Usage: from the menu", walk.menu("Usage"), until=f"{HEADING} === 'Usage' && {drawn}")
    for preset in ("30d", "24h", "7d"):
        walk.step(f"Usage: range {preset}", walk.segment("range", preset), until=drawn, watch=FIGURES)
        walk.rest()
    walk.step("Usage: one model", walk.choice("model", "gpt-4o"), until=drawn, watch=FIGURES)
    walk.page.keyboard.press("Escape")
    walk.rest()


def requests(walk: Walk, cursor: str) -> None:
    """The first page and the one before it, a page from the middle, and filters that few or none meet."""
    table = rows("log")
    walk.step("Requests: from the menu", walk.menu("Requests"), until=f"{table}.length > 40")
    walk.rest()
    button = walk.page.get_by_role("button", name="Older", exact=True)
    walk.step("Requests: older", button.click, until=f"{table}.length > 40", watch=table)
    walk.open(f"/requests?range=30d&before={cursor}")
    walk.step("Requests: older, from the middle", button.click, until=f"{table}.length > 40", watch=table)
    walk.rest()
    none, some = "document.querySelector('.st-key-log') === null", f"{table}.length > 1"
    walk.step("Requests: unknown id", walk.typed("q", "chatcmpl-nowhere"), until=none)
    walk.rest()
    walk.step("Requests: any id", walk.typed("q", ""), until=some)
    walk.rest()
    walk.page.get_by_text("More filters", exact=True).click()
    for field, text, until in (
        ("end_user", "user-77", some),
        ("end_user", "nobody", none),
        ("end_user", "user-78", some),
        ("session", "none", none),
    ):
        name = f"Requests: {field.replace('_', ' ')} {text}"
        walk.step(name, walk.typed(field, text), until=until, watch=table)
        walk.rest()


def other_pages(walk: Walk) -> None:
    """Each page of the menu."""
    for title in OTHER_PAGES:
        walk.step(f"{title}: from the menu", walk.menu(title), until=f"{HEADING} === '{title}'")
    walk.step("Overview: from the menu", walk.menu("Overview"), until=chart("spend"))
    walk.rest()


def freshness(walk: Walk, installed: Installation) -> None:
    """From the end of an answer until its line stands on the Overview."""
    body = {"model": "gpt-4o-mini", "user": "bench-plain", "messages": [{"role": "user", "content": "Hello"}]}

    def ask() -> None:
        httpx.post(
            f"http://127.0.0.1:{installed.relay_port}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {installed.key}"},
        ).raise_for_status()

    table = f"{rows('latest')}[1]"
    walk.step("a new request on the Overview", ask, until="true", watch=table)


def limit_of(name: str) -> float:
    """Seconds that a step may take."""
    if name == "sign-in to Overview":
        return SIGN_IN
    return FRESH if name.startswith("a new request") else CHANGE


def rounds(browser: Browser, installed: Installation, *, count: int, cursor: str) -> tuple[Took, str]:
    """Every step, several times, each round in a new browser session; and the token of one that goes on."""
    took_s: Took = {}
    token = set_password(browser, installed)
    for number in range(count):
        with session(browser) as context:
            walk = sign_in(context, installed, took_s)
            walk.rest()
            overview(walk)
            spend(walk)
            usage(walk)
            requests(walk, cursor)
            other_pages(walk)
            freshness(walk, installed)
        memory = gauge.peak_rss_mb([installed.dashboard_pid])
        load = os.getloadavg()[0]
        print(
            f"round {number + 1} of {count} done; dashboard {memory:.0f} MB; load {load:.1f}", file=sys.stderr
        )
    return took_s, token


def table(took_s: Took, crowd: crowds.Crowd, *, memory: dict[str, float]) -> tuple[str, bool]:
    """Every figure beside its limit; whether all medians are within."""
    lines = ["| step | p50 | worst | limit |", "|---|---|---|---|"]
    good = True
    for name, spent in took_s.items():
        p50, limit = statistics.median(spent), limit_of(name)
        good &= p50 <= limit
        lines.append(f"| {name} | {p50:.2f} s | {max(spent):.2f} s | {limit:.1f} s |")
    for name, found in memory.items():
        good &= found <= MEMORY
        lines.append(f"| memory of the dashboard, {name} | {found:.0f} MB | | {MEMORY:.0f} MB |")
    lines += crowd.lines()
    return "\n".join(lines), good


def middle(database: Path) -> str:
    """The cursor of a page fifteen days back."""
    with closing(Store(f"sqlite:///{database}")) as store, store.read() as tx:
        until = datetime.now(UTC) - DAYS / 2 * DAY  # noqa: TID251  (composition root)
        found = list_requests(tx, RequestFilter(until=until), limit=50).next
    assert found is not None, f"{database} has nothing before {until}: it is an older run's; generate it anew"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--keep", type=Path, help="SQLite file to fill, or to use again")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--viewers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one load of the relay")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tollkeeper-bench-") as name:
        folder = Path(name)
        database = (options.keep or folder / "books.db").resolve()
        with closing(Store(f"sqlite:///{database}")) as store:
            schema.migrate(store)
            start = datetime.now(UTC) - DAYS * DAY  # noqa: TID251  (composition root)
            fill(store, options.records, start=start)
        with installation.running(database, folder) as installed:
            with chromium() as browser:
                took_s, token = rounds(browser, installed, count=options.rounds, cursor=middle(database))
            memory = {"all pages walked": gauge.peak_rss_mb([installed.dashboard_pid])}
            crowd = asyncio.run(
                crowds.measure(
                    installed, token, viewers=options.viewers, rounds=options.rounds, seconds=options.seconds
                )
            )
            memory[f"{options.viewers} viewers"] = gauge.peak_rss_mb([installed.dashboard_pid])
    shown, good = table(took_s, crowd, memory=memory)
    print(shown)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
