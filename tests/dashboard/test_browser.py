"""The dashboard in a real browser: it connects, shows the totals, follows what happens, and asks nobody else.

Needs a Chromium: the system's, or the one of Playwright. Where there is none the tests are skipped, except in CI.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote, urlsplit

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dashboard import formats
from dashboard.door import COOKIE
from dashboard.navigation import entries
from dashboard.oidc_routes import JOURNEY_COOKIE
from dashboard.periods import period
from service.audit.actor import Actor
from service.reporting.figures import Measures
from service.reporting.rows import RequestFilter, list_requests
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store
from service.store.tables import virtual_key
from tests.dashboard.views.test_request import HOSTILE
from tests.support.dashboards import Dashboard, away, door, recent, running, server, wall_clock
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET, oidc_provider
from tests.support.records import some, write
from tests.support.stores import Postgres

TIMEOUT_MS = 60_000
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
POLICY = "Content Security Policy"
FIGURES = '.st-key-figures [data-testid="stMetric"]'
READY = '[data-testid="stApp"][data-test-connection-state="CONNECTED"][data-test-script-state="notRunning"]'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or playwright.chromium.executable_path
        if not os.path.exists(path):  # noqa: PTH110  (a path or nothing)
            assert not os.environ.get("CI"), "CI installs a Chromium; there is none"
            pytest.skip("no Chromium: install Debian's `chromium`, or run `playwright install chromium`")
        expect.set_options(timeout=TIMEOUT_MS)
        launched = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield launched
        launched.close()


class Visit(msgspec.Struct, frozen=True):
    """A page, the hosts that were asked for it, and what broke: scripts, or the content policy."""

    page: Page
    hosts: set[str | None]
    complaints: list[str]

    def open(self, url: str) -> None:
        """Go there and wait until the script has run."""
        self.page.goto(url)
        self.settle()

    def enter(self, dashboard: Dashboard) -> None:
        """Have the cookie of somebody who is signed in."""
        self.page.context.add_cookies(
            [{"name": COOKIE, "value": dashboard.token, "url": dashboard.url, "sameSite": "Strict"}]
        )

    def settle(self) -> None:
        """Wait until the script has run."""
        self.page.wait_for_selector(READY, timeout=TIMEOUT_MS)

    def figure(self, label: str) -> str:
        """The value of a headline figure."""
        metric = self.page.get_by_test_id("stMetric").filter(has_text=label).first
        return metric.get_by_test_id("stMetricValue").inner_text()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    found = Visit(page, set(), [])
    page.on("request", lambda request: found.hosts.add(urlsplit(request.url).hostname))
    page.on("websocket", lambda one: found.hosts.add(urlsplit(one.url).hostname))
    page.on("console", lambda said: found.complaints.append(said.text) if POLICY in said.text else None)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    yield found
    expect(page.get_by_test_id("stException")).to_have_count(0)
    context.close()
    assert found.hosts <= {"127.0.0.1", None}
    assert found.complaints == []


@pytest.fixture
def dashboard(sqlite_store: Store, visit: "Visit") -> Iterator[Dashboard]:
    """A dashboard on records of the last four days, some of them with names that are markup."""
    records = recent(some(seed=11, count=300, days=4), days=4)
    for record in records:
        if record.key_id == "key_a":
            record.key_name = HOSTILE
        if record.upstream_model == "gpt-4o":
            record.upstream_model = record.requested_model = HOSTILE
    write(sqlite_store, records)
    now = wall_clock()
    with sqlite_store.write() as tx:
        tx.execute(
            virtual_key.insert(),
            {"id": "key_a", "name": HOSTILE, "project": "p", "created_at": now, "updated_at": now},
        )
    with running(sqlite_store.url.render_as_string()) as process:
        visit.enter(process)
        yield process


def week(store: Store) -> Measures:
    chosen = period("7d", now=wall_clock(), timezone="UTC")
    with store.read() as tx:
        return usage_report(tx, UsageQuery(since=chosen.since, until=chosen.until)).total


def test_the_overview_shows_the_totals_and_names_as_text(
    visit: Visit, dashboard: Dashboard, sqlite_store: Store
) -> None:
    visit.open(dashboard.url)
    total = week(sqlite_store)
    expect(visit.page.locator(FIGURES)).to_have_count(8)
    assert visit.figure("Spend") == formats.short_usd(total.cost_nanos)
    assert visit.figure("Requests") == f"{total.requests:,}"
    expect(visit.page.get_by_test_id("stEChartsChart")).to_have_count(2)
    expect(visit.page.locator('img[src*="198.51.100.7"]')).to_have_count(0)


def test_a_choice_becomes_part_of_the_address_and_the_address_is_the_view(
    visit: Visit, dashboard: Dashboard, sqlite_store: Store
) -> None:
    visit.open(f"{dashboard.url}/?by=Key")
    visit.page.locator(".st-key-range").get_by_role("radio", name="24h").click()
    visit.page.wait_for_url("**range=24h*")
    assert urlsplit(visit.page.url).query == "by=Key&range=24h"
    chosen = period("24h", now=wall_clock(), timezone="UTC")
    with sqlite_store.read() as tx:
        total = usage_report(tx, UsageQuery(since=chosen.since, until=chosen.until)).total
    value = visit.page.get_by_test_id("stMetric").filter(has_text="Requests").get_by_test_id("stMetricValue")
    expect(value).to_have_text(f"{total.requests:,}")
    visit.page.reload()
    expect(value).to_have_text(f"{total.requests:,}")
    expect(visit.page.get_by_text("Spend by key")).to_be_visible()


def test_a_new_request_appears_by_itself(visit: Visit, dashboard: Dashboard, sqlite_store: Store) -> None:
    visit.open(dashboard.url)
    before = week(sqlite_store).requests
    assert visit.figure("Requests") == f"{before:,}"
    record = next(one for one in some(seed=5, count=40, days=1) if one.outcome == "ok" and one.final)
    write(sqlite_store, recent([record], days=1))
    value = visit.page.get_by_test_id("stMetric").filter(has_text="Requests").get_by_test_id("stMetricValue")
    expect(value).to_have_text(f"{before + 1:,}", timeout=TIMEOUT_MS)


def test_the_first_request_ends_the_wait(visit: Visit, sqlite_store: Store) -> None:
    with running(sqlite_store.url.render_as_string()) as dashboard:
        visit.enter(dashboard)
        visit.open(dashboard.url)
        expect(visit.page.get_by_text("Waiting for the first request")).to_be_visible()
        write(sqlite_store, recent(some(seed=5, count=5, days=1), days=1))
        expect(visit.page.locator(FIGURES)).to_have_count(8)


def test_a_click_in_the_log_opens_the_request(
    visit: Visit, dashboard: Dashboard, sqlite_store: Store
) -> None:
    visit.open(f"{dashboard.url}/requests")
    with sqlite_store.read() as tx:
        newest = list_requests(tx, RequestFilter(), limit=1).data[0]
    visit.page.locator(".st-key-log .dvn-scroller").click(position={"x": 60, "y": 50})
    visit.page.wait_for_url(f"**/request?id={newest['request_id']}")
    visit.settle()
    expect(visit.page.get_by_test_id("stCode").first).to_have_text(newest["request_id"])
    visit.page.go_back()
    visit.settle()
    expect(visit.page.locator(".st-key-log")).to_be_visible()


def test_names_in_filters_are_text(visit: Visit, dashboard: Dashboard) -> None:
    visit.open(f"{dashboard.url}/requests")
    visit.page.get_by_label("Key").click()
    expect(visit.page.get_by_role("option", name=HOSTILE, exact=True)).to_be_visible()


def test_a_store_that_goes_and_comes_is_followed(visit: Visit, postgres: Postgres, postgres_url: str) -> None:
    with closing(Store(postgres_url)) as store:
        write(store, recent(some(seed=11, count=50, days=4), days=4))
    with running(postgres_url) as dashboard:
        visit.enter(dashboard)
        visit.open(dashboard.url)
        expect(visit.page.locator(FIGURES)).to_have_count(8)
        with away(postgres, postgres_url):
            part = visit.page.get_by_text("The store does not answer right now; trying again.")
            expect(part.first).to_be_visible()
            visit.open(dashboard.url)
            title = visit.page.get_by_role("heading", name="The store does not answer right now")
            expect(title).to_be_visible()
        expect(visit.page.locator(FIGURES)).to_have_count(8)


def test_one_click_on_the_first_link_leads_in_and_signing_out_ends_it(
    visit: Visit, sqlite_store: Store
) -> None:
    write(sqlite_store, recent(some(seed=11, count=50, days=4), days=4))
    url = sqlite_store.url.render_as_string()
    with server(url) as (_process, address):
        with sqlite_store.write() as tx:
            link = door(sqlite_store).accounts.first_link(tx, by=Actor.system("test"))
        assert link is not None
        visit.page.goto(f"{address}/link/{link.token}")
        visit.page.get_by_role("button", name="Open the dashboard").click()
        visit.settle()
        expect(visit.page.locator(FIGURES)).to_have_count(8)
        (cookie,) = [one for one in visit.page.context.cookies() if one["name"] == COOKIE]
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        visit.page.get_by_role("button", name="Sign out").click()
        expect(visit.page.get_by_role("heading", name="You are signed out")).to_be_visible()
        visit.page.reload()
        expect(visit.page.get_by_role("button", name="Sign in")).to_be_visible()
        visit.page.goto(f"{address}/link/{link.token}")
        expect(visit.page.get_by_role("heading", name="This link does not work any more")).to_be_visible()


def test_a_link_from_another_site_reaches_a_page_without_signing_in_again(
    visit: Visit, dashboard: Dashboard
) -> None:
    visit.page.goto("data:text/html," + quote(f'<a id="to" href="{dashboard.url}/requests?range=24h">go</a>'))
    visit.page.locator("#to").click()
    visit.page.wait_for_url("**/requests?range=24h")
    visit.settle()
    expect(visit.page.locator(".st-key-log")).to_be_visible()


def test_a_session_that_is_ended_elsewhere_ends_here(
    visit: Visit, dashboard: Dashboard, sqlite_store: Store
) -> None:
    visit.open(dashboard.url)
    found = door(sqlite_store)
    with sqlite_store.write() as tx:
        for account in found.accounts.list(tx):
            found.sessions.end_all(tx, account.id, by=Actor.system("test"))
    expect(visit.page.get_by_role("heading", name="You are signed out")).to_be_visible()


def test_every_page_stands_on_a_phone_in_the_dark_and_asks_nobody_else(
    visit: Visit, dashboard: Dashboard
) -> None:
    visit.page.emulate_media(color_scheme="dark")
    visit.page.set_viewport_size({"width": 390, "height": 844})
    for entry in entries():
        visit.open(f"{dashboard.url}/{entry.address}")
        expect(visit.page.get_by_test_id("stSkeleton")).to_have_count(0)
        expect(visit.page.get_by_role("heading").first).to_be_visible()
        expect(visit.page.get_by_test_id("stException")).to_have_count(0)
        page = visit.page.locator('[data-testid="stMain"]')
        wide = page.evaluate("element => element.scrollWidth - element.clientWidth")
        assert wide <= 1, f"{entry.address} is wider than a phone"


def test_the_way_over_an_identity_provider_on_another_site_leads_in(
    visit: Visit, sqlite_store: Store
) -> None:
    write(sqlite_store, recent(some(seed=11, count=50, days=4), days=4))
    with oidc_provider(now=lambda: wall_clock().timestamp()) as provider:
        variables = {
            "TOLLKEEPER_DASHBOARD_SIGN_IN": "oidc",
            "TOLLKEEPER_DASHBOARD_OIDC_ISSUER": provider.issuer,
            "TOLLKEEPER_DASHBOARD_OIDC_CLIENT_ID": CLIENT_ID,
            "TOLLKEEPER_DASHBOARD_OIDC_VIEWERS": "*@example.com",
            "TOLLKEEPER_OIDC_CLIENT_SECRET": CLIENT_SECRET,
        }
        with server(sqlite_store.url.render_as_string(), **variables) as (_process, address):
            visit.page.goto(f"{address.replace('127.0.0.1', 'localhost')}/requests?range=24h")
            visit.page.get_by_role("link", name="Sign in with your organisation").click()
            visit.page.wait_for_url("**/requests?range=24h")
            visit.settle()
            expect(visit.page.locator(".st-key-log")).to_be_visible()
            cookies = {one["name"]: one for one in visit.page.context.cookies()}
            assert (cookies[COOKIE]["httpOnly"], cookies[COOKIE]["sameSite"]) == (True, "Strict")
            assert JOURNEY_COOKIE not in cookies
            assert visit.hosts == {"localhost", "127.0.0.1"}
            visit.page.goto(
                "about:blank"
            )  # it goes on asking the dashboard, which is `localhost` in this test
            visit.hosts.remove("localhost")
