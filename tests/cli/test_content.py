"""`tollkeeper content` and `projects update --capture`, on SQLite and PostgreSQL."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from service.content.captured import SealedContent, insert_content
from service.content.parts import Content, Part
from service.keys.secrets import content_vault
from service.store.engine import Store
from tests.cli.conftest import Cli

SECRET = b"4fd1bb2e9ac07d35e8f61a90c2b7d4e3"
QUESTION = Part(
    text='{"messages":[{"content":"I am [email]\\u001b[2J"}]}',
    is_json=True,
    is_whole=True,
    size=77,
    redacted={"email": 1},
)
ANSWER = Part(text="No \x1b[31mJSON\nat all", is_json=False, is_whole=False, size=4000, events=3)


class Stored:
    """Puts content into the store that the commands see."""

    def __init__(self, url: str) -> None:
        self.store = Store(url)
        self._count = 0

    def __call__(self, *, days_old: int = 0, answer: Part | None = ANSWER, **facts: Any) -> str:
        self._count += 1
        record_id = UUID(int=self._count)
        at = datetime.now(UTC) - timedelta(days=days_old)  # noqa: TID251  (commands go by the machine's clock)
        row = SealedContent(
            **{"project": "acme", "key_id": "key_1", "end_user": None, **facts},
            record_id=record_id,
            request_id=UUID(int=1000 + self._count),
            captured_at=at,
            expires_at=at + timedelta(days=30),
            sealed_with=1,
            sealed=content_vault(SECRET).seal(Content(QUESTION, answer), record_id=record_id, generation=1),
        )
        with self.store.write() as tx:
            insert_content(tx, [row])
        return str(row.request_id)


@pytest.fixture
def stored(on_store: Cli, store_url: str) -> Iterator[Stored]:
    """The store of `on_store`."""
    assert on_store
    made = Stored(store_url)
    with closing(made.store):
        yield made


def test_show_for_people(on_store: Cli, stored: Stored) -> None:
    identifier = stored(end_user="joe")
    out = on_store.ok("content", "show", identifier).out
    assert "\x1b" not in out
    assert "Request (77 bytes, 1 email redacted)" in out
    assert '      "content": "I am [email]\\u001b[2J"' in out
    assert "Answer (4000 bytes, a stream of 3 events, put together, not whole)" in out
    assert "  No \\x1b[31mJSON\n  at all\n" in out
    fields = dict(line.split(maxsplit=1) for line in out.split("\n\n")[0].splitlines())
    assert (fields["project"], fields["end_user"], fields["request_id"]) == ("acme", "joe", identifier)
    assert "No answer came." in on_store.ok("content", "show", stored(answer=None)).out


def test_show_for_programs(on_store: Cli, stored: Stored) -> None:
    found = on_store.ok("content", "show", stored(), "--json").json
    assert found["request"]["body"]["messages"][0]["content"].startswith("I am [email]")
    assert (found["answer"]["body"], found["answer"]["whole"]) == (ANSWER.text, False)


def test_looking_is_in_the_audit_log(on_store: Cli, stored: Stored) -> None:
    identifier = stored()
    on_store.ok("content", "show", identifier)
    [entry] = on_store.ok("audit", "list", "--action", "content.*", "--json").json
    assert (entry["action"], entry["target"]["id"], entry["actor"]["kind"]) == (
        "content.read",
        identifier,
        "command_line",
    )


def test_what_is_not_there(on_store: Cli) -> None:
    assert on_store.refused("content", "show", str(UUID(int=5))).startswith(
        f"there is no content of {UUID(int=5)}"
    )
    assert on_store.refused("content", "show", "x") == "'x' is not a request id"


def test_delete(on_store: Cli, stored: Stored) -> None:
    for facts in (
        {"end_user": "joe"},
        {"end_user": "joe", "project": "rival"},
        {"days_old": 9},
        {"key_id": "key_2"},
    ):
        stored(**facts)
    assert on_store.refused("content", "delete").startswith("say whose content")
    assert on_store.ok("content", "delete", "--end-user", "joe", "--project", "acme").out == (
        "Content of 1 request deleted.\n"
    )
    assert on_store.ok("content", "delete", "--before", "7d", "--json").json == {"deleted": 1}
    assert on_store.ok("content", "delete", "--key", "key_2", "--json").json == {"deleted": 1}
    assert [one["project"] for one in on_store.ok("content", "stats", "--json").json] == ["rival"]


def test_purge_and_stats(on_store: Cli, stored: Stored) -> None:
    stored(days_old=31)
    stored(days_old=29)
    header, line = on_store.ok("content", "stats").out.splitlines()
    assert header.split() == ["project", "requests", "bytes", "oldest", "newest"]
    assert line.split()[:2] == ["acme", "2"]
    assert on_store.ok("content", "purge", "--json").json == {"deleted": 1}
    assert on_store.ok("content", "purge").out == "Content of 0 requests deleted.\n"


def test_doctor_sees_content_that_nobody_purges(on_store: Cli, stored: Stored) -> None:
    def found() -> list[str]:
        checks = on_store("doctor", "--offline", "--json").json["checks"]
        return [f"{check['status']}: {check['detail']}" for check in checks if check["check"] == "content"]

    assert found() == []
    stored(days_old=29)
    assert found() == ["ok: is kept for some projects; none has outlived its retention"]
    stored(days_old=32)
    [problem] = found()
    assert problem.startswith(
        "problem: some has outlived its retention by 2 days and 0 hours: no keeper runs;"
    )
    on_store.ok("content", "purge")
    assert found()[0].startswith("ok")


def test_rotate_key(on_store: Cli, stored: Stored) -> None:
    identifier = stored()
    assert on_store.ok("content", "rotate-key", "--json").json == {"encrypted_anew": 1}
    assert "I am [email]" in on_store.ok("content", "show", identifier).out


def test_a_project_keeps_content_when_it_is_told_to(on_store: Cli) -> None:
    made = on_store.ok("projects", "create", "acme", "--json").json
    assert made["capture"] is None

    def update(*options: str) -> Any:
        return on_store.ok("projects", "update", "acme", *options, "--json").json["capture"]

    assert update("--capture", "on") == {"enabled": True, "retention_days": 30, "redact": None}
    assert update("--retention", "2w") == {"enabled": True, "retention_days": 14, "redact": None}
    assert update("--redact", "email, card") == {
        "enabled": True,
        "retention_days": 14,
        "redact": ["card", "email"],
    }
    assert update("--redact", "none")["redact"] == []
    assert update("--redact", "all")["redact"] is None
    assert update("--capture", "off") == {"enabled": False, "retention_days": 14, "redact": None}
    assert update("--rpm", "5") == {"enabled": False, "retention_days": 14, "redact": None}
    changes = on_store.ok("audit", "list", "--action", "project.update", "--json").json
    assert changes[-1]["before"] == {"capture": None}
    assert changes[-1]["after"]["capture"]["enabled"] is True


def test_what_is_wrong_is_named(on_store: Cli) -> None:
    on_store.ok("projects", "create", "acme")
    refused = on_store.refused
    assert refused("projects", "update", "acme", "--retention", "36h") == (
        "--retention is '36h'; write whole days, such as 30d"
    )
    assert "from 1 to 3650" in refused("projects", "update", "acme", "--retention", "0d")
    assert "from 1 to 3650" in refused("projects", "update", "acme", "--retention", "999999w")
    assert "'employee' is not one of" in refused("projects", "update", "acme", "--redact", "employee")


def test_own_patterns_can_be_named(on_store: Cli, tmp_path: Path) -> None:
    (tmp_path / "tollkeeper.toml").write_text('[content]\npatterns = { employee = "EMP-[0-9]{6}" }\n')
    on_store.ok("projects", "create", "acme")
    found = on_store.ok("projects", "update", "acme", "--redact", "employee", "--json").json
    assert found["capture"]["redact"] == ["employee"]
