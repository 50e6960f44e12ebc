"""Spans of time as ranges of identifiers."""

from datetime import UTC, datetime

from service.store.spans import id_ceiling, id_floor


def test_an_instant_before_1970_is_before_every_identifier() -> None:
    early = datetime(1, 1, 1, tzinfo=UTC)
    assert id_floor(early).int == id_ceiling(early).int == 0


def test_the_identifiers_of_a_millisecond_lie_between_floor_and_ceiling() -> None:
    instant = datetime(2026, 11, 23, 12, 0, 0, 123_000, tzinfo=UTC)
    after = datetime(2026, 11, 23, 12, 0, 0, 123_001, tzinfo=UTC)
    assert id_floor(instant) == id_ceiling(instant)
    assert id_floor(after) == id_floor(instant)
    assert id_ceiling(after).int - id_floor(after).int == 1 << 80
