"""Alerts: what fires, rules that can be tried on the past before they are made, channels whose secrets stay inside."""

from typing import Any
from uuid import UUID

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.context import current
from service.alerts.channel_values import NewChannel, prepared
from service.alerts.defaults import ensure_defaults
from service.alerts.rules import Rule
from service.alerts.values import NewRule, as_given
from service.audit.actor import Actor
from service.audit.trail import AuditFilter
from service.budgets.values import GivenScope, NewBudget
from service.keys.values import NewKey
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


def fire(
    store: Store, rule: Rule, *, summary: str, state: str = "firing", number: int = 1, **given: Any
) -> None:
    row: dict[str, Any] = {
        "id": UUID(int=number),
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
        **given,
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
    page.text_input(key="rule-error_rate-name").set_value("Too many errors")
    for name, value in fields.items():
        page.number_input(key=f"rule-error_rate-{name}").set_value(value)
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


def test_a_made_rule_leaves_its_form_folded_and_empty(sqlite_books: Store, open_page: OpenPage) -> None:
    page = press(new_rule(open_page(sqlite_books, "alerts", section="Rules"), critical=0.9), "Create rule")
    assert page.session_state["new-rule-panel"] is False
    assert page.text_input(key="rule-error_rate-name").value == ""
    assert page.number_input(key="rule-error_rate-critical").value == 0.5
    assert "name must have" in refusals(press(page, "Create rule"))
    assert len(stored(sqlite_books)) == 1


def test_what_a_rule_brings_follows_what_it_watches(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, "alerts", section="Rules")
    page.selectbox(key="rule-metric").set_value("burn_rate").run()
    assert page.number_input(key="rule-burn_rate-critical").value == 15.0
    assert page.text_input(key="rule-burn_rate-window").value == "1h"


def chosen(open_page: OpenPage, store: Store, number: int = 0) -> AppTest:
    """The page of the rules with a row chosen."""
    st.cache_resource.clear()
    page = open_page(store, "alerts", section="Rules")
    page.session_state["rules"] = {"selection": {"rows": [number], "columns": [], "cells": []}}
    return page.run()


def field(page: AppTest, kind: str, name: str) -> Any:
    """A field of the form that changes the chosen rule."""
    (found,) = [
        one
        for one in page.get(kind)
        if str(one.key).startswith("edit-") and str(one.key).endswith(f"-{name}")
    ]
    return found


def test_every_part_of_a_rule_can_be_changed_and_is_audited(sqlite_books: Store, open_page: OpenPage) -> None:
    open_page(sqlite_books, "alerts")
    registries = current().registries
    with sqlite_books.write() as tx:
        key = registries.keys.create(tx, NewKey(name="support-bot"), by=BY).key
        channel = registries.alerts.channels.create(
            tx,
            prepared(
                NewChannel(name="log", kind="log"),
                guard=registries.alerts.channels.guard,
                random_bytes=registries.alerts.channels.random_bytes,
            ),
            by=BY,
        )
        registries.alerts.rules.create(tx, NewRule(name="r", metric="error_rate"), by=BY)
    page = chosen(open_page, sqlite_books)
    field(page, "text_input", "name").set_value("Errors of support")
    field(page, "text_input", "window").set_value("1h")
    field(page, "number_input", "warning").set_value(None)
    field(page, "number_input", "critical").set_value(0.25)
    field(page, "multiselect", "groups").set_value(["model"])
    field(page, "number_input", "fewest").set_value(7)
    field(page, "selectbox", "no-data").set_value("alert")
    field(page, "text_input", "renotify").set_value("4h")
    field(page, "text_area", "only").set_value("key=support-bot\nproject=team-1\nproject=team-2")
    field(page, "multiselect", "told").set_value([channel.id])
    press(page, "Save rule")
    (rule,) = stored(sqlite_books)
    assert as_given(rule) == NewRule(
        name="Errors of support",
        metric="error_rate",
        group_by=["model"],
        filter={"key": [key.id], "project": ["team-1", "team-2"]},
        window="1h",
        warning=None,
        critical=0.25,
        min_requests=7,
        no_data="alert",
        renotify="4h",
        channels=[channel.id],
    )
    with sqlite_books.read() as tx:
        (entry,) = registries.trail.list(tx, AuditFilter(action="alert_rule.update"), limit=2)
    assert (entry.actor.kind, entry.actor.name) == ("account", "local")
    assert entry.before is not None
    assert entry.before["window"] == "15m"
    shown = chosen(open_page, sqlite_books)
    assert field(shown, "text_area", "only").value == "key=support-bot\nproject=team-1\nproject=team-2"
    assert field(shown, "number_input", "warning").value is None


@pytest.mark.parametrize(
    ("kind", "name", "value", "reason"),
    [
        ("number_input", "critical", 0.01, "below warning"),
        ("text_input", "window", "soon", "window"),
        ("text_input", "name", "", "name must have"),
        ("text_area", "only", "colour=red", "colour"),
        ("text_input", "renotify", "1m", "5m to 31d"),
    ],
)
def test_a_change_that_cannot_be_is_refused_and_stays_as_typed(  # noqa: PLR0917  (fixtures and a case)
    sqlite_books: Store, open_page: OpenPage, rules: list[Rule], kind: str, name: str, value: Any, reason: str
) -> None:
    number = [rule.metric for rule in rules].index("error_rate")
    page = chosen(open_page, sqlite_books, number)
    field(page, kind, name).set_value(value)
    page = press(page, "Save rule")
    assert reason in refusals(page)
    assert field(page, kind, name).value == value
    assert stored(sqlite_books) == rules


def test_saving_what_is_there_changes_nothing(
    sqlite_books: Store, open_page: OpenPage, rules: list[Rule]
) -> None:
    for number in range(len(rules)):
        press(chosen(open_page, sqlite_books, number), "Save rule")
    assert stored(sqlite_books) == rules


def test_a_viewer_cannot_choose_a_rule(sqlite_books: Store, open_page: OpenPage, rules: list[Rule]) -> None:
    (shown,) = open_page(sqlite_books, "alerts", section="Rules", viewer=LOOKER).dataframe
    assert len(shown.value) == len(rules)
    assert not shown.proto.selection_mode


def test_an_alert_names_whom_it_is_about_and_is_told_whole(
    sqlite_books: Store, open_page: OpenPage, rules: list[Rule]
) -> None:
    about = "The budget of key support-bot (month)"
    sentence = f"{about}: has used 99.97 % (28.84070735 of 28.85 USD), threshold 80 %"
    fire(sqlite_books, rules[-1], summary=sentence, details={"about": about})
    st.cache_resource.clear()
    page = open_page(sqlite_books, "alerts")
    shown = table(page, "Severity", "What")
    assert list(shown["About"]) == [about]
    assert list(shown["What"]) == ["Has used 99.97 % (28.84070735 of 28.85 USD), threshold 80 %"]
    page.session_state["firing"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    page = page.run()
    assert sentence in refusals(page)
    assert any("people were told once" in caption.value for caption in page.caption)


def test_an_alert_without_words_for_its_subject_gets_names(
    sqlite_books: Store, open_page: OpenPage, rules: list[Rule]
) -> None:
    registries = current().registries
    with sqlite_books.write() as tx:
        key = registries.keys.create(tx, NewKey(name="support-bot"), by=BY).key
        budget = registries.budgets.create(
            tx, NewBudget(scope=GivenScope("key", key.id), limit_usd="1.00", window="month"), by=BY
        )
    fire(sqlite_books, rules[0], summary="x", subject=budget.budget.id)
    fire(sqlite_books, rules[0], summary="x", subject=f"key={key.id}, model=gpt-4o", number=2)
    fire(sqlite_books, rules[0], summary="x", subject="all", number=3)
    st.cache_resource.clear()
    assert list(table(open_page(sqlite_books, "alerts"), "Severity", "What")["About"]) == [
        "All requests",
        "key support-bot, model gpt-4o",
        "The budget of key support-bot (month)",
    ]


def test_a_rule_is_muted_unmuted_and_deleted(sqlite_books: Store, open_page: OpenPage) -> None:
    open_page(sqlite_books, "alerts")
    with sqlite_books.write() as tx:
        rule = current().registries.alerts.rules.create(tx, NewRule(name="r", metric="error_rate"), by=BY)

    press(chosen(open_page, sqlite_books), "Mute")
    assert stored(sqlite_books)[0].muted(NOW)
    press(chosen(open_page, sqlite_books), "Unmute")
    assert not stored(sqlite_books)[0].muted(NOW)
    page = chosen(open_page, sqlite_books)
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
