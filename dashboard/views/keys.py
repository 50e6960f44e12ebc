"""Virtual keys: what they are used for, and, for an administrator, making, changing, rotating and revoking them."""

from datetime import datetime

import streamlit as st
from sqlalchemy import Connection

from dashboard import control_tables, controlling, data, formats, snippets
from dashboard.acting import act, announce, done
from dashboard.context import current, viewer
from dashboard.controlling import KeyUse
from dashboard.views import controls
from dashboard.views.away import calmly
from service.audit.actor import Actor
from service.budgets.key_budgets import NewKeyWithBudgets, create_key
from service.keys.values import KeyChanges, Limits, parse_duration, parse_expiry

SHOWN_ONCE = "key-shown-once"
LIMITS = {"rpm": "Requests a minute", "tpm": "Tokens a minute", "concurrency": "Requests at once"}
WHOLE_TABLE_ROWS = 16
EMPTY = {
    **dict.fromkeys(("new-key-name", "new-key-models", "new-key-expires", "new-key-budget"), ""),
    **{f"new-key-{limit}": None for limit in LIMITS},
}
"""The form of a new key before anything is typed; the project stays, the next key is often of the same."""


def show() -> None:
    """The page."""
    announce()
    controls.title("Keys")
    _shown_once()
    if viewer().may_act:
        _create()
    _table()


def _shown_once() -> None:
    """The text of a key that was just made."""
    token = st.session_state.get(SHOWN_ONCE)
    if token is None:
        return
    with st.container(border=True):
        st.markdown(":material/key: **Copy this key now. It cannot be shown again.**")
        st.code(token, language=None)
        sample = snippets.snippets(current().relay_url)[0]
        st.code(sample.code.replace(snippets.KEY, token), language=sample.language)
        if st.button("I have copied it", type="primary", key="copied"):
            del st.session_state[SHOWN_ONCE]
            st.rerun()


def _create() -> None:
    with (
        controls.panel("New key", key="new-key-panel"),
        st.form("new-key", border=False, clear_on_submit=False),
    ):
        grid = st.grid(3, min_column_width=170, gap="small")
        name = grid.text_input("Name", placeholder="support-assistant", key="new-key-name")
        project = grid.text_input("Project", value="default", key="new-key-project")
        models = grid.text_input("Models", placeholder="All; or gpt-4o*, o4-mini", key="new-key-models")
        expires = grid.text_input("Expires", placeholder="Never; or 30d", key="new-key-expires")
        budget = grid.text_input("Budget", placeholder="None; or 10usd/month", key="new-key-budget")
        given = {
            limit: grid.number_input(label, min_value=1, value=None, step=1, key=f"new-key-{limit}")
            for limit, label in LIMITS.items()
        }
        if not st.form_submit_button("Create key", type="primary"):
            return
    made = act(
        lambda tx, by: _made(
            tx, by, name=name, project=project, models=models, expires=expires, budget=budget, limits=given
        )
    )
    if made is not None:
        st.session_state[SHOWN_ONCE] = made
        done("The key is made.", then={"new-key-panel": False, **EMPTY})


def _made(  # noqa: PLR0913  (one argument for each field of the form)
    tx: Connection,
    by: Actor,
    *,
    name: str,
    project: str,
    models: str,
    expires: str,
    budget: str,
    limits: dict[str, int | None],
) -> str:
    registries = current().registries
    new = NewKeyWithBudgets(
        name=name.strip(),
        project=project.strip() or "default",
        models=_models(models),
        expires_at=_expiry(expires),
        limits=_limits(limits),
        budgets=[budget.strip()] if budget.strip() else [],
    )
    return create_key(tx, new, keys=registries.keys, budgets=registries.budgets, by=by).issued.token


@calmly
def _table() -> None:
    found = controlling.keys(until=data.now().replace(second=0, microsecond=0))
    if not found:
        st.info("There is no key yet. An application needs one to use the relay.", icon=":material/key:")
        return
    shown = control_tables.keys(found, now=data.now(), timezone=current().reporting_timezone)
    state = controls.table(
        shown,
        key="keys",
        height="content" if len(found) <= WHOLE_TABLE_ROWS else "auto",
        **controls.choosing(rows=True),
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        what = "change, rotate or revoke it" if viewer().may_act else "see all of it"
        st.caption(
            f"Spend and requests are those of the last thirty days. Choose a key to {what}.", width="content"
        )
        controls.downloads(shown, name="keys")
    row = controls.chosen_row(state)
    if row is not None and row < len(found):
        with st.container(border=True):
            _facts(found[row])
            if viewer().may_act and found[row].key.revoked_at is None:
                _change(found[row])


def _facts(chosen: KeyUse) -> None:
    """What the table has no room for."""
    key, timezone = chosen.key, current().reporting_timezone
    st.text(f"{key.name} · {key.id}")
    instants = {"Created": key.created_at, "Last used": chosen.last_used, "Expires": key.expires_at}
    if key.revoked_at is not None:
        instants["Revoked"] = key.revoked_at
    facts = {
        label: "never" if at is None else formats.instant(at, timezone=timezone)
        for label, at in instants.items()
    }
    facts["Models"] = ", ".join(key.models) if key.models else "all"
    facts["Limits"] = control_tables.limits(key.limits) or "none"
    controls.prose(" · ".join(f"{label}: {value}" for label, value in facts.items()))


def _change(chosen: KeyUse) -> None:
    key, registries = chosen.key, current().registries
    with st.form("change-key", border=False):
        grid = st.grid(3, min_column_width=170, gap="small")
        name = grid.text_input("Name", value=key.name, key=f"name-{key.id}")
        project = grid.text_input("Project", value=key.project, key=f"project-{key.id}")
        models = grid.text_input(
            "Models", value=", ".join(key.models or ()), placeholder="All", key=f"models-{key.id}"
        )
        given = {
            limit: grid.number_input(
                label, min_value=1, step=1, value=(key.limits or {}).get(limit), key=f"{limit}-{key.id}"
            )
            for limit, label in LIMITS.items()
        }
        if st.form_submit_button("Save"):
            saved = act(
                lambda tx, by: registries.keys.update(
                    tx,
                    key.id,
                    changes=KeyChanges(
                        name=name.strip(),
                        project=project.strip(),
                        models=_models(models),
                        limits=_limits(given),
                    ),
                    by=by,
                )
            )
            if saved is not None:
                done("The key is changed.")
    _rotate_or_revoke(key.id)


def _rotate_or_revoke(key_id: str) -> None:
    registries = current().registries
    with st.container(horizontal=True, vertical_alignment="bottom"):
        overlap = st.text_input(
            "Old secret works for",
            value="24h",
            key=f"overlap-{key_id}",
            width=150,
            help="Such as 0s, 12h or 7d.",
        )
        if st.button("Rotate", icon=":material/autorenew:", key=f"rotate-{key_id}"):
            issued = act(
                lambda tx, by: registries.keys.rotate(
                    tx, key_id, overlap=parse_duration(overlap, field="overlap"), by=by
                )
            )
            if issued is not None:
                st.session_state[SHOWN_ONCE] = issued.token
                done("The key has a new secret.")
        sure = st.checkbox("Revoke for good", key=f"sure-{key_id}")
        revoke = st.button("Revoke", icon=":material/block:", disabled=not sure, key=f"revoke-{key_id}")
        if revoke and act(lambda tx, by: registries.keys.revoke(tx, key_id, by=by)) is not None:
            done("The key is revoked. Relays refuse it within two seconds.")


def _models(text: str) -> list[str] | None:
    return [part.strip() for part in text.split(",") if part.strip()] or None


def _limits(given: dict[str, int | None]) -> Limits | None:
    known = {name: int(value) for name, value in given.items() if value}
    return Limits(**known) if known else None


def _expiry(text: str) -> datetime | None:
    return parse_expiry(text, now=data.now()) if text.strip() else None
