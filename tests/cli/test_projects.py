"""`tollkeeper projects`, on SQLite and PostgreSQL."""

import pytest

from tests.cli.conftest import Cli


def test_create_show_update(on_store: Cli) -> None:
    made = on_store.ok(
        *(
            "projects",
            "create",
            "search",
            "--metadata",
            '{"team": 1}',
            "--rpm",
            "60",
            "--concurrency",
            "3",
            "--json",
        )
    ).json
    assert (made["name"], made["metadata"], made["keys"]) == ("search", {"team": 1}, 0)
    assert made["limits"] == {"rpm": 60, "concurrency": 3}
    assert on_store.ok("projects", "show", "search", "--json").json == made
    assert on_store.ok("projects", "show", made["id"], "--json").json == made
    changed = on_store.ok(
        *("projects", "update", "search", "--rpm", "none", "--tpm", "900", "--metadata", "none", "--json")
    ).json
    assert (changed["limits"], changed["metadata"]) == ({"tpm": 900, "concurrency": 3}, None)


def test_a_key_makes_its_project_and_is_its_member(on_store: Cli) -> None:
    on_store.ok("keys", "create", "--name", "a", "--project", "search")
    on_store.ok("keys", "create", "--name", "b", "--project", "other")
    on_store.ok("keys", "update", "b", "--project", "third")
    found = {project["name"]: project["keys"] for project in on_store.ok("projects", "list", "--json").json}
    assert found == {"search": 1, "other": 0, "third": 1}


def test_archive_and_restore(on_store: Cli) -> None:
    on_store.ok("keys", "create", "--name", "a", "--project", "search")
    assert on_store.ok("projects", "archive", "search", "--json").json["archived_at"] is not None
    assert on_store.ok("projects", "list", "--json").json == []
    assert len(on_store.ok("projects", "list", "--all", "--json").json) == 1
    reason = on_store.refused("keys", "create", "--name", "b", "--project", "search")
    assert reason.startswith("the project 'search' is archived; restore it: tollkeeper projects restore prj_")
    assert on_store.ok("projects", "restore", "search", "--json").json["archived_at"] is None
    on_store.ok("keys", "create", "--name", "b", "--project", "search")


def test_people_get_a_table(on_store: Cli) -> None:
    on_store.ok("projects", "create", "search", "--rpm", "60")
    header, line = on_store.ok("projects", "list").out.splitlines()
    assert header.split() == ["id", "name", "keys", "limits", "archived_at", "created_at"]
    assert line.split()[1:5] == ["search", "0", '{"rpm":60}', "-"]
    fields = dict(row.split(maxsplit=1) for row in on_store.ok("projects", "show", "search").out.splitlines())
    assert fields["keys"] == "0"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["create", ""], "name must have 1 to 200"),
        (["create", "a\tb"], "name must have 1 to 200"),
        (["create", "a"], "a project is named 'a' already"),
        (["create", "b", "--rpm", "0"], "limits.rpm must be an integer"),
        (["create", "b", "--metadata", "[]"], "metadata must be a JSON object"),
        (["update", "a", "--rpm", "-1"], "limits.rpm must be an integer, or `none`"),
        (["show", "b"], "no project has the id or name 'b'"),
        (["archive", "prj_absent"], "no project has the id or name 'prj_absent'"),
        (["restore", "\x00"], "no project has the id or name"),
    ],
)
def test_what_cannot_be(cli: Cli, arguments: list[str], reason: str) -> None:
    cli.ok("projects", "create", "a")
    assert reason in cli.refused("projects", *arguments)
