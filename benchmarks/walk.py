"""A person at the dashboard, in a real Chromium: signs in, changes filters, opens pages; each step is timed.

A step begins with the click and ends when the new content is drawn: the script has run, nothing is marked as stale, no
placeholder is left, and what has to change has changed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, BrowserContext, Error, Page

from benchmarks.installation import PASSWORD, Installation

TIMEOUT_MS = 30_000
REST_S = 1.5
IDLE = """(() => {
  const app = document.querySelector('[data-testid="stApp"]');
  const main = document.querySelector('[data-testid="stMain"]');
  return app !== null && main !== null && app.dataset.testScriptState === 'notRunning'
    && app.dataset.testConnectionState === 'CONNECTED'
    && main.querySelector('[data-stale="true"]') === null
    && main.querySelector('[data-testid="stSkeleton"]') === null
    && main.querySelector('[data-testid="stException"]') === null;
})()"""
FIGURES = "[...document.querySelectorAll('[data-testid=stMetricValue]')].map(one => one.innerText)"
HEADING = "(document.querySelector('[data-testid=stMain] h2') || {}).innerText"
ROWS = "[...document.querySelectorAll('%s canvas table tr')].map(row => row.innerText || row.textContent)"


def chart(key: str) -> str:
    """A chart with this key has been drawn."""
    return f"document.querySelector('.st-key-{key} canvas') !== null"


def rows(key: str) -> str:
    """The rows of a table, as text."""
    return ROWS % f".st-key-{key}"


@dataclass
class Walk:
    """A browser session of somebody with an account, and the seconds of each step by its name."""

    page: Page
    url: str
    took_s: dict[str, list[float]]

    def step(self, name: str, act: Callable[[], object], *, until: str, watch: str = "null") -> None:
        """Do *act*, and wait until *until* is true, the page is idle and *watch* says something else than before."""
        before = self.page.evaluate(f"JSON.stringify({watch})")
        begin = time.perf_counter()
        act()
        changed = "true" if watch == "null" else f"JSON.stringify({watch}) !== before"
        try:
            self.page.wait_for_function(
                f"before => ({until}) && {changed} && {IDLE}", arg=before, polling="raf", timeout=TIMEOUT_MS
            )
        except Error as error:
            raise RuntimeError(f"{name}: never drawn; the page is {self.page.url}") from error
        self.took_s.setdefault(name, []).append(time.perf_counter() - begin)

    def rest(self) -> None:
        """What a person needs to look; kept reads get old meanwhile."""
        self.page.wait_for_timeout(REST_S * 1000)

    def open(self, path: str) -> None:
        """By address, without timing."""
        self.page.goto(self.url + path)
        self.page.wait_for_function(IDLE, polling="raf", timeout=TIMEOUT_MS)
        self.rest()

    def menu(self, title: str) -> Callable[[], object]:
        """A click in the menu."""
        navigation = self.page.get_by_test_id("stSidebarNav")
        return navigation.get_by_role("link", name=title, exact=True).click

    def segment(self, key: str, option: str) -> Callable[[], object]:
        """A click on one of the buttons of a choice."""
        return self.page.locator(f".st-key-{key}").get_by_text(option, exact=True).click

    def choice(self, key: str, option: str) -> Callable[[], object]:
        """Take an option of a select box, whose list is open."""
        self.page.locator(f".st-key-{key} input").click()
        found = self.page.get_by_role("option", name=option, exact=True)
        found.wait_for()
        return found.click

    def typed(self, key: str, text: str) -> Callable[[], object]:
        """Enter after a text."""
        field = self.page.locator(f".st-key-{key} input")
        field.fill(text)
        return lambda: field.press("Enter")


@contextmanager
def session(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that has nothing in its cache and has signed in nowhere."""
    # the scripts that watch the steps are not the page's own
    context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    context.set_default_timeout(TIMEOUT_MS)
    try:
        yield context
    finally:
        context.close()


def set_password(browser: Browser, installed: Installation) -> str:
    """Use the one-time link of the account; returns the token of the session it opens."""
    with session(browser) as context:
        page = context.new_page()
        page.goto(installed.link)
        page.locator("input[type=password]").fill(PASSWORD)
        page.get_by_role("button").click()
        page.wait_for_function(IDLE, timeout=TIMEOUT_MS)
        return next(cookie["value"] for cookie in context.cookies() if "session" in cookie["name"])


def sign_in(context: BrowserContext, installed: Installation, took_s: dict[str, list[float]]) -> Walk:
    """Type name and password, as long as a person needs for that; timed from the click to the Overview."""
    page = context.new_page()
    walk = Walk(page, installed.dashboard_url, took_s)
    page.goto(f"{installed.dashboard_url}/login")
    page.locator("input[name=name]").fill(installed.account)
    page.locator("input[type=password]").fill(PASSWORD)
    walk.rest()
    first = f"{FIGURES}.filter(text => text !== '').length >= 8 && {chart('spend')}"
    walk.step("sign-in to Overview", page.get_by_role("button").click, until=first)
    return walk
