"""PostgreSQL reads our array literals as the values that they were made of."""

from contextlib import closing
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.ledger.postgres_arrays import array_literal
from service.store.engine import Store

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
AWKWARD = st.sampled_from(
    ("NULL", "null", "", " ", "{", "}", ",", '"', "\\", '\\"', "a,b", "{a}", "é🙂", "\n\t")
)
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS | AWKWARD,
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "double precision": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "uuid": st.uuids().map(lambda identifier: identifier.bytes),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_back_is_what_went_in(kind: str, postgres_url: str) -> None:
    with closing(Store(postgres_url)) as store, store.read() as tx:

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.lists(st.none() | KINDS[kind], min_size=1, max_size=6))
        def there_and_back(values: list[Any]) -> None:
            found = tx.exec_driver_sql(
                f"SELECT value FROM unnest(%s::{kind}[]) WITH ORDINALITY AS given(value, place) ORDER BY place",
                (array_literal(values),),
            ).scalars()
            assert [one.bytes if isinstance(one, UUID) else one for one in found] == values

        there_and_back()


def test_a_value_that_is_no_text_is_refused() -> None:
    """As the content of a record is refused: the record goes to the dead letters, the rest of its batch does not."""
    with pytest.raises(ValueError, match="no text"):
        array_literal(["a", 7])
