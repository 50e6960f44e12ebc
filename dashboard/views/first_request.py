"""The overview of an empty store: what to paste, and a wait for the first request that ends by itself."""

import streamlit as st

from dashboard import data
from dashboard.context import current, viewer
from dashboard.navigation import KEYS, all_pages
from dashboard.snippets import snippets
from dashboard.views.away import calmly

EVERY_S = 2


def show() -> None:
    """The page, until there is a record."""
    st.header("Send the first request", anchor=False)
    st.write(
        "Point a client at the relay: set its base URL and a virtual key. `tollkeeper up` printed a key when it first "
        "started; make another one on the page Keys, or with `tollkeeper keys create --name my-app`."
        if viewer().may_act
        else "Point a client at the relay: set its base URL and a virtual key, which an administrator makes."
    )
    if viewer().may_act:
        st.page_link(all_pages()[KEYS], label="Make a key on the page Keys", icon=":material/key:")
    samples = snippets(current().relay_url)
    for tab, sample in zip(st.tabs([sample.client for sample in samples]), samples, strict=True):
        tab.code(sample.code, language=sample.language)
    _wait()


@st.fragment(run_every=EVERY_S)
@calmly
def _wait() -> None:
    if data.recorded() is not None:
        st.rerun()
    st.info("Waiting for the first request. It appears here within seconds.", icon="spinner")
