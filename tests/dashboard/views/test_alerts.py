"""Alerts: what fires, rules that can be tried on the past before they are made, channels whose secrets stay inside."""

from typing import Any
from uuid import UUID

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.context import current
from service.alerts.defaults import ensure_defaults
from service.alerts.rules import Rule
from service.alerts.values import NewRule
from service.audit.actor import Actor
from service.audit.trail import AuditFilter
from service.store.alert_tables import alert_event
from service.store.engine import Store
from tests.dashboard.conftest import LOOKER, NOW, OpenPage
from tests.dashboard.pages import press, refusals, table
from tests.dashboard.views.test_request import HOSTILE

BY = Actor.system("test")


@pytest.fixture
def rules(sqlite_books: Store, open_page: OpenPage) -> list[Rule]:
    open_page(sqlite_books, "alerts")
    with sqlite_books.write() as tx:
        ensure_defaults(tx, current().registries.alerts.rules)
    return stored(sqlite_books)


def stored(store: Store) -> list[Rule]:
    with store.read() as tx:
        return current().registries.alerts.rules.list(tx, limit=100)


def fire(store: Store, rule: Rule, *, summary: str, state: str = "firing") -> None:
    row: dict[str, Any] = {
        "id": UUID(int=1),
        "rule_id": rule.id,
        "rule_name": rule.name,
        "metric": rule.metric,
        "subject": HOSTILE,
        "period": NOW,
        "claim": "critical",
        "generation": 1,
        "severity": "critical",
        "state": state,
        "value": 1.0,
        "threshold": 0.5,
        "starts_at": NOW,
        "seen_at": NOW,
        "fired_at": NOW,
        "told": 1,
        "told_at": NOW,
        "summary": summary,
        "details": {},
    }
    if state == "resolved":
        row["resolved_at"] = NOW
    known = {name: value for name, value in row.items() if name in alert_event.c}
    with store.write() as tx:
        tx.execute(alert_event.insert(), known)


def test_what_fires_stands_on_top_and_on_the_overview(
    sqlite_books: Store, open_page: OpenPage, rules: list[Rule]
) -> None:
    assert "Nothing fires." in open_page(sqlite_books, "alerts").success[0].value
    fire(sqlite_books, rules[0], summary=HOSTILE)
    st.cache_resource.clear()
    shown = table(open_page(sqlite_books, "alerts"), "Severity", "What")
    assert list(shown["What"]) == [HOSTILE]
    overview = open_page(sqlite_books)
    assert HOSTILE in [text.value for text in overview.text]
    assert not [one for one in overview.markdown if "198.51.100.7" in one.value]


def test_what_has_gone_is_in_the_log(sqlite_books: Store, open_page: OpenPage, rules: list[Rule]) -> None:
    fire(sqlite_books, rules[0], summary="It was too much", state="resolved")
    page = open_page(sqlite_books, "alerts")
    assert "Nothing fires." in page.success[0].value
    assert list(table(page, "Over")["What"]) == ["It was too much"]


def test_the_rules_are_the_registry(sqlite_books: Store, open_page: OpenPage, rules: list[Rule]) -> None:
    shown = table(open_page(sqlite_books, "alerts", section="Rules"), "Watches")
    assert list(shown["Name"]) == [rule.name for rule in rules]
    assert list(shown["Watches"]) == [rule.metric for rule in rules]
    assert set(shown["Tells"]) == {"every channel"}


def new_rule(page: AppTest, **fields: float) -> AppTest:
    page.text_input(key="rule-name").set_value("Too many errors")
    for name, value in fields.items():
        page.number_input(key=f"rule-{name}").set_value(value)
    return page


def test_a_rule_can_be_tried_on_the_past_and_changes_nothing(
    sqlite_books: Store, open_page: OpenPage, rules: list[Rule]
) -> None:
    page = new_rule(open_page(sqlite_books, "alerts", section="Rules"), warning=0.1, critical=0.2, fewest=1)
    page = press(page, "Try it on the last 30 days")
    said = page.info[0].value
    assert "in the last thirty days" in said
    assert "would have fired" in said
    count = len(table(page, "Since", "What"))
    assert count > 1
    assert f"{count} times" in said
    assert stored(sqlite_books) == rules


def test_a_new_rule_is_made_with_what_its_metric_brings(sqlite_books: Store, open_page: OpenPage) -> None:
    page = new_rule(open_page(sqlite_books, "alerts", section="Rules"), critical=0.9)
    press(page, "Create rule")
    (rule,) = stored(sqlite_books)
    assert (rule.name, rule.metric, rule.warning, rule.critical) == (
        "Too many errors",
        "error_rate",
        0.1,
        0.9,
    )
    with sqlite_books.read() as tx:
        (entry,) = current().registries.trail.list(tx, AuditFilter(action="alert_rule.*"), limit=2)
    assert entry.actor.kind == "account"


def test_a_rule_that_cannot_be_is_refused(sqlite_books: Store, open_page: OpenPage) -> None:
    page = new_rule(open_page(sqlite_books, "alerts", section="Rules"), warning=0.9, critical=0.2)
    assert "below warning" in refusals(press(page, "Create rule"))
    page = open_page(sqlite_books, "alerts", section="Rules")
    assert "name must have" in refusals(press(page, "Create rule"))
    assert stored(sqlite_books) == []


def test_a_rule_is_muted_unmuted_and_deleted(sqlite_books: Store, open_page: OpenPage) -> None:
    open_page(sqlite_books, "alerts")
    with sqlite_books.write() as tx:
        rule = current().registries.alerts.rules.create(tx, NewRule(name="r", metric="error_rate"), by=BY)

    def chosen() -> AppTest:
        st.cache_resource.clear()
        page = open_page(sqlite_books, "alerts", section="Rules")
        page.session_state["rules"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
        return page.run()

    press(chosen(), "Mute")
    assert stored(sqlite_books)[0].muted(NOW)
    press(chosen(), "Unmute")
    assert not stored(sqlite_books)[0].muted(NOW)
    page = chosen()
    page.checkbox(key=f"sure-{rule.id}").check()
    press(page.run(), "Delete")
    assert stored(sqlite_books) == []


def test_a_channel_shows_no_secret_but_a_webhooks_own_once(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, "alerts", section="Channels")
    page.selectbox(key="channel-kind").set_value("Signed webhook").run()
    page.text_input(key="channel-name").set_value("hook")
    page.text_input(key="channel-url").set_value("https://1.1.1.1/secret-path")
    page = press(page, "Create channel")
    assert page.code[0].value.startswith("whsec_")
    assert "secret-path" not in str([text.value for text in page.text])
    assert "hook · webhook · https://1.1.1.1/********" in [text.value for text in page.text]
    page = press(press(page, "I have copied it"), "Send a test")
    st.cache_resource.clear()
    shown = table(open_page(sqlite_books, "alerts", section="Deliveries"), "Channel", "State")
    assert list(shown["Channel"]) == ["hook"]
    assert "hook · webhook · https://1.1.1.1/********" in [
        text.value for text in open_page(sqlite_books, "alerts", section="Channels", viewer=LOOKER).text
    ]


def test_a_channel_into_the_own_network_is_refused(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, "alerts", section="Channels")
    page.selectbox(key="channel-kind").set_value("Signed webhook").run()
    page.text_input(key="channel-name").set_value("hook")
    page.text_input(key="channel-url").set_value("https://169.254.169.254/latest")
    page = press(page, "Create channel")
    assert refusals(page)
    assert "no channel yet" in page.info[0].value
