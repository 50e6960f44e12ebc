"""`tollkeeper admin-keys`, on SQLite and PostgreSQL."""

from service.keys.token import parse
from tests.cli.conftest import Cli


def test_a_key_is_shown_once(on_store: Cli) -> None:
    created = on_store.ok("admin-keys", "create", "--name", "ops", "--role", "viewer", "--json").json
    parts = parse(created["key"])
    assert parts is not None
    assert (parts.kind, parts.public_id) == ("tka", created["public_id"])
    (listed,) = on_store.ok("admin-keys", "list", "--json").json
    assert listed == {name: value for name, value in created.items() if name != "key"}


def test_people_get_fields_and_a_warning(on_store: Cli) -> None:
    outcome = on_store.ok("admin-keys", "create", "--name", "ops", "--role", "admin")
    fields = dict(line.split(maxsplit=1) for line in outcome.out.splitlines())
    assert parse(fields["key"]) is not None
    assert (fields["name"], fields["role"], fields["revoked_at"]) == ("ops", "admin", "-")
    assert outcome.err == "\nThe key is shown once; keep it.\n"
    assert on_store.ok("admin-keys", "list").out.splitlines()[0].split()[:3] == ["public_id", "name", "role"]


def test_revoke_takes_a_name_or_an_id(on_store: Cli) -> None:
    ids = [
        on_store.ok("admin-keys", "create", "--name", name, "--role", "admin", "--json").json["public_id"]
        for name in ("a", "b", "b")
    ]
    assert on_store.ok("admin-keys", "revoke", "a", "--json").json["revoked_at"] is not None
    assert "2 admin keys are named 'b'" in on_store.refused("admin-keys", "revoke", "b")
    assert "revoked_at" in on_store.ok("admin-keys", "revoke", ids[1]).out
    assert "no admin key has the id 'a'" in on_store.refused("admin-keys", "revoke", "a")
    assert [key["public_id"] for key in on_store.ok("admin-keys", "list", "--json").json] == [ids[2]]
    assert len(on_store.ok("admin-keys", "list", "--all", "--json").json) == 3


def test_what_cannot_be(on_store: Cli) -> None:
    assert on_store("admin-keys", "create", "--name", "a").code == 2
    assert on_store("admin-keys", "create", "--name", "a", "--role", "owner").code == 2
    assert "name must have" in on_store.refused("admin-keys", "create", "--name", "", "--role", "admin")
