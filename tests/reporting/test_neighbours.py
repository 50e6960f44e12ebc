"""From one request to the next: in order, within the filter, and past further attempts of the same request."""

from typing import Any

import pytest

from service.errors import InvalidInputError
from service.reporting.neighbours import neighbours
from service.reporting.rows import RequestFilter, list_requests
from service.store.engine import Store
from tests.support.records import some, write


@pytest.fixture
def rows(store: Store) -> list[dict[str, Any]]:
    write(store, some(seed=3, count=60, days=1))
    with store.read() as tx:
        return list(list_requests(tx, RequestFilter(), limit=1000).data)


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("filters", [{}, {"model": ("gpt-4o",)}, {"outcome": ("ok", "timeout")}])
def test_a_walk_from_the_newest_to_the_oldest_and_back(
    store: Store, filters: dict[str, tuple[str, ...]]
) -> None:
    wanted = RequestFilter(filters=filters)
    with store.read() as tx:
        listed = list_requests(tx, wanted, limit=1000).data
        ids = [row["request_id"] for row in listed]
        for number, row in enumerate(listed):
            found = neighbours(tx, wanted, of=row["request_id"])
            here = row["request_id"]
            older = [other for other in listed if other["id"] < here and other["request_id"] != here]
            newer = [other for other in listed if other["id"] > here and other["request_id"] != here]
            assert found.older == (older[0]["request_id"] if older else None), (number, ids)
            assert found.newer == (newer[-1]["request_id"] if newer else None)


def test_what_is_no_id_is_refused_and_an_unknown_one_has_neighbours(
    store: Store, rows: list[dict[str, Any]]
) -> None:
    with store.read() as tx:
        with pytest.raises(InvalidInputError):
            neighbours(tx, RequestFilter(), of="nonsense")
        found = neighbours(tx, RequestFilter(), of="ffffffff-ffff-7fff-bfff-ffffffffffff")
    assert (found.newer, found.older) == (None, rows[0]["request_id"])
