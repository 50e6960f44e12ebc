"""The pages and their addresses, in the order of the menu."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import NoReturn

import msgspec
import streamlit as st

from dashboard.context import viewer

OVERVIEW, REQUESTS, REQUEST, KEYS, ALERTS = "overview", "requests", "request", "keys", "alerts"


class Entry(msgspec.Struct, frozen=True):
    """A page: its address, which is also the name of its module, its title, its icon, and whether it only shows."""

    address: str
    title: str
    icon: str
    hidden: bool = False
    admins_only: bool = False


MENU: Mapping[str, tuple[Entry, ...]] = {
    "": (
        Entry(OVERVIEW, "Overview", "monitoring"),
        Entry("spend", "Spend", "payments"),
        Entry("usage", "Usage", "bar_chart"),
        Entry(REQUESTS, "Requests", "list_alt"),
        Entry(REQUEST, "Request", "receipt_long", hidden=True),
    ),
    "Control": (
        Entry(KEYS, "Keys", "key"),
        Entry("budgets", "Budgets", "savings"),
        Entry(ALERTS, "Alerts", "notifications"),
    ),
    "Books": (
        Entry("prices", "Prices", "sell"),
        Entry("reconcile", "Reconcile", "balance"),
    ),
    "System": (
        Entry("accounts", "Accounts", "group"),
        Entry("audit", "Audit", "history_edu", admins_only=True),
        Entry("health", "Health", "vital_signs"),
        Entry("settings", "Settings", "settings", admins_only=True),
    ),
}


def entries() -> list[Entry]:
    """Every page that exists."""
    return [entry for section in MENU.values() for entry in section]


def menu() -> dict[str, list[st.Page]]:
    """The pages of this viewer by section."""
    pages = all_pages()
    return {
        section: [pages[entry.address] for entry in found if entry.address in pages]
        for section, found in MENU.items()
    }


def all_pages() -> dict[str, st.Page]:
    """Every page of this viewer by its address; the one of a single request is reached by links only."""
    allowed = viewer().may_act
    return {
        entry.address: st.Page(
            _show(entry.address),
            title=entry.title,
            icon=f":material/{entry.icon}:",
            url_path=entry.address,
            default=entry.address == OVERVIEW,
            visibility="hidden" if entry.hidden else "visible",
        )
        for entry in entries()
        if allowed or not entry.admins_only
    }


def without_menu(show: Callable[[], None]) -> st.Page:
    """No menu: every address leads to *show*."""
    pages = [
        st.Page(show, title="Tollkeeper", url_path=entry.address, default=entry.address == OVERVIEW)
        for entry in entries()
    ]
    return st.navigation(pages, position="hidden")


def _show(address: str) -> Callable[[], None]:
    """What draws a page; its module is imported when the page is first opened."""

    def show() -> None:
        import_module(f"dashboard.views.{address}").show()

    show.__name__ = show.__qualname__ = address
    return show


def open_request(identifier: str) -> NoReturn:
    """Go to the page of one request."""
    st.switch_page(all_pages()[REQUEST], query_params={"id": identifier})
