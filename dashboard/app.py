"""The entry script: Streamlit runs it for every page load and every interaction.

It draws the frame, runs the chosen page, and shows a calm page that recovers by itself while the store is away.
"""

import streamlit as st

from dashboard.brand import ICON, LOGO
from dashboard.door import SignedOutError
from dashboard.navigation import menu, without_menu
from dashboard.views import away, signed_in
from service.errors import StoreUnavailableError

SIDEBAR_PX = 210


def main() -> None:
    """Draw the page of this address."""
    st.set_page_config(
        page_title="Tollkeeper", page_icon=ICON, layout="wide", initial_sidebar_state=SIDEBAR_PX
    )
    st.logo(LOGO, size="large")
    try:
        pages = menu()
    except SignedOutError:
        without_menu(signed_in.gone).run()
        return
    except StoreUnavailableError:
        away.show()
        return
    try:
        page = st.navigation(pages, position="sidebar", expanded=True)
        signed_in.draw()
        page.run()
    except SignedOutError:
        st.rerun()  # without the menu
    except StoreUnavailableError:
        away.show()


if __name__ == "__main__":
    main()
