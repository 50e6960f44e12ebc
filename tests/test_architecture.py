"""The architecture is executable: who may import whom stands in pyproject.toml."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_imports_keep_the_contracts() -> None:
    """In a process of its own: it switches off the loggers of whoever runs it."""
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
    ]
    found = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


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


POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{\d*,?\d*\})\+")
KNOWN_GROUPS = ('(?:\\\\.[^"\\\\]*+)*+', '(?:{STRING}[^"\\[\\]{{}}]*+)*+')


def test_no_possessive_group_may_fail_halfway() -> None:
    """Python before 3.11.5 does not take back what such a group has read; `(?>(?:...)*)` is right in all versions.

    The groups of JSON strings fail halfway only where the text ends, and nothing can follow there.
    """
    assert POSSESSIVE_GROUP.search(r"(?:\.{1,2}\w)*+")
    found = []
    for package in ("service", "dashboard"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            for known in KNOWN_GROUPS:
                text = text.replace(known, "")
            found += [str(path) for _ in POSSESSIVE_GROUP.finditer(text)]
    assert not found
