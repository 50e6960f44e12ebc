"""Content over the admin API: for admins only, audited; deletion; what projects keep."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from service.content.captured import SealedContent, insert_content
from service.content.parts import Content, Part
from service.keys.secrets import content_vault
from service.store.content_tables import captured_content
from tests.admin.conftest import ROOT, Api, error_of
from tests.support.audit import audited

QUESTION = Part(text='{"model":"m"}', is_json=True, is_whole=True, size=13, redacted={"email": 1})
ANSWER = Part(text="plain", is_json=False, is_whole=False, size=50_000, events=3)
CAPTURE = {"enabled": True, "retention_days": 7, "redact": ["card", "email"]}


def put(api: Api, number: int = 1, *, answer: Part | None = ANSWER, **facts: Any) -> str:
    record_id = UUID(int=number)
    row = SealedContent(
        **{"project": "acme", "key_id": "key_1", "end_user": "joe", **facts},
        record_id=record_id,
        request_id=UUID(int=1000 + number),
        captured_at=api.clock.now(),
        expires_at=api.clock.now() + timedelta(days=7),
        sealed_with=1,
        sealed=content_vault(ROOT).seal(Content(QUESTION, answer), record_id=record_id, generation=1),
    )
    with api.store.write() as tx:
        insert_content(tx, [row])
    return str(row.request_id)


def test_show(api: Api) -> None:
    identifier = put(api)
    assert api.get(f"/requests/{identifier}/content") == {
        "request_id": identifier,
        "record_id": str(UUID(int=1)),
        "project": "acme",
        "key_id": "key_1",
        "end_user": "joe",
        "captured_at": "2026-03-01T12:00:00Z",
        "expires_at": "2026-03-08T12:00:00Z",
        "request": {
            "body": {"model": "m"},
            "bytes": 13,
            "events": None,
            "whole": True,
            "redacted": {"email": 1},
        },
        "answer": {"body": "plain", "bytes": 50_000, "events": 3, "whole": False, "redacted": {}},
    }
    assert api.get(f"/requests/{put(api, 2, answer=None)}/content")["answer"] is None


def test_every_reading_is_audited_with_who_and_from_where(api: Api) -> None:
    identifier = put(api)
    api.get(f"/requests/{identifier}/content")
    [entry] = audited(api.store, "content.read", trail=api.context.trail)
    assert (entry.actor.kind, entry.actor.name, entry.target.id) == (
        "admin_key",
        "TOLLKEEPER_ADMIN_KEY",
        identifier,
    )
    assert entry.actor.address is not None


def test_viewers_see_no_content_but_how_much_there_is(api: Api) -> None:
    identifier = put(api)
    refused = api.call("GET", f"/requests/{identifier}/content", key=api.viewer_key)
    assert (refused.status_code, error_of(refused)["code"]) == (403, "role_not_allowed")
    assert "may not see this" in error_of(refused)["message"]
    assert audited(api.store, "content.*", trail=api.context.trail) == []
    counted = api.call("GET", "/content", key=api.viewer_key)
    assert counted.json()["data"][0]["requests"] == 1
    assert api.call("DELETE", "/content", key=api.viewer_key, params={"project": "acme"}).status_code == 403
    assert api.get("/content")["data"][0]["requests"] == 1


def test_there_is_none(api: Api) -> None:
    answer = api.call("GET", f"/requests/{UUID(int=9)}/content")
    assert (answer.status_code, error_of(answer)["code"]) == (404, "not_found")
    answer = api.call("GET", "/requests/nonsense/content")
    assert (answer.status_code, error_of(answer)["param"]) == (400, "id")


def test_content_that_was_changed_in_the_store(api: Api) -> None:
    identifier = put(api)
    with api.store.write() as tx:
        tx.execute(update(captured_content).values(sealed=b"x" * 100))
    answer = api.call("GET", f"/requests/{identifier}/content")
    assert (answer.status_code, error_of(answer)["code"]) == (500, "content_unreadable")
    assert "was changed in the store" in error_of(answer)["message"]


def test_delete(api: Api) -> None:
    put(api, 1)
    put(api, 2, project="rival")
    put(api, 3, end_user="jim")

    def delete(**query: str) -> Any:
        answer = api.call("DELETE", "/content", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert delete(end_user="joe", project="acme") == {"deleted": 1}
    assert delete(before="2026-03-01") == {"deleted": 0}
    assert delete(key_id="key_2") == {"deleted": 0}
    assert api.get(f"/requests/{UUID(int=1002)}/content")["project"] == "rival"
    assert delete(before="2026-03-01T12:00:01Z") == {"deleted": 2}
    assert api.get("/content") == {"data": [], "next": None}
    names = [entry.target.name for entry in audited(api.store, "content.delete", trail=api.context.trail)]
    assert names[0] == "end_user=joe project=acme"
    assert len(names) == 4


@pytest.mark.parametrize("query", [{}, {"before": "yesterday"}, {"end_users": "joe"}, {"end_user": "a\x00"}])
def test_a_deletion_that_does_not_say_whose_deletes_nothing(api: Api, query: dict[str, str]) -> None:
    put(api)
    assert api.call("DELETE", "/content", params=query).status_code == 400
    assert api.get("/content")["data"][0]["requests"] == 1


def test_what_a_project_keeps(api: Api) -> None:
    made = api.call("POST", "/projects", json={"name": "acme", "capture": {"enabled": True}})
    assert made.json()["capture"] == {"enabled": True, "retention_days": 30, "redact": None}
    changed = api.call("PATCH", "/projects/acme", json={"capture": {**CAPTURE, "redact": ["email", "card"]}})
    assert changed.json()["capture"] == CAPTURE
    assert api.get("/projects/acme")["capture"] == CAPTURE
    assert api.call("PATCH", "/projects/acme", json={"metadata": {"a": 1}}).json()["capture"] == CAPTURE
    assert api.call("PATCH", "/projects/acme", json={"capture": None}).json()["capture"] is None
    entries = audited(api.store, "project.update", trail=api.context.trail)
    assert [entry.after for entry in entries if entry.after and "capture" in entry.after] == [
        {"capture": CAPTURE},
        {"capture": None},
    ]


@pytest.mark.parametrize(
    ("capture", "param"),
    [
        ({}, "capture"),
        ({"enabled": 1}, "capture.enabled"),
        ({"enabled": True, "retention_days": 0}, "capture.retention_days"),
        ({"enabled": True, "retention_days": 3651}, "capture.retention_days"),
        ({"enabled": True, "redact": ["emails"]}, "capture.redact"),
        ({"enabled": True, "forever": True}, "capture.forever"),
    ],
)
def test_what_no_project_may_keep(sqlite_api: Api, capture: dict[str, Any], param: str) -> None:
    sqlite_api.call("POST", "/projects", json={"name": "acme"})
    for answer in (
        sqlite_api.call("PATCH", "/projects/acme", json={"capture": capture}),
        sqlite_api.call("POST", "/projects", json={"name": "other", "capture": capture}),
    ):
        assert answer.status_code == 400
        assert error_of(answer)["param"].startswith(param)
    assert sqlite_api.get("/projects/acme")["capture"] is None
