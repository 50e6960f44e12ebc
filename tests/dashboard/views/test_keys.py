"""Keys: use beside the report, a key that is shown once, and every change written down as the account's."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.context import current
from service.audit.actor import Actor
from service.audit.trail import AuditFilter
from service.keys.values import NewKey, VirtualKey
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store
from tests.dashboard.conftest import DAYS, LOOKER, NOW, OpenPage
from tests.dashboard.pages import nanos, press, refusals, table
from tests.support.records import START, some, write

BY = Actor.system("test")


@pytest.fixture
def used(store: Store, open_page: OpenPage) -> Store:
    """Two keys, of which the first was used."""
    open_page(store, "keys")
    with store.write() as tx:
        first = current().registries.keys.create(tx, NewKey(name="first", project="team-1"), by=BY).key
        current().registries.keys.create(tx, NewKey(name="second", models=["gpt-4o*"]), by=BY)
    records = some(seed=11, count=200, days=DAYS)
    for record in records:
        if record.key_id == "key_a":
            record.key_id = first.id
    write(store, records)
    return store


def stored(store: Store) -> dict[str, VirtualKey]:
    with store.read() as tx:
        return {key.name: key for key in current().registries.keys.list(tx, limit=100)}


def audited(store: Store) -> list[tuple[str, str, str]]:
    with store.read() as tx:
        found = current().registries.trail.list(tx, AuditFilter(), limit=100)
    return [(one.action, one.actor.kind, one.actor.name) for one in found]


def fill(page: AppTest, **fields: Any) -> AppTest:
    for key, value in fields.items():
        widget: Any = next(one for one in (*page.text_input, *page.number_input) if one.key == key)
        widget.set_value(value)
    return page


def test_each_key_stands_beside_what_it_did(used: Store, open_page: OpenPage) -> None:
    shown = table(open_page(used, "keys"), "Last used").set_index("Name")
    key = stored(used)["first"]
    with used.read() as tx:
        query = UsageQuery(since=START, until=NOW, filters={"key": (key.id,)})
        total = usage_report(tx, query).total
    assert nanos([shown.loc["first", "Spend"]]) == [total.cost_nanos]
    assert shown.loc["first", "Requests"] == total.requests
    assert shown.loc["second", "Requests"] == 0
    assert nanos([shown.loc["second", "Spend"]]) == [None]
    assert (shown.loc["second", "Models"], shown.loc["first", "Models"]) == ("gpt-4o*", "all")


def test_a_new_key_is_shown_once(used: Store, open_page: OpenPage) -> None:
    page = fill(
        open_page(used, "keys"),
        **{"new-key-name": "third", "new-key-models": "gpt-4o*, o4-mini", "new-key-expires": "30d"},
        **{"new-key-budget": "10usd/month", "new-key-rpm": 60},
    )
    page = press(page, "Create key")
    key = stored(used)["third"]
    assert (key.models, key.limits) == (["gpt-4o*", "o4-mini"], {"rpm": 60})
    assert key.expires_at is not None
    assert page.code[0].value.startswith("tk_")
    assert page.code[0].value in page.code[1].value
    with used.read() as tx:
        (budget,) = current().registries.budgets.list(tx, limit=10)
    assert (budget.budget.scope.id, budget.budget.limit_nanos) == (key.id, 10 * 10**9)
    assert ("key.create", "account", "local") in audited(used)
    token = page.code[0].value
    page = press(page, "I have copied it")
    assert token not in [code.value for code in page.code]


def test_a_made_key_leaves_its_form_folded_and_empty(used: Store, open_page: OpenPage) -> None:
    page = fill(
        open_page(used, "keys"),
        **{"new-key-name": "third", "new-key-project": "team-2", "new-key-rpm": 60},
    )
    page = press(page, "Create key")
    assert page.session_state["new-key-panel"] is False
    assert page.text_input(key="new-key-name").value == ""
    assert page.number_input(key="new-key-rpm").value is None
    count = len(stored(used))
    assert "name must have" in refusals(press(page, "Create key"))
    assert len(stored(used)) == count


def test_what_was_refused_stays_as_it_was_typed(used: Store, open_page: OpenPage) -> None:
    page = fill(open_page(used, "keys"), **{"new-key-name": "x", "new-key-budget": "lots"})
    page = press(page, "Create key")
    assert page.text_input(key="new-key-budget").value == "lots"


def test_a_viewer_reads_all_of_a_key_and_changes_nothing(used: Store, open_page: OpenPage) -> None:
    page = open_page(used, "keys", viewer=LOOKER)
    names = list(table(page, "Last used")["Name"])
    page.session_state["keys"] = {"selection": {"rows": [names.index("second")], "columns": [], "cells": []}}
    page = page.run()
    assert f"second · {stored(used)['second'].id}" in [text.value for text in page.text]
    assert "Models: gpt-4o*" in refusals(page)
    assert not page.button


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"new-key-name": ""}, "name must have"),
        ({"new-key-name": "x", "new-key-expires": "soon"}, "neither a duration"),
        ({"new-key-name": "x", "new-key-budget": "lots"}, "10usd/month"),
        ({"new-key-name": "x", "new-key-models": "a b\x00"}, "models"),
    ],
)
def test_what_cannot_be_is_refused_in_words_and_nothing_is_made(
    used: Store, open_page: OpenPage, fields: dict[str, str], reason: str
) -> None:
    before = (stored(used), audited(used))
    page = press(fill(open_page(used, "keys"), **fields), "Create key")
    assert reason in refusals(page)
    assert (stored(used), audited(used)) == before
    assert not page.code


def selected(open_page: OpenPage, store: Store, name: str) -> AppTest:
    """The page with the row of a key chosen."""
    page = open_page(store, "keys")
    names = list(table(page, "Last used")["Name"])
    page.session_state["keys"] = {"selection": {"rows": [names.index(name)], "columns": [], "cells": []}}
    return page.run()


def test_a_key_can_be_changed_rotated_and_revoked(used: Store, open_page: OpenPage) -> None:
    key = stored(used)["first"]
    page = selected(open_page, used, "first")
    page = press(fill(page, **{f"name-{key.id}": "renamed", f"tpm-{key.id}": 5_000}), "Save")
    assert stored(used)["renamed"].limits == {"tpm": 5_000}
    page = press(selected(open_page, used, "renamed"), "Rotate")
    assert page.code[0].value.startswith("tk_")
    page = selected(open_page, used, "renamed")
    assert next(button for button in page.button if button.label == "Revoke").disabled
    page.checkbox(key=f"sure-{key.id}").check()
    press(page.run(), "Revoke")
    assert stored(used)["renamed"].revoked_at is not None
    assert [action for action, _kind, _name in audited(used)][:3] == [
        "key.revoke",
        "key.rotate",
        "key.update",
    ]
