"""Cursors: what is written can be read, and nothing else."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.admin.paging import read_cursor, write_cursor
from service.errors import InvalidInputError

instants = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31)).map(  # noqa: DTZ001  (Hypothesis wants them naive)
    lambda instant: instant.replace(tzinfo=UTC)
)


@given(instants, st.from_regex(r"[0-9A-Za-z_]{1,40}", fullmatch=True).filter(str.isascii))
def test_a_cursor_reads_back(created_at: datetime, key_id: str) -> None:
    assert read_cursor(write_cursor(created_at, key_id)) == (created_at, key_id)


def test_no_cursor_is_the_beginning() -> None:
    assert read_cursor(None) is None


@given(st.text(max_size=300))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_cursor(text)
    assert caught.value.field == "cursor"
