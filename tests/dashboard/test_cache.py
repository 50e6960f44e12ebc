"""Kept reads: store, scope and every argument are the key, for every function that keeps anything."""

import inspect
from collections.abc import Callable
from types import ModuleType

import msgspec
import pytest
from sqlalchemy import Connection

from dashboard import cache, controlling, data, pricing, spending
from dashboard.cache import kept
from dashboard.context import LOCAL, current, install
from dashboard.viewer import Viewer
from service.store.engine import Store
from tests.dashboard.conftest import LOOKER

READS = [data, spending, controlling, pricing]
calls: list[tuple[str, int]] = []


@kept(60)
def counted(_tx: Connection, word: str, *, number: int = 0) -> int:
    calls.append((word, number))
    return len(calls)


@kept(60)
def counted_too(_tx: Connection, word: str, *, number: int = 0) -> int:
    calls.append((word, number))
    return len(calls)


@pytest.fixture
def opened(sqlite_store: Store, installed: Callable[..., None]) -> Callable[[Viewer], None]:
    installed(sqlite_store)
    calls.clear()

    def look(viewer: Viewer) -> None:
        install(msgspec.structs.replace(current(), who=lambda: viewer))

    return look


def test_the_same_question_is_asked_once(opened: Callable[[Viewer], None]) -> None:
    opened(LOCAL)
    assert [counted("a"), counted("a"), counted("a", number=1), counted("b")] == [1, 1, 2, 3]


def test_another_scope_has_another_answer(opened: Callable[[Viewer], None]) -> None:
    opened(LOCAL)
    assert counted("a") == 1
    opened(LOOKER)
    assert counted("a") == 2
    opened(Viewer(id="acc_2", name="Another", role="viewer"))
    assert counted("a") == 2


def test_two_functions_of_one_shape_share_nothing(opened: Callable[[Viewer], None]) -> None:
    opened(LOCAL)
    assert (counted("a"), counted_too("a")) == (1, 2)


@pytest.mark.parametrize("module", READS, ids=lambda module: module.__name__)
def test_nothing_reads_around_the_kept_reads(module: ModuleType) -> None:
    """Whatever takes a transaction is kept, so that the scope is part of its key."""
    source = inspect.getsource(module)
    assert "cache_resource" not in source
    assert "cache_data" not in source
    reads = source.count("(tx: Connection") + source.count("(\n    tx: Connection")
    assert reads == source.count("@kept(")


def test_only_one_place_keeps_anything() -> None:
    assert "st.cache_resource(" in inspect.getsource(cache)
