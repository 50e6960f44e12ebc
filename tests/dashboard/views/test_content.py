"""Captured content in the detail of a request: for administrators, on demand, as text, audited."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from dashboard.context import LOCAL
from service.content.captured import SealedContent, insert_content
from service.content.parts import Content, Part
from service.keys.secrets import audit_trail, content_vault
from service.ledger.record import RequestRecord
from service.store.content_tables import captured_content
from service.store.engine import Store
from tests.dashboard.conftest import LOOKER, NOW, ROOT, OpenPage
from tests.support.audit import audited
from tests.support.records import some, write

HOSTILE = "![x](http://198.51.100.7/p.png) <img src=//198.51.100.7/q.png> $x^2$ **b**"
QUESTION = Part(text=f'{{"said":"{HOSTILE}"}}', is_json=True, is_whole=True, size=1234, redacted={"email": 2})
ANSWER = Part(text=HOSTILE, is_json=False, is_whole=False, size=7, events=3)


def put(store: Store, answer: Part | None = ANSWER) -> RequestRecord:
    """A record with content."""
    record = next(
        one for one in some(seed=31, count=60, days=1) if one.final and one.attempt == 1 and one.key_id
    )
    write(store, [record])
    record_id = UUID(bytes=record.id)
    row = SealedContent(
        record_id=record_id,
        request_id=UUID(bytes=record.request_id),
        project="acme",
        key_id="key_1",
        end_user=None,
        captured_at=NOW,
        expires_at=NOW + timedelta(days=7),
        sealed_with=1,
        sealed=content_vault(ROOT).seal(Content(QUESTION, answer), record_id=record_id, generation=1),
    )
    with store.write() as tx:
        insert_content(tx, [row])
    return record


def open_at(store: Store, open_page: OpenPage, record: RequestRecord, **more: Any) -> Any:
    return open_page(store, "request", id=str(UUID(bytes=record.request_id)), **more)


def codes(page: Any) -> list[str]:
    return [code.value for code in page.code]


def looks(store: Store) -> list[str]:
    trail = audit_trail(ROOT, now=lambda: NOW)
    return [entry.actor.name for entry in audited(store, "content.read", trail=trail)]


def test_it_is_shown_when_asked_for_as_text_and_audited(books: Store, open_page: OpenPage) -> None:
    record = put(books)
    page = open_at(books, open_page, record)
    assert not any("198.51.100.7" in text for text in codes(page))
    assert looks(books) == []
    page = page.button(key="show-content").click().run()
    assert not page.exception
    assert f'{{\n  "said": "{HOSTILE}"\n}}' in codes(page)
    assert HOSTILE in codes(page)
    texts = [text.value for text in page.text]
    assert "Request: 1,234 bytes, 2 email redacted" in texts
    assert "Answer: 7 bytes, stream of 3 events, put together, not whole" in texts
    marked_up = [*page.markdown, *page.caption, *page.header]
    assert not [element for element in marked_up if "198.51.100.7" in str(element.proto)]
    assert looks(books) == [LOCAL.name]


def test_a_viewer_sees_nothing_of_it(sqlite_store: Store, open_page: OpenPage) -> None:
    page = open_at(sqlite_store, open_page, put(sqlite_store), viewer=LOOKER)
    assert "**Content**" not in [one.value for one in page.markdown]
    assert [button for button in page.button if button.key == "show-content"] == []


def test_where_nothing_was_captured_nothing_is_offered(sqlite_books: Store, open_page: OpenPage) -> None:
    record = next(one for one in some(seed=11, count=300, days=4) if one.final)
    page = open_at(sqlite_books, open_page, record)
    assert "**Content**" not in [one.value for one in page.markdown]


def test_no_answer(sqlite_store: Store, open_page: OpenPage) -> None:
    page = (
        open_at(sqlite_store, open_page, put(sqlite_store, answer=None))
        .button(key="show-content")
        .click()
        .run()
    )
    assert "No answer came." in [text.value for text in page.text]


@pytest.mark.parametrize("sealed", [b"x" * 100, b""])
def test_content_that_was_changed_in_the_store(
    sqlite_store: Store, open_page: OpenPage, sealed: bytes
) -> None:
    record = put(sqlite_store)
    with sqlite_store.write() as tx:
        tx.execute(update(captured_content).values(sealed=sealed))
    page = open_at(sqlite_store, open_page, record).button(key="show-content").click().run()
    assert not page.exception
    assert looks(sqlite_store) == []
