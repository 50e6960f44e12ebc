"""Clicks in a real browser: a row of the log opens what the person saw, and signing out leaves nothing behind.

Needs a Chromium, as `test_browser` does.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from dashboard.door import COOKIE
from service.ledger.record import RequestRecord
from service.reporting.rows import RequestFilter, list_requests
from service.store.engine import Store
from tests.support.browser import TIMEOUT_MS, Screen, chromium, screen
from tests.support.dashboards import Dashboard, recent, running
from tests.support.records import some, write

ROW_PX, HEAD_PX = 35, 36
LATER_MS = 1_500
"""Longer than a page of the log is kept."""


@pytest.fixture
def records() -> list[RequestRecord]:
    return recent(some(seed=11, count=60, days=1), days=1)


@pytest.fixture
def visit(sqlite_store: Store, records: list[RequestRecord]) -> Iterator[tuple[Screen, Dashboard]]:
    """A browser with the cookie of somebody, on a dashboard with all records but the newest one."""
    newest = max(records, key=lambda record: record.started_at)
    write(sqlite_store, [record for record in records if record.request_id != newest.request_id])
    expect.set_options(timeout=TIMEOUT_MS)
    with (
        running(sqlite_store.url.render_as_string()) as dashboard,
        chromium() as browser,
        screen(browser, dashboard.url) as found,
    ):
        cookie = {"name": COOKIE, "value": dashboard.token, "url": dashboard.url, "sameSite": "Strict"}
        found.page.context.add_cookies([cookie])  # type: ignore[list-item]
        yield found, dashboard


def click(found: Screen, row: int, *, key: str = "log") -> None:
    """Click the first cell of a row, with a mouse that was there before, as a hand has it."""
    place = {"x": 60, "y": HEAD_PX + ROW_PX * row + ROW_PX // 2}
    grid = found.page.locator(f".st-key-{key} .dvn-scroller")
    grid.hover(position=place)  # type: ignore[arg-type]
    found.page.wait_for_timeout(300)
    grid.click(position=place)  # type: ignore[arg-type]


def shown(store: Store, limit: int) -> list[str]:
    with store.read() as tx:
        return [row["request_id"] for row in list_requests(tx, RequestFilter(), limit=limit).data]


def test_a_click_opens_the_row_that_was_seen_not_the_one_that_came_meanwhile(
    visit: tuple[Screen, Dashboard], sqlite_store: Store, records: list[RequestRecord]
) -> None:
    found, _ = visit
    found.open("/requests?range=7d")
    seen = shown(sqlite_store, 3)[2]
    assert write(sqlite_store, records) > 0
    assert shown(sqlite_store, 3)[2] != seen
    found.page.wait_for_timeout(LATER_MS)
    click(found, 2)
    found.page.wait_for_url(f"**/request?id={seen}")


def test_the_first_click_in_a_live_log_opens_a_request(
    visit: tuple[Screen, Dashboard], sqlite_store: Store
) -> None:
    found, _ = visit
    found.open("/requests?range=7d")
    found.page.get_by_text("Live", exact=True).click()
    found.page.wait_for_url("**live=true**")
    found.settle()
    click(found, 0)
    found.page.wait_for_url(f"**/request?id={shown(sqlite_store, 1)[0]}")


def test_a_click_on_what_was_spent_opens_its_requests(visit: tuple[Screen, Dashboard]) -> None:
    found, _ = visit
    found.open("/spend?range=30d&by=Project")  # not the range that is chosen by itself
    projects = [row["Project"] for row in found.grid("breakdown")]
    project = next(one for one in projects if not one.startswith("("))
    click(found, projects.index(project), key="breakdown")
    found.page.wait_for_url(f"**/requests?**project={project}**")
    found.settle()
    expect(found.page.locator(".st-key-project")).to_contain_text(project)
    expect(found.page.locator(".st-key-range").get_by_role("radio", name="30d")).to_be_checked()


def test_who_signed_out_sees_neither_the_menu_nor_a_name(visit: tuple[Screen, Dashboard]) -> None:
    found, _ = visit
    found.open("/keys")
    expect(found.page.get_by_test_id("stSidebarNav")).to_be_visible()
    expect(found.page.get_by_text("somebody")).to_have_count(1)
    found.press("Sign out")
    expect(found.page.get_by_role("heading", name="You are signed out")).to_be_visible()
    expect(found.page.get_by_test_id("stSidebarNav")).to_have_count(0)
    expect(found.page.get_by_text("somebody")).to_have_count(0)
    expect(found.page.get_by_text("Page not found")).to_have_count(0)
    found.page.get_by_role("link", name="Sign in again").click()
    expect(found.page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_made_key_folds_its_form_and_empties_it(visit: tuple[Screen, Dashboard]) -> None:
    found, _ = visit
    found.open("/keys")
    found.unfold("New key", button="Create key")
    found.write("new-key", name="one")
    found.press("Create key")
    expect(found.page.get_by_text("Copy this key now")).to_be_visible()
    found.settle()
    expect(found.page.get_by_role("button", name="Create key", exact=True)).to_be_hidden()
    found.press("I have copied it")
    found.settle()
    found.unfold("New key", button="Create key")
    expect(found.page.locator(".st-key-new-key-name input")).to_have_value("")
