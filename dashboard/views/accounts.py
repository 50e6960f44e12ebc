"""Accounts of the dashboard: one's own password, and, for an administrator, who else may come in."""

import streamlit as st
from sqlalchemy import Connection

from dashboard import formats
from dashboard.acting import act, announce, attempt, done, refused
from dashboard.context import current, viewer
from dashboard.door import Door
from dashboard.gate import LINK
from dashboard.views import controls
from dashboard.views.away import calmly
from service.accounts.sign_in import Refused
from service.accounts.values import ROLES, Account, Role, SignedIn
from service.audit.actor import Actor

SHOWN_ONCE = "link-shown-once"


def show() -> None:
    """The page."""
    announce()
    controls.title("Accounts")
    door = current().door
    if door is None:
        st.info(
            "Nobody signs in to this dashboard: dashboard.sign_in is none.", icon=":material/no_accounts:"
        )
        return
    _link()
    _own_password(door, door.current())
    if viewer().may_act:
        _others(door)


def _link() -> None:
    """A link that was just made."""
    link = st.session_state.get(SHOWN_ONCE)
    if link is None:
        return
    with st.container(border=True):
        st.markdown(":material/link: **Send this link to its owner. It works once, for a day.**")
        st.code(link, language=None)
        if st.button("I have copied it", type="primary", key="link-copied"):
            del st.session_state[SHOWN_ONCE]
            st.rerun()


def _own_password(door: Door, found: SignedIn) -> None:
    account = found.account
    if account.identity is not None:
        st.caption("You sign in with your organisation's identity provider.")
        return
    st.subheader("Your password", anchor=False)
    if not account.has_password:
        st.warning(
            "You came in by a one-time link and have no password yet. Set one to come back after this session.",
            icon=":material/lock_open:",
        )
    with st.form("own-password", border=True, clear_on_submit=True):
        grid = st.grid(2, min_column_width=200, gap="small")
        old = ""
        if account.has_password:
            old = grid.text_input("Password now", type="password", key="old-password")
        new = grid.text_input(
            "New password", type="password", key="new-password", help="At least 12 characters."
        )
        if not st.form_submit_button("Set password", type="primary"):
            return
    if account.has_password:
        answer = attempt(lambda: (door.sign_in.change_password(found, old=old, new=new),))
        if answer is None:
            return
        if isinstance(answer[0], Refused):
            refused("The password now is wrong, or there were too many attempts.")
            return
    elif attempt(lambda: _first_password(door, found, new)) is None:
        return
    door.known.clear()
    done("The password is set; other sessions have ended.")


def _first_password(door: Door, found: SignedIn, new: str) -> Account:
    account = found.account
    hashed = door.passwords.hash(new, name=account.name)
    with door.store.write() as tx:
        return door.accounts.set_password(
            tx, account.id, password=hashed, by=account.actor, keep_session=found.session.id
        )


@calmly
def _others(door: Door) -> None:
    st.subheader("Everybody", anchor=False)
    with door.store.read() as tx:
        found = door.accounts.list(tx)
    timezone = current().reporting_timezone
    for account in found:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            seen = account.signed_in_at
            when = "never" if seen is None else formats.instant(seen, timezone=timezone)
            st.text(
                f"{account.name} · {account.role} · {standing(account)} · last signed in: {when}",
                width="stretch",
            )
            if account.id != viewer().id:
                _change(door, account)
    panel = controls.panel("New account", key="new-account-panel", icon=":material/person_add:")
    with panel, st.form("new-account", border=False):
        grid = st.grid(2, min_column_width=200, gap="small")
        name = grid.text_input("Name", key="account-name").strip()
        role = grid.selectbox("Role", ROLES, index=ROLES.index("viewer"), key="account-role")
        if not st.form_submit_button("Create account", type="primary"):
            return
    made = act(lambda tx, by: door.accounts.create(tx, name=name, role=role, by=by))
    if made is not None:
        st.session_state[SHOWN_ONCE] = _address(made.link.token)
        done("The account is made.", then={"new-account-panel": False, "account-name": ""})


def standing(account: Account) -> str:
    """How an account stands; who came in by a link and has no password yet is not merely invited any more."""
    if account.status == "invited" and account.signed_in_at is not None:
        return "no password yet"
    return account.status


def _change(door: Door, account: Account) -> None:
    with st.popover("Change", icon=":material/edit:"):
        other: Role = "viewer" if account.role == "admin" else "admin"
        if st.button(f"Make {other}", key=f"role-{account.id}"):
            _finish(door, act(lambda tx, by: door.accounts.set_role(tx, account.id, role=other, by=by)))
        if account.disabled_at is None:
            if account.identity is None and st.button("New link", key=f"reset-{account.id}"):
                link = act(lambda tx, by: door.accounts.reset(tx, account.id, by=by))
                if link is not None:
                    st.session_state[SHOWN_ONCE] = _address(link.token)
                    done("The link is made.")
            if st.button("Sign out everywhere", key=f"end-{account.id}"):
                _finish(door, act(lambda tx, by: _end_all(door, tx, account, by=by)))
            if st.button("Disable", key=f"disable-{account.id}"):
                _finish(door, act(lambda tx, by: door.accounts.disable(tx, account.id, by=by)))
        elif st.button("Enable", key=f"enable-{account.id}"):
            _finish(door, act(lambda tx, by: door.accounts.enable(tx, account.id, by=by)))


def _end_all(door: Door, tx: Connection, account: Account, *, by: Actor) -> int:
    return door.sessions.end_all(tx, account.id, by=by)


def _finish(door: Door, changed: object | None) -> None:
    if changed is not None:
        door.known.clear()
        done("The account is changed.")


def _address(token: str) -> str:
    """The link as the browser that made it reaches this dashboard."""
    url = st.context.url or ""
    origin = "/".join(url.split("/")[:3])
    return f"{origin}{LINK}{token}"
