"""`tollkeeper doctor`: finds what would keep a relay from working, and exits 1 then."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import insert, text

from service.cli.findings import clock_finding
from service.store.engine import Store
from service.store.tables import dead_letter
from tests.cli.conftest import Cli, Outcome

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def statuses(outcome: Outcome) -> dict[str, str]:
    """The worst status of each check."""
    order = ["ok", "warning", "problem"]
    found: dict[str, str] = {}
    for check in outcome.json["checks"]:
        worst = max(found.get(check["check"], "ok"), check["status"], key=order.index)
        found[check["check"]] = worst
    assert outcome.json["ok"] == ("problem" not in found.values())
    assert outcome.code == (0 if outcome.json["ok"] else 1)
    return found


def detail(outcome: Outcome, check: str) -> str:
    return " | ".join(found["detail"] for found in outcome.json["checks"] if found["check"] == check)


@contextmanager
def provider(
    status: int, *, ahead: timedelta = timedelta(0), date: str | None = None
) -> Iterator[tuple[str, list[str]]]:
    """An upstream that gives one status to everything, with a clock of its own."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.path} {self.headers['authorization']}")
            self.send_response_only(status)
            now = datetime.now(UTC)  # noqa: TID251  (the provider's clock)
            self.send_header("Server", "fake")
            self.send_header("Date", format_datetime(now + ahead, usegmt=True) if date is None else date)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def configure(base_url: str, *, key: str | None = "env:PROVIDER_KEY") -> None:
    text = f'[[upstreams]]\nname = "openai"\nbase_url = "{base_url}"\n'
    Path("tollkeeper.toml").write_text(text if key is None else f'{text}api_key = "{key}"\n')


@pytest.fixture
def healthy(on_store: Cli) -> Cli:
    on_store.ok("migrate")
    on_store.ok("keys", "create", "--name", "a")
    return on_store


def test_a_working_installation(healthy: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_KEY", "sk-live")
    with provider(200) as (base_url, seen):
        configure(base_url)
        outcome = healthy("doctor", "--json")
    assert set(statuses(outcome).values()) == {"ok"}
    assert seen == ["/v1/models Bearer sk-live"]
    assert "sk-live" not in outcome.out
    assert {"configuration", "store", "secret key", "journal", "prices", "clock", "versions"} < set(
        statuses(outcome)
    )
    assert "SQLite" in detail(outcome, "versions")


def test_nothing_is_created_or_changed_by_looking(cli: Cli) -> None:
    outcome = cli("doctor", "--json")
    found = statuses(outcome)
    assert (found["store"], found["upstreams"], found["secret key"]) == ("warning", "warning", "ok")
    assert list(Path().iterdir()) == []


def test_a_table_for_people(cli: Cli) -> None:
    lines = cli.ok("doctor").out.splitlines()
    assert lines[0].split() == ["check", "status", "detail"]
    assert any(line.startswith("configuration  ok") for line in lines)


def test_settings_that_cannot_be_read(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLKEEPER_PORT", "x")
    outcome = cli("doctor", "--json")
    assert statuses(outcome)["configuration"] == "problem"
    assert "env TOLLKEEPER_PORT" in detail(outcome, "configuration")


def test_a_missing_provider_key(healthy: Cli) -> None:
    configure("http://127.0.0.1:9/v1")
    outcome = healthy("doctor", "--json", "--offline")
    assert statuses(outcome)["configuration"] == "problem"
    assert "PROVIDER_KEY, which is not set" in detail(outcome, "configuration")
    assert "upstream openai" not in statuses(outcome)


@pytest.mark.parametrize(
    ("status", "expected"), [(401, "problem"), (403, "problem"), (404, "ok"), (503, "warning")]
)
def test_what_an_upstream_answers(healthy: Cli, status: int, expected: str) -> None:
    with provider(status) as (base_url, _seen):
        configure(base_url, key=None)
        outcome = healthy("doctor", "--json")
    assert statuses(outcome)["upstream openai"] == expected
    assert str(status) in detail(outcome, "upstream openai")


def test_an_upstream_that_is_not_there(healthy: Cli) -> None:
    with provider(200) as (base_url, _seen):
        pass
    configure(base_url, key=None)
    outcome = healthy("doctor", "--json")
    assert statuses(outcome)["upstream openai"] == "problem"
    assert "does not answer" in detail(outcome, "upstream openai")


def test_a_clock_that_is_wrong(healthy: Cli) -> None:
    with provider(200, ahead=timedelta(hours=1)) as (base_url, _seen):
        configure(base_url, key=None)
        outcome = healthy("doctor", "--json")
    assert statuses(outcome)["clock"] == "warning"
    assert "from upstream openai; synchronise it" in detail(outcome, "clock")


@pytest.mark.parametrize(
    ("skew_s", "status"), [(0, "ok"), (5, "ok"), (-5, "ok"), (6, "warning"), (-6, "warning")]
)
def test_how_wrong_a_clock_may_be(skew_s: int, status: str) -> None:
    found = clock_finding(NOW, others={"the store": NOW + timedelta(seconds=skew_s)})
    assert found.status == status


def test_an_empty_and_a_newer_store(cli: Cli, empty_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    url = empty_store.url.render_as_string(hide_password=False)
    monkeypatch.setenv("TOLLKEEPER_STORE_URL", url)
    monkeypatch.setenv("TOLLKEEPER_SECRET_KEY", "4fd1bb2e9ac07d35e8f61a90c2b7d4e3")
    with empty_store.write() as tx:
        tx.execute(text("SELECT 1"))
    outcome = cli("doctor", "--json")
    assert "is empty; run: tollkeeper migrate" in detail(outcome, "store")
    with empty_store.write() as tx:
        tx.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        tx.execute(text("INSERT INTO alembic_version VALUES ('9999_next')"))
    outcome = cli("doctor", "--json")
    assert "is at schema 9999_next, not this version's" in detail(outcome, "store")
    assert statuses(outcome)["store"] == "problem"


def test_a_store_that_is_not_there(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLKEEPER_STORE_URL", "postgresql://nobody:hunter2@127.0.0.1:1/none")
    outcome = cli("doctor", "--json")
    assert (statuses(outcome)["store"], statuses(outcome)["secret key"]) == ("problem", "problem")
    assert "hunter2" not in outcome.out
    monkeypatch.setenv("TOLLKEEPER_STORE_URL", "sqlite:///absent/books.db")
    assert "create it" in detail(cli("doctor", "--json"), "store")


def test_records_that_the_store_refused(healthy: Cli, store_url: str) -> None:
    row = {"id": UUID(int=1), "received_at": NOW, "record": b"{}", "error": "poison"}
    with closing(Store(store_url)) as store, store.write() as tx:
        tx.execute(insert(dead_letter).values(row))
    outcome = healthy("doctor", "--json")
    assert "refused 1 records" in detail(outcome, "store")
    assert statuses(outcome)["store"] == "problem"


def test_a_secret_that_is_gone_or_another(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.ok("keys", "create", "--name", "a")
    file = Path(".tollkeeper/secret.key")
    file.chmod(0o644)
    assert statuses(cli("doctor", "--json"))["secret key"] == "warning"
    before = file.read_text()
    file.unlink()
    outcome = cli("doctor", "--json")
    assert "restore it from a backup" in detail(outcome, "secret key")
    assert not file.exists()
    file.write_text(before[::-1].strip())
    outcome = cli("doctor", "--json")
    assert "the store was set up with" in detail(outcome, "secret key")
    monkeypatch.setenv("TOLLKEEPER_SECRET_KEY", before.strip())
    assert statuses(cli("doctor", "--json"))["secret key"] == "ok"


def test_no_prices(on_store: Cli) -> None:
    outcome = on_store("doctor", "--json")
    assert (statuses(outcome)["prices"], outcome.code) == ("problem", 1)


def test_prices_of_another_version(healthy: Cli, store_url: str) -> None:
    with closing(Store(store_url)) as store, store.write() as tx:
        tx.execute(text("UPDATE price_card SET source_version = '0.0.1'"))
    outcome = healthy("doctor", "--json")
    assert (statuses(outcome)["prices"], outcome.code) == ("warning", 0)


def test_a_journal_that_cannot_be_written_is_damaged_or_short_of_room(cli: Cli) -> None:
    cli.ok("migrate")
    Path(".tollkeeper").write_text("a file where the directory should be")
    outcome = cli("doctor", "--json")
    assert "cannot be written" in detail(outcome, "journal")
    Path(".tollkeeper").unlink()
    Path(".tollkeeper/journal").mkdir(parents=True)
    Path(".tollkeeper/journal/a-000001.journal").write_bytes(b"x" * (1 << 20))
    assert "1 segment, 1.0 MiB" in detail(cli("doctor", "--json"), "journal")
    Path("tollkeeper.toml").write_text(f"[relay]\njournal_max_bytes = {1 << 60}")
    assert statuses(cli("doctor", "--json"))["journal"] == "warning"
    Path(".tollkeeper/journal/a-000001.damaged").touch()
    outcome = cli("doctor", "--json")
    assert "a-000001.damaged" in detail(outcome, "journal")
    assert statuses(outcome)["journal"] == "problem"


@pytest.mark.parametrize("date", ["soon", "", "Sun, 01 Mar 2026 12:00:00 -0000"])
def test_a_clock_that_cannot_be_read_is_not_compared(healthy: Cli, date: str) -> None:
    with provider(200, date=date) as (base_url, _seen):
        configure(base_url, key=None)
        outcome = healthy("doctor", "--json")
    assert statuses(outcome)["clock"] == "ok"
    assert "upstream openai" not in detail(outcome, "clock")


def test_an_upstream_without_a_key(healthy: Cli) -> None:
    with provider(200) as (base_url, seen):
        Path("tollkeeper.toml").write_text(f'[[upstreams]]\nname = "local"\nbase_url = "{base_url}"\n')
        assert statuses(healthy("doctor", "--json"))["upstream local"] == "ok"
    assert seen == ["/v1/models None"]


def test_a_variable_that_sets_nothing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLKEEPER_PROT", "1")
    outcome = cli("doctor", "--json")
    assert (statuses(outcome)["configuration"], outcome.code) == ("warning", 0)


def test_another_store_may_be_named(cli: Cli, tmp_path: Path) -> None:
    cli.ok("migrate", "--store-url", f"sqlite:///{tmp_path}/other.db")
    assert "other.db" in detail(
        cli("doctor", "--store-url", f"sqlite:///{tmp_path}/other.db", "--json"), "store"
    )
    outcome = cli("doctor", "--store-url", "banana", "--json")
    assert (outcome.code, statuses(outcome)["store"]) == (1, "problem")
