"""A real Chromium, and a screen of it: what a person sees, clicks and types, and whom the browser asked for it.

The system's Chromium, or the one of Playwright. Where there is none the tests are skipped, except in CI. Everything is
waited for, for as long as a slow machine may need.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from playwright.sync_api import Browser, Error, Locator, Page, expect, sync_playwright

TIMEOUT_MS = 60_000
REOPEN_MS = 5_000
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
POLICY = "Content Security Policy"
READY = '[data-testid="stApp"][data-test-connection-state="CONNECTED"][data-test-script-state="notRunning"]'


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, until the end; a skip where none is installed."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or playwright.chromium.executable_path
        if not Path(path).exists():
            assert not os.environ.get("CI"), "CI installs a Chromium; there is none"
            pytest.skip("no Chromium: install Debian's `chromium`, or run `playwright install chromium`")
        launched = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield launched
        launched.close()


class Screen(msgspec.Struct, frozen=True):
    """A page of one browser session: whom it asked, and what broke: scripts, or the content policy.

    *hosts* are ``host:port`` of every request and every WebSocket; *pictures* is where `picture` writes, if anywhere.
    """

    page: Page
    url: str
    hosts: set[str]
    complaints: list[str]
    pictures: Path | None

    def open(self, path: str = "/") -> None:
        """Go to a page of the dashboard by its address."""
        self.page.goto(f"{self.url}{path}")
        self.settle()

    def go(self, title: str, *, heading: str | None = None) -> None:
        """Go to a page by the menu; its *heading* where that is not its name there."""
        self.page.get_by_test_id("stSidebarNav").get_by_role("link", name=title, exact=True).click()
        expect(self.page.get_by_role("heading", name=heading or title, exact=True)).to_be_visible()
        self.settle()

    def settle(self) -> None:
        """Wait until the script has run."""
        self.page.wait_for_selector(READY)

    def unfold(self, title: str, *, button: str) -> None:
        """Unfold a form that ends with *button*, and wait until the whole of it is there."""
        self.page.get_by_text(title, exact=True).click()
        self.page.get_by_role("button", name=button, exact=True).click(trial=True)

    def write(self, form: str, **fields: str) -> None:
        """Type into the text fields of a form, by their key."""
        for key, text in fields.items():
            self.page.locator(f".st-key-{form}-{key} input").fill(text)

    def choose(self, key: str, option: str) -> None:
        """Take an option of a select box; its list closes when the page is drawn anew, and is opened again."""
        field = self.page.locator(f".st-key-{key} input")
        for _ in range(TIMEOUT_MS // REOPEN_MS):
            field.click()
            with suppress(Error):
                self.page.get_by_role("option", name=option, exact=True).click(timeout=REOPEN_MS)
                break
        expect(field).to_have_value(option)

    def press(self, name: str) -> None:
        """Click a button."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def text(self, words: str) -> Locator:
        """Some text of the page, the first there is."""
        return self.page.get_by_text(words).first

    def figure(self, label: str) -> Locator:
        """The value of a headline figure."""
        metric = self.page.get_by_test_id("stMetric").filter(has_text=label).first
        return metric.get_by_test_id("stMetricValue")

    def grid(self, key: str | None = None) -> list[dict[str, str]]:
        """The rows of a table as they are shown, without those that are scrolled away; the grid draws on a canvas
        and says in a hidden table what."""
        table = self.page.locator(f"{_of(key)} canvas table")
        table.first.wait_for(state="attached")
        labels, *rows = table.first.evaluate(
            "table => [...table.rows].map(row => [...row.cells].map(cell => cell.innerText || cell.textContent))"
        )
        return [dict(zip(labels, row, strict=False)) for row in rows]

    def cells(self, key: str | None, text: str) -> Locator:
        """The cells of a table that say exactly *text*; they are not what is visible, but what is drawn."""
        return self.page.locator(f"{_of(key)} canvas td").filter(has_text=re.compile(f"^{re.escape(text)}$"))

    def picture(self, name: str) -> None:
        """Keep what is on the screen."""
        if self.pictures is not None:
            self.page.screenshot(path=self.pictures / f"{name}.png", full_page=True)


def _of(key: str | None) -> str:
    """Where an element with this key is; a table in which nothing can be chosen has none."""
    return "main" if key is None else f".st-key-{key}"


@contextmanager
def screen(browser: Browser, url: str, *, pictures: Path | None = None) -> Iterator[Screen]:
    """A browser session that nobody has signed in to. In the end: nothing broke, and nobody else was asked."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(TIMEOUT_MS)
    found = Screen(context.new_page(), url, set(), [], pictures)
    context.on("request", lambda request: found.hosts.add(urlsplit(request.url).netloc))
    found.page.on("websocket", lambda one: found.hosts.add(urlsplit(one.url).netloc))
    found.page.on("console", lambda said: found.complaints.append(said.text) if POLICY in said.text else None)
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    try:
        yield found
        expect(found.page.get_by_test_id("stException")).to_have_count(0)
    finally:
        context.close()
    assert found.hosts <= {urlsplit(url).netloc, ""}
    assert found.complaints == []
