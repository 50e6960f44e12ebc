"""What the views work with: the store, the settings, the clock, and who is looking.

Streamlit runs the entry script anew for every interaction and passes it nothing, so the process that starts the
server (or a test) installs one context here, and the script takes it.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec

from dashboard.door import Door
from dashboard.registries import Registries
from dashboard.viewer import Viewer
from service.settings import Loaded, Settings
from service.store.engine import Store

LOCAL = Viewer(id="local", name="local", role="admin")
"""Who looks where nobody has to sign in."""


class Context(msgspec.Struct, frozen=True):
    """Everything that arrives from outside."""

    store: Store
    loaded: Loaded
    now: Callable[[], datetime]
    registries: Registries
    door: Door | None = None
    who: Callable[[], Viewer] = lambda: LOCAL

    @property
    def settings(self) -> Settings:
        """What is set."""
        return self.loaded.settings

    @property
    def reporting_timezone(self) -> str:
        """The zone in which days and months begin unless the viewer chooses another."""
        return self.settings.accounting.reporting_timezone

    @property
    def relay_url(self) -> str:
        """What a client on this machine sets as its base URL."""
        host = self.settings.relay.host
        if host in ("0.0.0.0", "::"):  # noqa: S104  (compared, not bound)
            host = "127.0.0.1"
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self.settings.relay.port}/v1"


_installed: list[Context] = []


def install(context: Context) -> None:
    """Make *context* the one that every script run of this process sees."""
    _installed[:] = [context]


def current() -> Context:
    """The installed context."""
    return _installed[0]


def viewer() -> Viewer:
    """Who looks at this page."""
    return current().who()
