"""What stands here while the store cannot be reached: no error, and a look every few seconds whether it is back."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import streamlit as st

from dashboard import data
from dashboard.door import SignedOutError
from service.errors import StoreUnavailableError

EVERY_S = 3
P = ParamSpec("P")


def show() -> None:
    """The page, until the store answers."""
    st.header("The store does not answer right now", anchor=False)
    st.write(
        "Relays go on forwarding and keep their records in the journal; nothing is lost. "
        "This page comes back by itself as soon as the store does."
    )
    _look()


@st.fragment(run_every=EVERY_S)
def _look() -> None:
    try:
        data.recorded()
    except StoreUnavailableError:
        st.info("Trying again every few seconds.", icon="spinner")
    else:
        st.rerun()


def calmly(part: Callable[P, None]) -> Callable[P, None]:
    """*part* of a page, which says that the store is away instead of failing; it tries again on its own."""

    @wraps(part)
    def draw(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            part(*args, **kwargs)
        except SignedOutError:
            st.rerun()
        except StoreUnavailableError:
            st.caption(":material/cloud_off: The store does not answer right now; trying again.")

    return draw
