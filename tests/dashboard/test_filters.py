"""Filters in addresses: read back as they were, and refused by name where they cannot be."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.filters import amount, from_query, to_query
from service.errors import InvalidInputError
from service.reporting.dimensions import DIMENSIONS
from service.reporting.rows import RequestFilter

instants = st.none() | st.datetimes(timezones=st.just(UTC))
amounts = st.none() | st.integers(0, 10**18)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
filters = st.dictionaries(
    st.sampled_from(DIMENSIONS), st.lists(texts, min_size=1, max_size=3).map(tuple), max_size=4
)


@given(
    st.builds(
        RequestFilter,
        since=instants,
        until=instants,
        filters=filters,
        request_id=st.none() | texts,
        min_cost_nanos=amounts,
        max_cost_nanos=amounts,
    )
)
def test_a_filter_comes_back_as_it_was(wanted: RequestFilter) -> None:
    assert wanted == from_query(parse_qsl(to_query(wanted), keep_blank_values=True))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("since", "yesterday"),
        ("until", "2026-01-31T00:00:00"),
        ("min_cost_usd", "-1"),
        ("max_cost_usd", "1e9"),
        ("password", "x"),
        ("final_only", "true"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(InvalidInputError, match=name):
        from_query([(name, value)])


def test_a_parameter_given_twice_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="since"):
        from_query([("since", "2026-01-31T00:00:00Z")] * 2)


def test_the_cursor_of_z_is_utc() -> None:
    found = from_query([("since", "2026-01-31T00:00:00Z")])
    assert found.since == datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "nanos"), [(None, None), (" ", None), ("$0.5", 500_000_000), ("2", 2 * 10**9)]
)
def test_amounts_as_people_write_them(text: str | None, nanos: int | None) -> None:
    assert nanos == amount(text, field="min")
