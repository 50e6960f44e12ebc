"""`tollkeeper upstreams`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

NOWHERE = "http://127.0.0.1:1/v1"


@contextmanager
def provider(status: int) -> Iterator[str]:
    """A provider that answers every GET with *status*, if the key is right."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            right = self.headers["Authorization"] == "Bearer sk-live"
            self.send_response(status if right else 401)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name there)
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def configured(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Two upstreams, one with a key; the second is the first choice."""
    monkeypatch.setenv("PROVIDER_KEY", "sk-live")
    write(NOWHERE, NOWHERE)
    return cli


def write(spare: str, main: str) -> None:
    Path("tollkeeper.toml").write_text(f"""
[[upstreams]]
name = "spare"
base_url = "{spare}"
priority = 1
[[upstreams]]
name = "main"
base_url = "{main}"
api_key = "env:PROVIDER_KEY"
models = ["gpt-*"]
idle_timeout_s = 7
""")


def test_they_are_listed_first_choice_first(configured: Cli) -> None:
    listed = configured.ok("upstreams", "list", "--json").json
    assert [(one["name"], one["host"], one["has_key"]) for one in listed] == [
        ("main", "127.0.0.1:1", True),
        ("spare", "127.0.0.1:1", False),
    ]
    header, first, second = configured.ok("upstreams", "list").out.splitlines()
    assert header.split() == ["name", "host", "provider", "models", "priority", "weight", "has_key"]
    assert first.split() == ["main", "127.0.0.1:1", "openai", "gpt-*", "0", "1", "yes"]
    assert second.split()[-1] == "no"


def test_one_is_shown_without_its_key(configured: Cli) -> None:
    outcome = configured.ok("upstreams", "show", "main")
    assert ["timeouts.idle_s", "7.0"] in [line.split() for line in outcome.out.splitlines()]
    assert configured.ok("upstreams", "show", "main", "--json").json["timeouts"]["idle_s"] == 7
    assert "sk-live" not in outcome.out
    assert "no upstream is named 'x'; there are: main, spare" in configured.refused("upstreams", "show", "x")


def test_none_is_configured(cli: Cli) -> None:
    outcome = cli.ok("upstreams", "list")
    assert "simulated upstream" in outcome.err
    assert cli.ok("upstreams", "list", "--json").json == []
    assert "there are: none" in cli.refused("upstreams", "test", "x")
    assert cli.ok("upstreams", "test", "--json").json == []
    for command in ("list", "test"):
        assert "None is configured" in cli.ok("upstreams", command).err


def test_one_that_answers(configured: Cli) -> None:
    with provider(200) as url:
        write(NOWHERE, url)
        assert configured.ok("upstreams", "test", "main", "--json").json == [
            {"name": "main", "status": "ok", "detail": f"{url} answers (status 200 to GET /models)"}
        ]


@pytest.mark.parametrize(
    ("status", "judged", "detail"),
    [(403, "problem", "refuses the key with status 403"), (500, "warning", "answers with status 500")],
)
def test_one_that_does_not_answer_as_it_should(
    configured: Cli, status: int, judged: str, detail: str
) -> None:
    with provider(status) as url:
        write(NOWHERE, url)
        outcome = configured("upstreams", "test", "main", "--json")
    assert outcome.code == 1
    (row,) = outcome.json
    assert (row["status"], detail in row["detail"]) == (judged, True)


def test_all_are_asked(configured: Cli) -> None:
    with provider(200) as url:
        write(NOWHERE, url)
        outcome = configured("upstreams", "test")
    assert outcome.code == 1
    rows = outcome.out.splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [["main", "ok"], ["spare", "problem"]]
    assert "sk-live" not in outcome.out
