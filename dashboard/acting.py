"""Changes from a page: only by who may, in one transaction, written to the audit log as theirs.

What is refused is said beside the form, as text: an error may quote what somebody typed, and nothing that is typed
becomes Markdown.
"""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any, TypeVar

import streamlit as st
from sqlalchemy import Connection

from dashboard.context import current, viewer
from service.audit.actor import Actor
from service.errors import ConflictError, InvalidInputError, NotFoundError, StoreUnavailableError

R = TypeVar("R")
_REFUSALS = (InvalidInputError, NotFoundError, ConflictError)
MESSAGE, THEN = "done-message", "done-then"


class NotAllowedError(Exception):
    """A viewer asked for what only an administrator may do: no page offers it."""


def actor() -> Actor:
    """Who acts, for the audit log."""
    who = viewer()
    return Actor("account", who.id, who.name, st.context.ip_address)


def require_admin() -> None:
    """Refuse a viewer, whatever the page showed them."""
    if not viewer().may_act:
        raise NotAllowedError(f"the account {viewer().name!r} may only look")


def act(change: Callable[[Connection, Actor], R]) -> R | None:
    """Make *change*; None where it was refused, which is said."""
    require_admin()
    return attempt(lambda: _write(change))


def perform(change: Callable[[Connection, Actor], object]) -> bool:
    """Make *change*; whether it was made."""
    return act(lambda tx, by: (change(tx, by),)) is not None


def _write(change: Callable[[Connection, Actor], R]) -> R:
    with current().store.write() as tx:
        found = change(tx, actor())
    st.cache_resource.clear()  # what was changed is seen at once
    return found


def attempt(work: Callable[[], R]) -> R | None:
    """Do *work*; None where it was refused, which is said."""
    try:
        return work()
    except _REFUSALS as error:
        refused(str(error))
    except StoreUnavailableError:
        refused("The store does not answer right now. Nothing was changed; try again in a moment.")
    return None


def refused(reason: str) -> None:
    """Say why something was not done, as text."""
    with st.container(border=True):
        st.markdown(":material/error: **Not done**")
        st.html(f"<span>{escape(reason)}</span>")


def done(message: str, *, then: Mapping[str, Any] | None = None) -> None:
    """Say after the next run that something was done; *message* holds no names.

    *then* are widgets and what they hold from then on: a form that did its work is folded and empty, so that a second
    click does not do it again. What was refused stays as it was typed.
    """
    st.session_state[MESSAGE] = message
    st.session_state[THEN] = dict(then or {})
    st.rerun()


def announce() -> None:
    """Show what was done in the run before; the first thing of a page, before its widgets are there."""
    for key, value in st.session_state.pop(THEN, {}).items():
        st.session_state[key] = value
    message = st.session_state.pop(MESSAGE, None)
    if message is not None:
        st.toast(message, icon=":material/check:")
