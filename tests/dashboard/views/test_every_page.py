"""What holds for every page: it stands on an empty store, shows names as text, and lets a viewer only look."""

from typing import Any

import pytest

from dashboard.context import current
from dashboard.navigation import entries
from service.audit.actor import Actor
from service.audit.trail import AuditFilter
from service.budgets.values import GivenScope, NewBudget
from service.keys.values import NewKey
from service.store.engine import Store
from tests.dashboard.conftest import DAYS, LOOKER, OpenPage
from tests.dashboard.views.test_request import HOSTILE
from tests.support.records import some, write

ADDRESSES = [entry.address for entry in entries()]
WAITING = {"overview", "spend", "usage", "requests"}
BY = Actor.system("test")
ACTS = {
    "keys": ["Create key"],
    "budgets": ["Create budget"],
    "prices": ["Set price"],
    "alerts": [],
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_empty_store_says_what_to_do(sqlite_store: Store, open_page: OpenPage, address: str) -> None:
    page = open_page(sqlite_store, address)
    assert page.header
    if address in WAITING:
        assert "Waiting for the first request" in page.info[0].value


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_name_is_markup(sqlite_store: Store, open_page: OpenPage, address: str) -> None:
    records = some(seed=11, count=60, days=DAYS)
    for record in records:
        record.key_name = record.project = HOSTILE[:90]
        record.requested_model = record.upstream_model = HOSTILE
        record.upstream = record.provider = HOSTILE[:60]
        record.end_user = record.session = HOSTILE
        record.error_type = record.error_code = HOSTILE
    write(sqlite_store, records)
    open_page(sqlite_store, address)
    registries = current().registries
    with sqlite_store.write() as tx:
        made = registries.keys.create(tx, NewKey(name=HOSTILE[:90], project=HOSTILE[:90]), by=BY)
        scope = GivenScope("key", made.key.id)
        registries.budgets.create(tx, NewBudget(scope=scope, limit_usd="1.00", window="month"), by=BY)
    page = open_page(sqlite_store, address, range="30d", by="Project", across="Key")
    assert not [element for element in _markup(page) if "198.51.100.7" in str(element.proto)]


def _markup(page: Any) -> list[Any]:
    kinds = ("markdown", "caption", "header", "subheader", "metric", "info", "warning", "error", "success")
    return [element for kind in kinds for element in getattr(page, kind)]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_viewer_sees_no_button_that_changes_anything(
    sqlite_books: Store, open_page: OpenPage, address: str
) -> None:
    admin = {button.label for button in open_page(sqlite_books, address).button}
    viewer = open_page(sqlite_books, address, viewer=LOOKER)
    labels = {button.label for button in viewer.button}
    for label in ACTS.get(address, []):
        assert label in admin
        assert label not in labels
    for word in ("Create", "Delete", "Revoke", "Rotate", "Set price", "Write", "Mute", "Raise", "Save"):
        assert not [label for label in labels if label.startswith(word)], word


@pytest.mark.parametrize("address", ["audit", "settings"])
def test_some_pages_are_for_administrators_only(
    sqlite_books: Store, open_page: OpenPage, address: str
) -> None:
    assert open_page(sqlite_books, address).header[0].value == address.capitalize()
    assert open_page(sqlite_books, address, viewer=LOOKER).header[0].value != address.capitalize()


def test_the_first_page_leads_to_where_keys_are_made(sqlite_store: Store, open_page: OpenPage) -> None:
    (link,) = open_page(sqlite_store).get("page_link")
    assert link.proto.page == "keys"
    viewer = open_page(sqlite_store, viewer=LOOKER)
    assert not viewer.get("page_link")
    assert "an administrator makes" in viewer.markdown[0].value


def test_opening_every_page_changes_nothing(sqlite_books: Store, open_page: OpenPage) -> None:
    for address in ADDRESSES:
        open_page(sqlite_books, address)
    with sqlite_books.read() as tx:
        assert current().registries.trail.list(tx, AuditFilter(), limit=10) == []
