"""The architecture is executable: who may import whom stands in pyproject.toml."""

from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]


def test_imports_keep_the_contracts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    status = lint_imports(no_cache=True)
    assert status == 0, capsys.readouterr().out


def test_top_level_is_as_the_readme_says() -> None:
    expected = {"pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile"}
    assert expected <= {path.name for path in ROOT.iterdir()}


def test_modules_fit_in_the_head() -> None:
    too_long = {
        str(path.relative_to(ROOT)): lines
        for folder in ("service", "dashboard")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 330
    }
    assert too_long == {}
