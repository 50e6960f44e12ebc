"""Settings: every one of them with its value, and no secret."""

from collections.abc import Callable

import msgspec

from dashboard import settings_table
from dashboard.context import current, install
from service.settings import load
from service.store.engine import Store
from tests.dashboard.conftest import OpenPage
from tests.dashboard.pages import figures, table

ENVIRONMENT = {
    "TOLLKEEPER_ADMIN_KEY": "an-admin-key-that-nobody-may-see-0123456789",
    "TOLLKEEPER_SECRET_KEY": "a-secret-key-that-nobody-may-see-0123456789",
    "TOLLKEEPER_STORE_URL": "postgresql://user:hunter2@db.example/books",
    "OPENAI_API_KEY": "sk-proj-that-nobody-may-see-0123456789abcdef",
}
SECRETS = ("nobody-may-see", "hunter2")


def test_every_setting_stands_there_masked(
    sqlite_books: Store, open_page: OpenPage, installed: Callable[..., None]
) -> None:
    open_page(sqlite_books, "settings")
    loaded = load(config_path=None, environ=ENVIRONMENT, flags={"relay.port": 4123})
    rows = settings_table.rows(loaded)
    assert not [row for row in rows for secret in SECRETS if secret in str(row)]
    found = {row[0]: row[1:3] for row in rows}
    assert found["relay.port"] == ("4123", "flag --port")
    assert found["admin_key"] == ("********", "env TOLLKEEPER_ADMIN_KEY")
    assert found["upstreams[0].api_key"][0] == "********"
    assert found["store.url"][0].startswith("postgresql://user:********@db.example")
    assert all(row[3] for row in rows), "every setting says what it means"
    installed(sqlite_books)
    install(msgspec.structs.replace(current(), loaded=loaded))


def test_a_setting_can_be_found(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, "settings")
    assert figures(page)["Reporting time zone"] == "Asia/Kathmandu"
    page.text_input(key="find").set_value("TIMEZONE").run()
    assert list(table(page, "Setting")["Setting"]) == ["accounting.reporting_timezone"]
    page.text_input(key="find").set_value("no such setting").run()
    assert "No setting matches." in [caption.value for caption in page.caption]
