"""The documentation names what there is, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

from service.ledger.record import NOT_STORED, RequestRecord
from service.store.tables import OUTCOMES, request_record

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_glossary_names_every_column_of_a_record() -> None:
    text = (ROOT / "docs/glossary.md").read_text()
    assert [column.name for column in request_record.columns if f"`{column.name}`" not in text] == []


def test_glossary_names_every_outcome() -> None:
    text = (ROOT / "docs/glossary.md").read_text()
    assert [outcome for outcome in OUTCOMES if f"`{outcome}`" not in text] == []


def test_a_record_has_exactly_the_columns_of_its_table() -> None:
    assert set(RequestRecord.__struct_fields__) - NOT_STORED == {
        column.name for column in request_record.columns
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
