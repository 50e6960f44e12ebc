"""The audit log: entries as they were written, filters as the registry understands them, and a proof."""

import pytest
from sqlalchemy import text

from dashboard import formats
from dashboard.context import current
from service.audit.actor import Actor
from service.audit.trail import AuditFilter
from service.keys.values import NewKey
from service.store.engine import Store
from tests.dashboard.conftest import OpenPage
from tests.dashboard.pages import press, refusals, table


@pytest.fixture
def written(store: Store, open_page: OpenPage) -> Store:
    open_page(store, "audit")
    with store.write() as tx:
        for name in ("one", "two"):
            made = current().registries.keys.create(tx, NewKey(name=name), by=Actor.system("first start"))
        current().registries.keys.revoke(tx, made.key.id, by=Actor("account", "acc_1", "Ada", "198.51.100.7"))
    return store


def test_every_entry_is_there_newest_first(written: Store, open_page: OpenPage) -> None:
    shown = table(open_page(written, "audit"), "No", "After")
    with written.read() as tx:
        entries = current().registries.trail.list(tx, AuditFilter(), limit=100)
    assert list(shown["No"]) == [entry.seq for entry in entries]
    assert list(shown["What"]) == [entry.action for entry in entries]
    assert list(shown["Which"]) == [entry.target.name for entry in entries]
    assert (shown["Who"][0], shown["By"][0], shown["From"][0]) == ("Ada", "account", "198.51.100.7")
    assert shown["When"][0] == formats.instant(entries[0].at, timezone="Asia/Kathmandu")


@pytest.mark.parametrize(
    ("query", "count"),
    [({"who": "Ada"}, 1), ({"what": "key.*"}, 3), ({"what": "key.revoke"}, 1), ({"which": "one"}, 1)],
)
def test_a_filter_is_a_link(written: Store, open_page: OpenPage, query: dict[str, str], count: int) -> None:
    assert len(table(open_page(written, "audit", **query), "No")) == count


def test_nothing_found_and_nonsense_are_said_calmly(written: Store, open_page: OpenPage) -> None:
    assert "No entry matches" in open_page(written, "audit", who="nobody").info[0].value
    assert "character" in refusals(open_page(written, "audit", who="\x00"))


def test_the_log_proves_itself_and_an_edit_is_found(written: Store, open_page: OpenPage) -> None:
    page = press(open_page(written, "audit"), "Verify the log")
    with written.read() as tx:
        verified = current().registries.trail.verify(tx)
    assert f"All {verified.entries} entries are as they were written." in page.success[0].value
    assert page.code[0].value == f"{verified.head.seq}:{verified.head.mac.hex()}"
    with written.write() as tx:
        if tx.dialect.name == "sqlite":
            for (name,) in tx.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                tx.execute(text(f"DROP TRIGGER {name}"))
        else:
            tx.execute(text("ALTER TABLE audit_entry DISABLE TRIGGER USER"))
        tx.execute(text("UPDATE audit_entry SET target_name = 'x' WHERE seq = 2"))
    page = press(open_page(written, "audit"), "Verify the log")
    assert "problem" in page.error[0].value
