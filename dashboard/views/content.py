"""What was asked and answered, in the detail of a request: for administrators, when they ask for it, as plain text.

Each look is in the audit log, so nothing is shown until a button is pressed.
"""

import msgspec
import streamlit as st
from sqlalchemy import Connection

from dashboard.acting import act, refused
from dashboard.cache import LIVE_TTL_S, kept
from dashboard.context import current, viewer
from dashboard.formats import count, instant
from service.content.parts import Part
from service.content.registry import ShownContent
from service.errors import ContentUnreadableError

HEIGHT = 420


def show(request_id: str) -> None:
    """A button, and what it shows; nothing for viewers, and where nothing was captured."""
    if not viewer().may_act or not has_content(request_id):
        return
    with st.container(border=True):
        st.markdown("**Content**")
        st.caption("What was asked and answered, without what was redacted. The audit log says who looked.")
        if not st.button("Show content", icon=":material/visibility:", key="show-content"):
            return
        try:
            found = act(lambda tx, by: current().registries.content.read(tx, request_id, by=by))
        except ContentUnreadableError as error:
            refused(str(error))
            return
        if found is not None:
            _content(found)


@kept(LIVE_TTL_S)
def has_content(tx: Connection, request_id: str) -> bool:
    """Whether something was captured, which tells nothing of it."""
    return current().registries.content.has(tx, request_id)


def _content(found: ShownContent) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        _part("Request", found.content.request)
    with right:
        if found.content.answer is None:
            st.text("No answer came.")
        else:
            _part("Answer", found.content.answer)
    timezone = current().reporting_timezone
    st.caption(f"Kept until {instant(found.expires_at, timezone=timezone)}.")


def _part(title: str, part: Part) -> None:
    remarks = [f"{count(part.size)} bytes"]
    if part.events is not None:
        remarks.append(f"stream of {count(part.events)} events, put together")
    if not part.is_whole:
        remarks.append("not whole")
    remarks += [f"{count(number)} {kind} redacted" for kind, number in part.redacted.items()]
    st.text(f"{title}: {', '.join(remarks)}")
    text = msgspec.json.format(part.text, indent=2) if part.is_json else part.text
    st.code(text, language="json" if part.is_json else None, wrap_lines=True, height=HEIGHT)
