"""Streamlit's options: what the dashboard depends on is pinned, so that no file of the user changes it. Pure.

Nothing is sent to anyone, nothing is fetched from elsewhere, errors show no details. Light or dark follows the
browser; the fonts are the ones that come with Streamlit. Streamlit's table export is off, because it writes cells
as they are: a name that begins with ``=`` would become a formula in a spreadsheet. `tables.to_csv` neutralises it.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from service.settings import DashboardSettings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ANY = ("0.0.0.0", "::")  # noqa: S104  (compared, not bound)

SERIES_LIGHT = (
    "#2f5fd0",
    "#12a08b",
    "#e59f1a",
    "#8b5cd6",
    "#dc5f7c",
    "#3aa0dc",
    "#7fa63a",
    "#8a94a6",
)
SERIES_DARK = (
    "#7ba2ff",
    "#3fcbb4",
    "#f3bd54",
    "#b493f5",
    "#f08ca3",
    "#6cc3f2",
    "#a8cc66",
    "#8994a8",
)

_PINNED: Mapping[str, Any] = {
    "browser.gatherUsageStats": False,
    "client.disableDataExport": True,
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.toolbarMode": "minimal",
    "client.allowedOrigins": [],
    "global.developmentMode": False,
    "logger.hideWelcomeMessage": True,
    "logger.level": "warning",
    "runner.magicEnabled": False,
    "server.enableStaticServing": False,
    "server.fileWatcherType": "none",
    "server.headless": True,
    "server.maxUploadSize": 64,
    "server.runOnSave": False,
}

_SHAPES: Mapping[str, Any] = {
    "baseRadius": "0.5rem",
    "baseFontSize": 15,
    "headingFontSizes": ["1.7rem", "1.3rem", "1.05rem"],
    "headingFontWeights": [650, 600, 600],
    "metricValueFontSize": "1.55rem",
    "metricValueFontWeight": 600,
    "paddingTop": "1.25rem",
    "paddingBottom": "3rem",
    "showWidgetBorder": True,
}
_LIGHT: Mapping[str, Any] = {
    "primaryColor": "#2f5fd0",
    "backgroundColor": "#ffffff",
    "secondaryBackgroundColor": "#f4f6f9",
    "textColor": "#1b2433",
    "borderColor": "#dfe4ec",
    "chartCategoricalColors": list(SERIES_LIGHT),
}
_DARK: Mapping[str, Any] = {
    "primaryColor": "#7ba2ff",
    "backgroundColor": "#0f141c",
    "secondaryBackgroundColor": "#18202c",
    "textColor": "#e6eaf1",
    "borderColor": "#2a3444",
    "chartCategoricalColors": list(SERIES_DARK),
}


def streamlit_options(settings: DashboardSettings, *, port: int, public_url: str = "") -> dict[str, Any]:
    """The value of every pinned option, by its dotted name."""
    options = dict(_PINNED)
    options["server.address"] = settings.host
    options["server.port"] = port
    options["server.allowedHosts"] = allowed_hosts(settings.host, public_url=public_url)
    if settings.host not in _ANY:
        options["browser.serverAddress"] = settings.host
    options |= {f"theme.{name}": value for name, value in _SHAPES.items()}
    options |= {f"theme.light.{name}": value for name, value in _LIGHT.items()}
    options |= {f"theme.dark.{name}": value for name, value in _DARK.items()}
    options["theme.light.sidebar.backgroundColor"] = "#f4f6f9"
    options["theme.dark.sidebar.backgroundColor"] = "#131a24"
    return options


def allowed_hosts(host: str, *, public_url: str = "") -> list[str]:
    """Names under which a browser may ask (against DNS rebinding); any name where the address is a wildcard."""
    if host in _ANY:
        return []
    public = urlsplit(public_url).hostname
    own = [*LOOPBACK] if host in LOOPBACK else [host, *LOOPBACK]
    return own if public is None or public in own else [*own, public]
