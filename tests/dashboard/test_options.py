"""Streamlit's options: all of them exist, the pins hold, and no address of another host stands in them."""

import re

import pytest
from streamlit import config

from dashboard.options import allowed_hosts, streamlit_options
from service.settings import DashboardSettings


def test_every_option_exists_in_this_streamlit() -> None:
    options = streamlit_options(DashboardSettings(), port=8501)
    assert options.keys() <= config._config_options_template.keys()


def test_nothing_is_sent_shown_or_watched() -> None:
    options = streamlit_options(DashboardSettings(host="127.0.0.1"), port=8599)
    pins = {
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
        "client.disableDataExport": True,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.address": "127.0.0.1",
        "server.port": 8599,
        "browser.serverAddress": "127.0.0.1",
    }
    assert pins == {name: options[name] for name in pins}
    assert not re.search(r"https?:|//|url\(", str(options))


@pytest.mark.parametrize(
    ("host", "hosts"),
    [
        ("127.0.0.1", ["127.0.0.1", "localhost", "::1"]),
        ("10.0.0.5", ["10.0.0.5", "127.0.0.1", "localhost", "::1"]),
        ("0.0.0.0", []),  # noqa: S104  (compared, not bound)
    ],
)
def test_names_under_which_a_browser_may_ask(host: str, hosts: list[str]) -> None:
    assert hosts == allowed_hosts(host)
    public = allowed_hosts(host, public_url="https://Costs.example:8443")
    assert public == ([*hosts, "costs.example"] if hosts else [])
    assert hosts == allowed_hosts(host, public_url="http://127.0.0.1:8501")


def test_a_wildcard_is_no_address_for_browsers() -> None:
    assert "browser.serverAddress" not in streamlit_options(DashboardSettings(host="::"), port=1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_have_all_colours(scheme: str) -> None:
    options = streamlit_options(DashboardSettings(), port=1)
    for name in ("primaryColor", "backgroundColor", "secondaryBackgroundColor", "textColor", "borderColor"):
        assert re.fullmatch(r"#[0-9a-f]{6}", options[f"theme.{scheme}.{name}"])
    assert len(set(options[f"theme.{scheme}.chartCategoricalColors"])) == 8
