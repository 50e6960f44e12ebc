"""Every table fits on a page that is 1280 pixels wide: what has no room is not cut, it is somewhere else."""

import json
from typing import Any
from uuid import UUID

import pytest
import streamlit as st

from dashboard import tables
from dashboard.context import current
from service.alerts.defaults import ensure_defaults
from service.audit.actor import Actor
from service.budgets import periods
from service.budgets.values import GivenScope, NewBudget
from service.keys.values import Limits, NewKey
from service.pricing.override import override_card
from service.store.alert_tables import alert_event
from service.store.engine import Store
from tests.dashboard.conftest import NOW, OpenPage
from tests.dashboard.pages import refusals

BY = Actor.system("test")
LONG = "a-name-that-is-rather-long-for-a-column-of-a-table"


@pytest.fixture
def crowded(sqlite_books: Store, open_page: OpenPage) -> Store:
    """Long names, amounts with every decimal, alerts that came and went."""
    open_page(sqlite_books, "overview")
    registries = current().registries
    with sqlite_books.write() as tx:
        limits = Limits(rpm=60, tpm=1_000_000, concurrency=8)
        key = registries.keys.create(
            tx,
            NewKey(name=LONG, project=LONG, models=["gpt-4o*", "o4-mini", "claude-*"], limits=limits),
            by=BY,
        ).key
        new = NewBudget(scope=GivenScope("key", key.id), limit_usd="12345.678901234", window="month")
        budget = registries.budgets.create(tx, new, by=BY).budget
        period = periods.opened(tx, budget, "", at=NOW)
        periods.commit(tx, period, amount=9_876_543_210_987, direct=9_876_543_210_123)
        rates = {"input_usd_per_mtok": "2.123456", "output_usd_per_mtok": "8.654321"}
        registries.prices.set(tx, [override_card({"model": LONG, "provider": LONG[:30], **rates})], by=BY)
        ensure_defaults(tx, registries.alerts.rules)
        rule = registries.alerts.rules.list(tx, limit=1)[0]
        for number, state in enumerate(("firing", "resolved")):
            tx.execute(alert_event.insert(), event(rule.id, number=number, state=state))
    st.cache_resource.clear()
    return sqlite_books


def event(rule_id: str, *, number: int, state: str) -> dict[str, Any]:
    return {
        "id": UUID(int=number),
        "rule_id": rule_id,
        "rule_name": LONG,
        "metric": "budget_used",
        "subject": LONG,
        "period": NOW,
        "claim": "critical",
        "generation": number,
        "severity": "critical",
        "state": state,
        "value": 1.0,
        "threshold": 0.5,
        "starts_at": NOW,
        "seen_at": NOW,
        "fired_at": NOW,
        "resolved_at": NOW if state == "resolved" else None,
        "told": 1,
        "told_at": NOW,
        "summary": f"{LONG}: {LONG} {LONG}",
        "details": {},
    }


@pytest.mark.parametrize(
    ("address", "query", "keys"),
    [
        ("overview", {"range": "30d"}, {"latest"}),
        ("spend", {"range": "30d"}, {"breakdown"}),
        ("spend", {"range": "24h"}, {"breakdown"}),
        ("requests", {"range": "30d"}, {"log"}),
        ("requests", {"range": "30d", "outcome": ["ok"]}, {"log"}),
        ("keys", {}, {"keys"}),
        ("budgets", {}, {"budgets"}),
        ("alerts", {}, {"firing", "past"}),
        ("alerts", {"section": "Rules"}, {"rules"}),
        ("audit", {}, {"audit"}),
        ("prices", {}, {"book"}),
        ("settings", {}, {"settings-table"}),
    ],
)
def test_no_column_is_cut(
    crowded: Store, open_page: OpenPage, address: str, query: dict[str, Any], keys: set[str]
) -> None:
    page = open_page(crowded, address, **query)
    found = {_key(one): one for one in page.dataframe if _key(one) in keys}
    assert found.keys() == keys
    for key, shown in found.items():
        config, order = json.loads(shown.proto.columns), [*shown.proto.column_order]
        room = tables.SELECTABLE_ROOM if "rows" in _modes(shown) else tables.ROOM
        widths = [config[label]["width"] for label in order or shown.value.columns]
        assert sum(widths) <= room, key
        assert len(widths) > 3, key


def _key(shown: Any) -> str:
    """The key of a table; one in which nothing can be chosen keeps none."""
    return "book" if "Cache write" in shown.value else str(shown.key)


def _modes(shown: Any) -> set[str]:
    return {"rows" for mode in shown.proto.selection_mode if mode in (0, 1)}


@pytest.mark.parametrize(
    ("address", "key"), [("keys", "keys"), ("audit", "audit"), ("settings", "settings-table")]
)
def test_what_has_no_room_stands_below_a_chosen_row(
    crowded: Store, open_page: OpenPage, address: str, key: str
) -> None:
    page = open_page(crowded, address)
    before = len(page.text) + len(page.code)
    page.session_state[key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    page = page.run()
    assert not page.exception
    assert len(page.text) + len(page.code) > before
    if address == "keys":
        said = refusals(page)
        assert "Limits: concurrency 8, rpm 60, tpm 1,000,000" in said
        assert "Expires: never" in said


def test_settings_show_no_marks_of_the_documentation(sqlite_books: Store, open_page: OpenPage) -> None:
    (shown,) = [one for one in open_page(sqlite_books, "settings").dataframe if one.key == "settings-table"]
    assert not [text for text in shown.value["Meaning"] if "`" in text]
    assert any(text.endswith("…") for text in shown.value["Meaning"])


def test_an_audit_entry_says_what_changed(crowded: Store, open_page: OpenPage) -> None:
    registries = current().registries
    with crowded.write() as tx:
        (found,) = registries.budgets.list(tx, limit=5)
        registries.budgets.delete(tx, found.budget.id, by=BY)
    st.cache_resource.clear()
    (shown,) = [one.value for one in open_page(crowded, "audit").dataframe if one.key == "audit"]
    (row,) = (one for _, one in shown[shown["What"] == "budget.delete"].iterrows())
    assert row["Which"] == f"key {LONG} (month)"
    assert not [text for text in shown["Which"] if text.startswith("bud_")]
