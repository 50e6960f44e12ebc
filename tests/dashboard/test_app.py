"""The frame: the pages that exist, and a calm page while the store is away."""

from contextlib import closing

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from service.store.engine import Store
from tests.dashboard.conftest import OpenPage
from tests.support.dashboards import away
from tests.support.records import some, write
from tests.support.stores import Postgres


def titles(page: AppTest) -> list[str]:
    return [header.value for header in page.header]


@pytest.mark.parametrize(
    ("address", "title"),
    [("overview", "Overview"), ("requests", "Requests"), ("request", "No such request")],
)
def test_every_page_has_its_address(
    sqlite_books: Store, open_page: OpenPage, address: str, title: str
) -> None:
    assert titles(open_page(sqlite_books, address)) == [title]


def test_the_page_comes_back_with_the_store(
    postgres: Postgres, postgres_url: str, open_page: OpenPage
) -> None:
    with closing(Store(postgres_url)) as store:
        write(store, some(seed=11, count=50, days=4))
        page = open_page(store)
        assert titles(page) == ["Overview"]
        with away(postgres, postgres_url):
            st.cache_resource.clear()
            page.run()
            assert titles(page) == ["The store does not answer right now"]
            assert not page.exception
            assert "Trying again" in page.info[0].value
        page.run()
        assert titles(page) == ["Overview"]
        assert page.metric


def test_a_part_of_a_page_says_it_on_its_own() -> None:
    def script() -> None:
        from dashboard.views.away import calmly
        from service.errors import StoreUnavailableError

        @calmly
        def part() -> None:
            raise StoreUnavailableError("password and address")

        part()

    page = AppTest.from_function(script).run()
    assert not page.exception
    assert [caption.value for caption in page.caption] == [
        ":material/cloud_off: The store does not answer right now; trying again."
    ]
