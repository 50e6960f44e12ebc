"""`tollkeeper config show`: every setting with its origin, no secret."""

from pathlib import Path

import pytest

from service.settings.catalogue import ENTRIES
from tests.cli.conftest import Cli

SECRET = "4fd1bb2e9ac07d35e8f61a90c2b7d4e3"
TOML = """
[store]
url = "postgresql://me:hunter2@db/books"
[[upstreams]]
name = "openai"
base_url = "https://api.openai.com/v1"
api_key = "env:PROVIDER_KEY"
"""


def test_every_setting_with_its_origin(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tollkeeper.toml").write_text(TOML)
    monkeypatch.setenv("TOLLKEEPER_PORT", "4001")
    monkeypatch.setenv("TOLLKEEPER_ADMIN_KEY", SECRET)
    monkeypatch.setenv("PROVIDER_KEY", "sk-live-abcdef")
    outcome = cli.ok("config", "show", "--json")
    found = outcome.json
    assert set(ENTRIES) < set(found["settings"])
    assert found["file"] == "tollkeeper.toml"
    assert found["settings"]["relay.port"] == {"value": 4001, "origin": "env TOLLKEEPER_PORT"}
    assert found["settings"]["relay.host"] == {"value": "127.0.0.1", "origin": "default"}
    assert found["settings"]["store.url"]["value"] == "postgresql://me:********@db/books"
    assert found["settings"]["upstreams[0].api_key"] == {"value": "********", "origin": "tollkeeper.toml"}
    assert found["settings"]["admin_key"] == {"value": "********", "origin": "env TOLLKEEPER_ADMIN_KEY"}
    for text in (outcome.out, cli.ok("config", "show").out):
        for secret in ("hunter2", "sk-live", SECRET):
            assert secret not in text


def test_what_is_missing_is_said_beside_the_settings(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tollkeeper.toml").write_text(TOML)
    monkeypatch.setenv("TOLLKEEPER_PROT", "1")
    outcome = cli.ok("config", "show")
    assert "upstreams[0].base_url" in outcome.out
    assert "PROVIDER_KEY, which is not set" in outcome.err
    assert "did you mean TOLLKEEPER_PORT?" in outcome.err
    found = cli.ok("config", "show", "--json").json
    assert len(found["problems"]) == len(found["notes"]) == 1


def test_settings_that_cannot_be_read(cli: Cli) -> None:
    Path("tollkeeper.toml").write_text("[relay]\nprot = 1")
    assert "did you mean relay.port?" in cli.refused("config", "show")
