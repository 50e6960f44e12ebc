"""One walk through everything, as a new user with a browser: from the link that `tollkeeper up` prints to signing out.

Key, first request, budget, refusals, alert, export, a viewer's account. Every number on a page is held against the
command line's, and the browser must have asked nobody but the dashboard.
"""

import csv
import json
import re
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from playwright.sync_api import expect

from dashboard import formats
from dashboard.door import COOKIE
from tests.support.browser import TIMEOUT_MS, Screen, chromium, screen
from tests.support.processes import Running, run, tollkeeper_up

WALK_S = 600
PATIENCE_S = 60.0
KEY = "support-bot"
MODEL = "gpt-4o-mini"
HELLO: list[Any] = [{"role": "user", "content": "Say hello"}]
LIMIT = Decimal("0.0002")
LIMIT_NANOS = 200_000
MOST_ANSWERS = 100
REFUSALS = 3
PASSWORD = "a few words will do"
FIGURES = '.st-key-figures [data-testid="stMetric"]'


@pytest.mark.timeout(WALK_S)
def test_a_new_user_walks_from_the_first_link_to_signing_out(tmp_path: Path) -> None:
    with chromium() as browser, tollkeeper_up(tmp_path, "--dashboard-port", "0") as up:
        link = re.search(r"Dashboard +(http://\S+?)(/link/\S+)", "".join(up.output))
        assert link is not None, up.output
        url, path = link.groups()
        expect.set_options(timeout=TIMEOUT_MS)
        with screen(browser, url, pictures=tmp_path) as mine:
            enter(mine, path)
            wait_for_the_first_request(mine, up)
            token = make_a_key(mine)
            client = connected(up, token)
            first_request_appears(mine, client)
            make_a_budget(mine)
            answered = exhaust(client, tmp_path)
            requests_show_it(mine, answered=answered)
            budget_shows_it(mine, tmp_path)
            alert_shows_it(mine)
            export_adds_up(mine, tmp_path)
            invitation = invite_a_viewer(mine)
            with screen(browser, url, pictures=tmp_path) as theirs:
                a_viewer_looks_and_cannot_act(theirs, invitation, tmp_path)
                signing_out_ends_the_session(theirs)
            mine.open()
            expect(mine.page.locator(FIGURES)).to_have_count(8)


def tollkeeper(folder: Path, *arguments: str) -> Any:
    """What a command says as JSON."""
    done = run(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def nanos(usd: str) -> int:
    """An amount as a page or a command writes it."""
    return int(Decimal(usd.replace("$", "").replace(",", "")) * 10**9)


def enter(mine: Screen, path: str) -> None:
    """The printed link works from the moment it is printed: it makes the newcomer the administrator."""
    mine.page.goto(f"{mine.url}{path}")
    mine.picture("01-link")
    mine.press("Open the dashboard")
    mine.settle()


def wait_for_the_first_request(mine: Screen, up: Running) -> None:
    """The first page says what to paste, with this relay's address."""
    expect(mine.text("Waiting for the first request")).to_be_visible()
    expect(mine.page.get_by_test_id("stCode").first).to_contain_text(f"{up.url}/v1/chat/completions")
    mine.picture("02-first-run")


def make_a_key(mine: Screen) -> str:
    """A virtual key; its text is shown once and never again."""
    mine.go("Keys")
    mine.unfold("New key", button="Create key")
    mine.write("new-key", name=KEY)
    mine.picture("03-new-key")
    mine.press("Create key")
    token = mine.page.get_by_test_id("stCode").first.inner_text().strip()
    assert re.fullmatch(r"tk_\w+", token)
    expect(mine.page.get_by_test_id("stCode").nth(1)).to_contain_text(f"Bearer {token}")
    mine.picture("04-key-shown-once")
    mine.press("I have copied it")
    expect(mine.page.get_by_test_id("stCode")).to_have_count(0)
    mine.settle()
    mine.picture("05-keys")
    assert KEY in [row["Name"] for row in mine.grid("keys")]
    assert token not in mine.page.content()
    return token


def connected(up: Running, token: str) -> openai.OpenAI:
    """The SDK with the new key, once the relay knows it."""
    client = openai.OpenAI(base_url=f"{up.url}/v1", api_key=token)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            client.models.list()
        except openai.AuthenticationError:
            assert time.monotonic() < deadline, "the relay does not know the key"
        else:
            return client


def first_request_appears(mine: Screen, client: openai.OpenAI) -> None:
    """The page that waits becomes the overview by itself, and the request stands in it."""
    mine.go("Overview", heading="Send the first request")
    expect(mine.text("Waiting for the first request")).to_be_visible()
    client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=60)
    expect(mine.page.locator(FIGURES)).to_have_count(8)
    expect(mine.cells("latest", KEY)).to_have_count(1)
    expect(mine.figure("Requests")).to_have_text("1")
    mine.settle()
    mine.picture("06-first-request")
    (row,) = mine.grid("latest")
    assert (row["Key"], row["Model"], row["Outcome"]) == (KEY, MODEL, "ok"), row
    assert nanos(row["Cost"]) > 0


def make_a_budget(mine: Screen) -> None:
    """So small that a few answers use it up; the key is named as people name it."""
    mine.go("Budgets")
    mine.unfold("New budget", button="Create budget")
    mine.choose("new-scope", "key")
    mine.write("new", id=KEY, limit=f"{LIMIT}")
    mine.choose("new-window", "total")
    mine.picture("07-new-budget")
    mine.press("Create budget")
    expect(mine.cells("budgets", f"key {KEY}")).to_have_count(1)
    mine.settle()
    mine.picture("08-budget")
    (row,) = mine.grid("budgets")
    assert (row["Window"], row["Mode"], nanos(row["Limit"])) == ("total", "hard", LIMIT_NANOS)


def exhaust(client: openai.OpenAI, folder: Path) -> int:
    """Ask until the budget refuses, and twice more; the SDK tries none of the refused again. How many were answered."""
    answered = 1
    refusals: list[tuple[str | None, str]] = []
    while len(refusals) < REFUSALS and answered < MOST_ANSWERS:
        try:
            client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=60)
            answered += 1
        except openai.RateLimitError as error:
            refusals.append((error.code, error.message))
    assert [code for code, _ in refusals] == ["budget_exceeded"] * REFUSALS
    assert all(f"its limit is {LIMIT} USD in total" in message for _, message in refusals)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        total = tollkeeper(folder, "usage", "--key", KEY)["total"]
        if total["requests"] == answered + REFUSALS:
            assert total["refused_requests"] == REFUSALS
            return answered
        assert total["requests"] < answered + REFUSALS, "a refused request was tried again"
        assert time.monotonic() < deadline, f"{total['requests']} of {answered + REFUSALS} requests"


def requests_show_it(mine: Screen, *, answered: int) -> None:
    """The spending and the refusals in the log, and one refusal from near."""
    mine.go("Requests")
    mine.page.get_by_text("Live", exact=True).click()
    expect(mine.cells("log", "rejected_budget")).to_have_count(REFUSALS)
    expect(mine.cells("log", "ok")).to_have_count(answered)
    mine.picture("09-requests")
    rows = [row for row in mine.grid("log") if row["Key"] == KEY]
    assert [row["Outcome"] for row in rows] == ["rejected_budget"] * REFUSALS + ["ok"] * answered
    mine.open("/requests")
    expect(mine.cells("log", "rejected_budget")).to_have_count(REFUSALS)
    mine.page.locator(".st-key-log .dvn-scroller").click(position={"x": 60, "y": 50})
    mine.page.wait_for_url("**/request?id=*")
    mine.settle()
    expect(mine.text("budget_exceeded")).to_be_visible()
    mine.picture("10-refusal")


def budget_shows_it(mine: Screen, folder: Path) -> None:
    """Used up: what is left pays for no further answer; to the nano-dollar as the command line says."""
    mine.go("Budgets")
    deadline = time.monotonic() + PATIENCE_S
    while True:  # what an idle relay still holds flows back, so the two readings may be of different moments
        mine.open("/budgets")
        (row,) = mine.grid("budgets")
        (budget,) = tollkeeper(folder, "budgets", "list")
        assert nanos(row["Spent"]) == nanos(budget["spent_usd"]) > LIMIT_NANOS * 0.5
        if nanos(row["Left"]) == nanos(budget["remaining_usd"]):
            break
        assert time.monotonic() < deadline, (
            f"the page says {row['Left']}, the command {budget['remaining_usd']}"
        )
    mine.picture("11-budget-used")


def alert_shows_it(mine: Screen) -> None:
    """The rule that every store begins with has told of it."""
    mine.go("Alerts")
    expect(mine.cells(None, "Budget used").first).to_be_attached()
    mine.settle()
    mine.picture("12-alert")
    rows = [row for row in mine.grid() if row["Rule"] == "Budget used"]
    assert any(KEY in row["About"] for row in rows), rows


def export_adds_up(mine: Screen, folder: Path) -> None:
    """The file of the page, the command and the headline are one sum."""
    mine.go("Requests")
    with mine.page.expect_download() as started:
        mine.page.get_by_role("link", name="CSV").click()
    started.value.save_as(folder / "requests.csv")
    with (folder / "requests.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    total = tollkeeper(folder, "usage")["total"]
    cost = sum(int(row["cost_nanos"] or 0) for row in rows)
    assert cost == nanos(total["cost_usd"]) > 0
    assert sum(row["final"] == "true" for row in rows) == total["requests"]
    mine.go("Overview")
    expect(mine.figure("Spend")).to_have_text(formats.short_usd(cost))
    expect(mine.figure("Requests")).to_have_text(f"{total['requests']}")
    mine.picture("13-overview")


def invite_a_viewer(mine: Screen) -> str:
    """The path of a link with which a colleague sets a password."""
    mine.go("Accounts")
    mine.unfold("New account", button="Create account")
    mine.write("account", name="Vera")
    mine.press("Create account")
    link = mine.page.get_by_test_id("stCode").first.inner_text().strip()
    mine.picture("14-invitation")
    assert link.startswith(f"{mine.url}/link/")
    return link.removeprefix(mine.url)


def a_viewer_looks_and_cannot_act(theirs: Screen, invitation: str, folder: Path) -> None:
    """The same numbers; no form, no button, no page that changes anything."""
    theirs.page.goto(f"{theirs.url}{invitation}")
    theirs.page.get_by_label("New password").fill(PASSWORD)
    theirs.picture("15-set-password")
    theirs.press("Set it and sign in")
    theirs.settle()
    expect(theirs.text("Viewer: may look, not change")).to_be_visible()
    total = tollkeeper(folder, "usage")["total"]
    expect(theirs.figure("Spend")).to_have_text(formats.short_usd(nanos(total["cost_usd"])))
    theirs.picture("16-viewer")
    for title, table in (("Keys", "keys"), ("Budgets", "budgets"), ("Alerts", None)):
        theirs.go(title)
        assert KEY in str(theirs.grid(table))
        expect(theirs.page.get_by_test_id("stForm")).to_have_count(0)
        expect(theirs.page.get_by_test_id("stExpander")).to_have_count(0)
        theirs.picture(f"17-viewer-{table}")
    expect(theirs.page.get_by_role("link", name="Audit")).to_have_count(0)


def signing_out_ends_the_session(theirs: Screen) -> None:
    """On the server too: the cookie is worth nothing afterwards."""
    (cookie,) = [one for one in theirs.page.context.cookies() if one["name"] == COOKIE]
    address, sent = f"{theirs.url}/files/requests", {COOKIE: str(cookie["value"])}
    assert httpx.get(address, cookies=sent, timeout=PATIENCE_S, trust_env=False).status_code == 200
    theirs.press("Sign out")
    expect(theirs.page.get_by_role("heading", name="You are signed out")).to_be_visible()
    expect(theirs.page.get_by_role("link", name="Sign in again")).to_be_visible()
    expect(theirs.page.get_by_text("TypeError")).to_have_count(0)
    theirs.picture("18-signed-out")
    assert httpx.get(address, cookies=sent, timeout=PATIENCE_S, trust_env=False).status_code == 401
