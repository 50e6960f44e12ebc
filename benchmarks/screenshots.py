"""Pictures of a running dashboard for the documentation: every page, 1280 and 390 pixels wide, light and dark.

    tollkeeper demo &      # prints the address of the dashboard with a one-time link
    .venv/bin/python benchmarks/screenshots.py --url http://127.0.0.1:8501/link/… --into docs/images

The session of the link is kept in a file (``--session``), for the next run. Uses the Chromium of the system, or the
one of Playwright where it is installed.
"""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS = {"wide": (1280, 860), "narrow": (390, 844)}
PAGES = {
    "overview": "/?range=7d",
    "spend": "/spend?range=30d",
    "usage": "/usage?range=7d",
    "requests": "/requests?range=7d",
    "request": "/requests?outcome=ok",
    "keys": "/keys",
    "budgets": "/budgets",
    "alerts": "/alerts",
    "rules": "/alerts?section=Rules",
    "accounts": "/accounts",
    "audit": "/audit",
    "prices": "/prices",
    "reconcile": "/reconcile",
    "health": "/health",
    "settings": "/settings",
}
SETTLE_MS = 1_500
TIMEOUT_MS = 60_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser that asks nobody but the page's own server."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def settle(page: Page) -> None:
    """Wait until the script has run and the charts are drawn."""
    connected = '[data-testid="stApp"][data-test-connection-state="CONNECTED"]'
    page.wait_for_selector(connected, timeout=TIMEOUT_MS)
    page.wait_for_selector(f'{connected}[data-test-script-state="notRunning"]', timeout=TIMEOUT_MS)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=TIMEOUT_MS)
    page.wait_for_timeout(SETTLE_MS)


def open_first(page: Page) -> None:
    """Click the time of the first request in the log; the cells are drawn on a canvas."""
    page.locator(".st-key-log .dvn-scroller").click(position={"x": 60, "y": 55})
    page.wait_for_url("**/request?id=*", timeout=TIMEOUT_MS)
    settle(page)


def whole(page: Page, *, width: int) -> None:
    """Make the window as high as what the page holds."""
    inside = page.locator('[data-testid="stMain"]')
    height = inside.evaluate("element => element.scrollHeight")
    page.set_viewport_size({"width": width, "height": min(int(height) + 8, 4_000)})
    page.wait_for_timeout(SETTLE_MS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8501", help="with the one-time link at first")
    parser.add_argument("--session", type=Path, default=Path("screenshots-session.json"))
    parser.add_argument("--into", type=Path, default=Path("docs/images"))
    parser.add_argument("--only", default="", help="part of the name of the pictures to take")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        if "/link/" in options.url:
            sign_in(browser, options)
        for scheme in ("light", "dark"):
            for size, (width, height) in WIDTHS.items():
                take(browser, options, scheme=scheme, size=size, window=(width, height))


def sign_in(browser: Browser, options: argparse.Namespace) -> None:
    """Use the one-time link, and keep the session."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.goto(options.url)
    page.screenshot(path=options.into / "welcome-wide-light.png")
    page.get_by_role("button", name="Open the dashboard").click()
    settle(page)
    context.storage_state(path=options.session)
    options.url = options.url.partition("/link/")[0]
    context.close()


def take(
    browser: Browser, options: argparse.Namespace, *, scheme: str, size: str, window: tuple[int, int]
) -> None:
    """All pages in one colour scheme and one size."""
    context = browser.new_context(
        viewport={"width": window[0], "height": window[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=1,
        storage_state=options.session if options.session.exists() else None,
    )
    for name, path in PAGES.items():
        picture = options.into / f"{name}-{size}-{scheme}.png"
        if options.only in picture.name:
            page = context.new_page()
            page.goto(options.url + path)
            settle(page)
            if name == "request":
                open_first(page)
            whole(page, width=window[0])
            page.screenshot(path=picture)
            print(picture)
            page.close()
    context.close()


if __name__ == "__main__":
    main()
