"""`tollkeeper prices`, on SQLite and PostgreSQL."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from service.app import prepare_store
from service.pricing.genai import import_genai_prices
from service.reporting.check import check
from service.store.engine import Store
from service.store.revision import read_revision
from service.usage.tokens import TokenUsage
from tests.cli.conftest import Cli
from tests.support.rated import rated, variety
from tests.support.records import write

USAGE = TokenUsage(input_tokens=1_000_000, output_tokens=100_000)
BAD_AMOUNTS = ["NaN", "inf", "-1", "1e3", "1" * 31, "0.0000001", "1,5", "$2", "", "0x10", "1_000", "٣"]


def revision(store: Store) -> int:
    with store.read() as tx:
        return read_revision(tx)


def test_set_show_list_and_end(on_store: Cli, store: Store) -> None:
    (created,) = on_store.ok(
        *("prices", "set", "gpt-4o", "--provider", "openai", "--input", "2.50", "--output", "10.00"),
        *("--cache-read-input", "1.25", "--from", "2026-01-01", "--alias", "gpt4o, 4o", "--json"),
    ).json["added"]
    assert revision(store) == 1
    shown = on_store.ok("prices", "show", created["id"], "--json").json
    assert {name: shown[name] for name in created} == created
    assert (shown["status"], shown["input_usd_per_mtok"], shown["aliases"]) == (
        "current",
        "2.50",
        ["gpt4o", "4o"],
    )
    assert on_store.ok("prices", "show", "4o", "--provider", "openai", "--json").json == shown
    assert on_store.ok("prices", "list", "--json").json == [shown]
    assert on_store.ok("prices", "end", created["id"]).out.startswith(f"{created['id']} ends at 20")
    assert revision(store) == 2
    assert on_store.ok("prices", "list", "--json").json == []
    assert [one["status"] for one in on_store.ok("prices", "list", "--all", "--json").json] == ["ended"]
    assert "has already ended" in on_store.refused("prices", "end", created["id"])


def test_instants_may_be_said(on_store: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.cli.prices.PAGE", 1)
    old, new = (
        on_store.ok("prices", "set", "m", "--input", amount, "--from", since, "--json").json["added"][0]["id"]
        for amount, since in (("1", "2026-01-01"), ("2", "2026-02-01"))
    )
    assert on_store.ok("prices", "show", "m", "--at", "2026-01-15", "--json").json["id"] == old
    assert on_store.ok("prices", "show", "m", "--at", "2026-02-15", "--json").json["id"] == new
    ended = on_store.ok("prices", "end", new, "--at", "2026-02-10", "--json").json
    assert (ended["status"], ended["effective_to"]) == ("ended", "2026-02-10T00:00:00Z")
    assert on_store.ok("prices", "show", "m", "--at", "2026-02-15", "--json").json["id"] == old
    assert [one["id"] for one in on_store.ok("prices", "list", "--json").json] == [old]
    assert {one["id"] for one in on_store.ok("prices", "list", "--all", "--json").json} == {old, new}


def test_an_older_package_says_that_the_book_goes_on(on_store: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert on_store.ok("prices", "update").out.startswith("genai-prices ")
    cards = tuple(replace(one, id=f"{one.id}x", source_version="9.9") for one in import_genai_prices()[:5])
    for found in (cards, import_genai_prices()):
        monkeypatch.setattr("service.cli.prices.import_genai_prices", lambda found=found: found)
        outcome = on_store.ok("prices", "update")
    assert " imported after 9.9: " in outcome.out
    assert outcome.err == "The book goes on with 9.9, which was imported later: upgrade genai-prices.\n"


def test_people_get_tables(on_store: Cli) -> None:
    outcome = on_store.ok("prices", "set", "gpt-4o", "--input", "2.5", "--output", "10", "--request", "0.01")
    header, row = outcome.out.splitlines()
    assert header.split() == [
        "id",
        "scope",
        "model",
        "input_usd_per_mtok",
        "output_usd_per_mtok",
        "request_usd",
    ]
    assert row.split()[1:] == ["global", "gpt-4o", "2.50", "10.00", "0.01"]
    assert outcome.err.startswith("1 added, 0 there already, 0 replaced.")
    header, row = on_store.ok("prices", "list").out.splitlines()
    assert row.split()[-3:] == ["2.50", "-", "10.00"]
    assert ["input_usd_per_mtok", "2.50"] in [
        line.split() for line in on_store.ok("prices", "show", "gpt-4o").out.splitlines()
    ]


def test_setting_a_price_again_replaces_it(on_store: Cli, store: Store) -> None:
    on_store.ok("prices", "set", "gpt-4o", "--input", "1", "--output", "1")
    assert (
        "0 added, 1 there already, 0 replaced"
        in on_store.ok("prices", "set", "gpt-4o", "--input", "1", "--output", "1").err
    )
    assert revision(store) == 1
    assert (
        "1 added, 0 there already, 1 replaced"
        in on_store.ok("prices", "set", "gpt-4o", "--input", "2", "--output", "1").err
    )
    assert [one["input_usd_per_mtok"] for one in on_store.ok("prices", "list", "--json").json] == ["2.00"]


def test_the_narrowest_scope_wins(on_store: Cli) -> None:
    key = on_store.ok("keys", "create", "--name", "app", "--project", "p", "--json").json["id"]
    for number, scope in enumerate(((), ("--upstream", "u"), ("--project", "p"), ("--key", "app")), start=1):
        on_store.ok("prices", "set", "gpt-4o", "--input", str(number), "--output", "1", *scope)
        shown = on_store.ok(
            "prices", "show", "gpt-4o", "--key", key, "--project", "p", "--upstream", "u", "--json"
        ).json
        assert shown["input_usd_per_mtok"] == f"{number}.00"
    assert shown["scope_id"] == key
    elsewhere = on_store.ok("prices", "show", "gpt-4o", "--key", "another", "--json").json
    assert elsewhere["scope"] == "global"


@pytest.mark.parametrize("amount", BAD_AMOUNTS)
def test_amounts_that_are_no_plain_decimals_are_refused(on_store: Cli, store: Store, amount: str) -> None:
    said = on_store.refused("prices", "set", "gpt-4o", "--input", amount, "--output", "1")
    assert "input_usd_per_mtok" in said
    said = (
        on_store.refused("prices", "set", "gpt-4o", "--request", amount)
        if amount != "0.0000001"
        else "request_usd"
    )
    assert "request_usd" in said
    assert revision(store) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "gpt-4o"), "a price needs at least one amount"),
        (("set", " ", "--input", "1"), "model must have 1 to 200 printable"),
        (
            ("set", "m", "--input", "1", "--key", "k", "--project", "p"),
            "--key and --project exclude each other",
        ),
        (("set", "m", "--input", "1", "--key", "nobody"), "no key has the id or name 'nobody'"),
        (("set", "m", "--input", "1", "--from", "soon"), "effective_from is 'soon'"),
        (
            ("set", "m", "--input", "1", "--from", "2026-02-01", "--to", "2026-01-01"),
            "effective_to must be later",
        ),
        (("show", "nothing"), "no price has the id 'nothing'"),
        (("end", "nothing"), "there is no price 'nothing'"),
        (("end", "nothing", "--at", "soon"), "--at is 'soon'"),
        (("reprice", "--since", "1d", "--until", "2d"), "--until must be later than --since"),
        (("reprice", "--since", "soon"), "--since is 'soon'"),
        (("reprice", "--timezone", "Mars"), "timezone is 'Mars'"),
        (("reprice", "--reason", " "), "reason must be one line"),
        (("unpriced", "--since", "0001-01-01"), "--since is in the year 1;"),
        (("unpriced", "--until", "soon"), "--until is 'soon'"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(
    on_store: Cli, store: Store, arguments: tuple[str, ...], said: str
) -> None:
    assert said in on_store.refused("prices", *arguments)
    assert revision(store) == 0


FILES = {
    "prices.toml": (
        '[[prices]]\nmodel = "a"\ninput_usd_per_mtok = "1"\n\n'
        '[[prices]]\nmodel = "b"\noutput_usd_per_mtok = "{}"\n'
    ),
    "prices.csv": "model,input_usd_per_mtok,output_usd_per_mtok\na,1,\n\nb,,{}\n",
}


@pytest.mark.parametrize(("name", "line"), [("prices.toml", 7), ("prices.csv", 4)])
def test_a_file_is_taken_whole_or_not_at_all(on_store: Cli, store: Store, name: str, line: int) -> None:
    file = Path(name)
    for amount in ("NaN", "-2", "1e9", "9" * 31):
        file.write_text(FILES[name].format(amount))
        said = on_store.refused("prices", "import", name)
        assert said.startswith(f"line {line}: output_usd_per_mtok ")
        assert revision(store) == 0
    file.write_text(FILES[name].format("2"))
    assert on_store.ok("prices", "import", name, "--dry-run").err == "2 prices; nothing was changed.\n"
    assert len(on_store.ok("prices", "import", name, "--dry-run", "--json").json) == 2
    assert revision(store) == 0
    assert "2 added" in on_store.ok("prices", "import", name).err
    assert "0 added, 2 there already" in on_store.ok("prices", "import", name).err
    assert {one["model"] for one in on_store.ok("prices", "list", "--json").json} == {"a", "b"}


def test_a_file_with_a_key_that_does_not_exist_changes_nothing(on_store: Cli, store: Store) -> None:
    Path("p.csv").write_text("model,scope,scope_id,input_usd_per_mtok\na,,,1\nb,key,key_nobody,1\n")
    assert "key_nobody" in on_store.refused("prices", "import", "p.csv")
    assert revision(store) == 0
    assert on_store.ok("prices", "list", "--json").json == []


def test_files_that_are_none(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("p.txt").write_text("")
    assert "say --format" in cli.refused("prices", "import", "p.txt")
    Path("p.csv").write_bytes(b"model\n\xff")
    assert "p.csv is not UTF-8" in cli.refused("prices", "import", "p.csv")
    assert cli("prices", "import", "absent.csv").code == 2
    monkeypatch.setattr("service.cli.price_changes.LARGEST_FILE", 3)
    assert "is larger than" in cli.refused("prices", "import", "p.csv")


def test_update_imports_the_installed_prices(on_store: Cli, store: Store) -> None:
    first = on_store.ok("prices", "update", "--json").json
    assert (first["before"], first["in_use"]) == (None, first["version"])
    assert first["new"] > 2_000
    assert revision(store) == 1
    outcome = on_store.ok("prices", "update")
    counts = f"0 new, 0 changed, {first['new']} unchanged, 0 gone"
    assert outcome.out == f"genai-prices {first['version']} is in the book already: {counts}.\n"
    assert revision(store) == 1
    listed = on_store.ok("prices", "list", "--provider", "openai", "--model", "gpt-4o", "--json").json
    assert [one["scope"] for one in listed] == ["imported"]


def test_from_unpriced_to_priced(on_store: Cli, store: Store) -> None:
    write(store, [rated(1, USAGE, upstream_model="house-model"), rated(2, USAGE)])
    span = ("--since", "2026-03-01", "--until", "2026-04-01")
    (row,) = on_store.ok("prices", "unpriced", *span, "--json").json
    assert (row["model"], row["requests"], row["input_tokens"]) == ("house-model", 1, 1_000_000)
    command = (
        row["remedy"]
        .replace("--input USD_PER_MTOK", "--input 2")
        .replace("--output USD_PER_MTOK", "--output 4")
    )
    assert "house-model" in on_store.ok("prices", "unpriced", *span).out
    on_store.ok(*command.split()[1:])
    (row,) = on_store.ok("prices", "unpriced", *span, "--json").json
    assert row["remedy"] == "tollkeeper prices reprice --model house-model --apply"
    shown = on_store.ok("prices", "reprice", "--model", "house-model", "--json").json
    assert shown == {
        "applied": False,
        "data": [{"day": "2026-03-06", "model": "house-model", **RESULT}],
        "total": RESULT,
        "unchanged": {"same": 0, "no_usage": 0, "no_price": 0, "provider_cost": 0},
    }
    assert (
        on_store.ok("prices", "reprice", "--model", "house-model", "--apply", "--json").json["data"]
        == shown["data"]
    )
    assert on_store.ok("prices", "unpriced", *span).out.startswith("Everything used from ")
    assert check(store) == []
    again = on_store.ok("prices", "reprice", "--apply")
    assert (again.out, again.err) == ("", "0 records changed; 1 cost the same, 1 have no price.\n")


RESULT: dict[str, Any] = {
    "records": 1, "newly_priced": 1, "old_usd": "0.00", "new_usd": "2.40", "delta_usd": "2.40",
}  # fmt: skip


def test_reprice_shows_before_it_writes(on_store: Cli, store: Store) -> None:
    write(store, variety())
    on_store.ok("prices", "set", "gpt-4o", "--input", "5", "--output", "10")
    shown = on_store.ok("prices", "reprice", "--since", "2026-03-01", "--timezone", "America/Los_Angeles")
    header, *rows, total = [line.split() for line in shown.out.splitlines()]
    assert header == ["day", "model", "records", "newly_priced", "old_usd", "new_usd", "delta_usd"]
    assert [row[0] for row in rows] == ["2026-03-05", "2026-03-06"]
    assert (total[0], total[-5]) == ("total", "4")
    assert shown.err.endswith("Nothing is written yet; --apply writes it.\n")
    done = on_store.ok(
        "prices", "reprice", "--since", "2026-03-01", "--timezone", "America/Los_Angeles", "--apply"
    )
    assert done.out == shown.out
    assert done.err.startswith("4 records changed; ")


def test_prices_of_a_fresh_installation(cli: Cli) -> None:
    """`prices set` before the first `up` makes the store; looking at one that is not there does not."""
    assert "does not exist yet" in cli.refused("prices", "list")
    cli.ok("prices", "set", "gpt-4o", "--input", "1", "--output", "1")
    with closing(Store("sqlite:///tollkeeper.db")) as store:
        prepare_store(store)
    assert len(cli.ok("prices", "list", "--scope", "global", "--json").json) == 1
