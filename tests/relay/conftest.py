"""A relay that the tests of one process share, its upstreams, and relays of one test's own."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from service.app import prepare_store
from service.settings import UpstreamSettings
from service.store.engine import Store
from tests.support.client import Client
from tests.support.relay import Relay, priced_sqlite
from tests.support.relay import upstream as configured
from tests.support.upstream import Upstream

MakeRelay = Callable[..., Relay]
MakeWorld = Callable[..., "World"]


class World(NamedTuple):
    """The shared relay and the upstreams it knows, by their names."""

    relay: Relay
    upstreams: dict[str, Upstream]


@pytest.fixture(scope="session")
def world(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The shared relay. Every upstream serves the models whose names begin with its own."""
    folder = tmp_path_factory.mktemp("relay")
    with ExitStack() as stack:
        settings: list[UpstreamSettings] = []
        upstreams: dict[str, Upstream] = {}
        special: dict[str, dict[str, Any]] = {
            "gpt": {"models": ("gpt-*", "o1")},
            "cancel": {"on_disconnect": "cancel"},
            "mistral": {"provider": "mistral"},
            "azure": {"provider": "azure"},
        }
        for name, more in special.items():
            upstreams[name] = stack.enter_context(Upstream())
            settings.append(configured(name, upstreams[name].url, **{"models": (f"{name}-*",), **more}))
        url = priced_sqlite(shared_folder, to=folder / "tollkeeper.db")
        relay = stack.enter_context(Relay(folder, store_url=url, upstreams=settings))
        yield World(relay, upstreams)


@pytest.fixture
def upstreams(world: World) -> Iterator[dict[str, Upstream]]:
    """The upstreams of the shared relay."""
    yield world.upstreams
    for upstream in world.upstreams.values():
        upstream.forget()


@pytest.fixture
def upstream(upstreams: dict[str, Upstream]) -> Upstream:
    """The upstream that serves `gpt-…`."""
    return upstreams["gpt"]


@pytest.fixture
def relay(world: World) -> Relay:
    """The shared relay."""
    return world.relay


@pytest.fixture
def client(relay: Relay) -> Iterator[Client]:
    """A connection to the shared relay, with a valid key."""
    with relay.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def make_world(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeWorld]:
    """Makes a relay for the tests of one module: `make_world({"a": {"priority": 1}}, max_body_bytes=4096)`."""
    with ExitStack() as stack:

        def make(names: dict[str, dict[str, Any]], **more: Any) -> World:
            folder = tmp_path_factory.mktemp("relay")
            url = priced_sqlite(shared_folder, to=folder / "tollkeeper.db")
            peers = {name: stack.enter_context(Upstream()) for name in names}
            settings = [configured(name, peers[name].url, **fields) for name, fields in names.items()]
            relay = Relay(folder, store_url=url, upstreams=settings, **more)
            return World(stack.enter_context(relay), peers)

        yield make


@pytest.fixture
def make_upstream() -> Iterator[Callable[[], Upstream]]:
    """Makes upstreams of the test's own."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Upstream())


@pytest.fixture
def make_relay(shared_folder: Path, tmp_path: Path) -> Iterator[MakeRelay]:
    """Makes relays of the test's own: `make_relay(configured("a", url), …, drain_timeout_s=1)`."""
    with ExitStack() as stack:

        def make(*upstreams: UpstreamSettings, **more: Any) -> Relay:
            folder = tmp_path / f"relay-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            url = more.pop("store_url", None)
            if url is None:
                url = priced_sqlite(shared_folder, to=folder / "tollkeeper.db")
            else:
                with closing(Store(url)) as store:
                    prepare_store(store)
            return stack.enter_context(Relay(folder, store_url=url, upstreams=upstreams, **more))

        yield make


@pytest.fixture
def hasty(make_relay: MakeRelay, make_upstream: Callable[[], Upstream]) -> Iterator[World]:
    """A relay whose upstreams have one short limit each, named after it; `long` is a longer `total`, `away` is away."""
    limits = {"first_byte": 0.2, "idle": 0.2, "total": 0.2}
    ours = {name: make_upstream() for name in (*limits, "long")}
    settings = [
        configured(name, ours[name].url, models=(name,), **{f"{name}_timeout_s": limit})
        for name, limit in limits.items()
    ]
    settings.append(configured("long", ours["long"].url, models=("long",), total_timeout_s=3.0))
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/v1"  # TCP connects, TLS never does
        settings.append(configured("connect", url, models=("connect",), connect_timeout_s=0.2))
        away = f"http://127.0.0.1:{gone.getsockname()[1]}/v1"
        gone.close()
        settings.append(configured("away", away, models=("away",)))
        yield World(make_relay(*settings), ours)
