"""Who is signed in, at the foot of the menu; and what is left of a page when nobody is any more."""

from html import escape

import streamlit as st

from dashboard.context import current
from dashboard.gate import LOGIN


def draw() -> None:
    """The account, its role, and the way out."""
    door = current().door
    if door is None:
        return
    found = door.current()
    with st.sidebar, st.container(border=True, gap="small"):
        # as HTML: whoever is signed out fetches no further script, and `gone` needs the one that draws it
        st.html(f"<span>{escape(found.account.name)}</span>")
        st.caption("Administrator" if found.account.role == "admin" else "Viewer: may look, not change")
        if st.button("Sign out", icon=":material/logout:", key="sign-out", width="stretch"):
            door.end(found)
            st.rerun()


def gone() -> None:
    """The page of a session that has ended."""
    st.header("You are signed out", anchor=False)
    st.write("Your session has ended.")
    st.html(f'<a href="{LOGIN}" target="_self">Sign in again</a>')
