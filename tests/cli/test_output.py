"""What commands print of numbers and times."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from service.cli.output import cell_text, counted, instant_text

NOON = datetime(2026, 3, 1, 12, 0, 0, 999_999, tzinfo=UTC)


def test_times_are_in_utc_whatever_zone_they_come_in() -> None:
    madrid = NOON.astimezone(ZoneInfo("Europe/Madrid"))
    assert cell_text(madrid) == cell_text(NOON) == "2026-03-01 12:00:00Z"


def test_another_zone_has_its_offset() -> None:
    assert instant_text(NOON, zone=ZoneInfo("Asia/Kathmandu"), timespec="minutes") == "2026-03-01 17:45+05:45"


@pytest.mark.parametrize(("number", "text"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows")])
def test_one_is_no_plural(number: int, text: str) -> None:
    assert counted(number, "row") == text
