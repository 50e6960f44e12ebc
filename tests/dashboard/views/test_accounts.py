"""Accounts: one's own password, who else may come in, and links that are shown once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

import dashboard.app
from dashboard.context import Context, current, install
from dashboard.door import COOKIE, Door
from dashboard.viewer import Viewer
from service.accounts.values import Account, Client, Role
from service.audit.actor import Actor
from service.store.engine import Store
from tests.dashboard.conftest import OpenPage
from tests.dashboard.pages import press, refusals
from tests.support.dashboards import door as make_door

BY = Actor.system("test")
PASSWORD = "correct horse battery"
Enter = Callable[..., AppTest]


@pytest.fixture
def door(sqlite_store: Store) -> Door:
    return make_door(sqlite_store)


@pytest.fixture
def enter(door: Door, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> Enter:
    """Opens the page as somebody with a session."""

    def make(*, name: str = "Ada", role: Role = "admin", password: str | None = None) -> AppTest:
        open_page(door.store, "accounts")
        known = {account.name: account for account in accounts(door)}
        if name not in known:
            with door.store.write() as tx:
                link = door.accounts.create(tx, name=name, role=role, by=BY).link
            if password is not None:
                door.sign_in.with_link(link.token, password, client=Client())
        account = {one.name: one for one in accounts(door)}[name]
        with door.store.write() as tx:
            token = door.sessions.begin(tx, account.id, client=Client("198.51.100.7")).token
        monkeypatch.setattr(type(st.context), "cookies", {COOKIE: token})
        context: Context = msgspec.structs.replace(current(), door=door, who=door.viewer)
        install(context)
        page = AppTest.from_file(Path(dashboard.app.__file__), default_timeout=60)
        page._page_hash = calc_hash("accounts")
        found = page.run()
        assert not found.exception
        return found

    return make


def accounts(door: Door) -> list[Account]:
    with door.store.read() as tx:
        return door.accounts.list(tx)


def texts(page: Any) -> str:
    return "\n".join(text.value for text in page.text)


def test_who_came_by_a_link_sets_a_password_without_an_old_one(door: Door, enter: Enter) -> None:
    page = enter()
    assert "no password yet" in page.warning[0].value
    page.text_input(key="new-password").set_value("short")
    page = press(page, "Set password")
    assert "12 to 256 characters" in refusals(page)
    page.text_input(key="new-password").set_value(PASSWORD)
    press(page, "Set password")
    signed_in = door.sign_in.with_password("Ada", PASSWORD, client=Client())
    assert getattr(signed_in, "account", None) is not None


def test_a_password_is_changed_only_by_who_knows_it(door: Door, enter: Enter) -> None:
    page = enter(password=PASSWORD)
    for old, word in (("wrong wrong wrong", "wrong"), (PASSWORD, "")):
        page.text_input(key="old-password").set_value(old)
        page.text_input(key="new-password").set_value("another long password")
        page = press(page, "Set password")
        assert word in refusals(page)
    answer = door.sign_in.with_password("Ada", "another long password", client=Client())
    assert getattr(answer, "account", None) is not None


def test_an_admin_makes_an_account_whose_link_is_shown_once(door: Door, enter: Enter) -> None:
    page = enter()
    page.text_input(key="account-name").set_value("Bo")
    page = press(page, "Create account")
    token = page.code[0].value.rpartition("/link/")[2]
    with door.store.read() as tx:
        link = door.accounts.find_link(tx, token)
    assert link is not None
    assert {account.name: account.role for account in accounts(door)} == {"Ada": "admin", "Bo": "viewer"}
    page = press(page, "I have copied it")
    assert token not in str([code.value for code in page.code])


def test_who_is_here_is_not_merely_invited(door: Door, enter: Enter) -> None:
    with door.store.write() as tx:
        door.accounts.create(tx, name="Bo", role="viewer", by=BY)
    said = texts(enter())
    assert "Bo · viewer · invited" in said
    assert "Ada · admin · no password yet" in said
    assert "Ada · admin · invited" not in said


def test_a_made_account_leaves_its_form_folded_and_empty(door: Door, enter: Enter) -> None:
    page = enter()
    page.text_input(key="account-name").set_value("Bo")
    page = press(page, "Create account")
    assert page.session_state["new-account-panel"] is False
    assert page.text_input(key="account-name").value == ""
    press(page, "Create account")
    assert [account.name for account in accounts(door)].count("Bo") == 1
    assert len(accounts(door)) == 2


def test_an_admin_changes_a_role_and_disables(door: Door, enter: Enter) -> None:
    with door.store.write() as tx:
        bo = door.accounts.create(tx, name="Bo", role="viewer", by=BY).account
    page = press(enter(), "Make admin")
    assert {one.name: one.role for one in accounts(door)}["Bo"] == "admin"
    page = press(page, "Disable")
    assert "Bo · admin · disabled" in texts(page)
    press(page, "Enable")
    with door.store.read() as tx:
        assert door.accounts.get(tx, bo.id).disabled_at is None


def test_a_viewer_sees_only_their_own(door: Door, enter: Enter) -> None:
    with door.store.write() as tx:
        door.accounts.create(tx, name="Bo", role="admin", by=BY)
    page = enter(role="viewer")
    assert "Bo" not in texts(page)
    assert {button.label for button in page.button} == {"Sign out", "Set password"}


def test_signing_out_ends_the_session_and_the_page(door: Door, enter: Enter) -> None:
    page = press(enter(), "Sign out")
    assert page.header[0].value == "You are signed out"
    assert not page.sidebar.children
    with door.store.read() as tx:
        assert door.sessions.list(tx) == []
    assert page.run().header[0].value == "You are signed out"


def test_nobody_signs_in_where_it_is_switched_off(sqlite_store: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_store, "accounts", viewer=Viewer(id="local", name="local", role="admin"))
    assert "Nobody signs in" in page.info[0].value
