"""A relay on a real socket within the test's process.

The relay is what `tollkeeper serve` runs: `RelayProcess` under uvicorn with `StrictHttpProtocol`, on an event loop in
a thread of its own. Its store is a copy of one that was migrated, priced and given its secret once.
"""

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import uvicorn
import uvloop
from sqlalchemy import select

from service.app import RelayProcess, prepare_store
from service.errors import JournalFullError
from service.keys.registry import KeyRegistry
from service.keys.values import NewKey
from service.ledger.record import Intent, Opening, Progress
from service.relay.context import Clock, RelayContext
from service.relay.server_protocol import StrictHttpProtocol
from service.server import DrainingServer
from service.settings import (
    AccountingSettings,
    BudgetSettings,
    RelaySettings,
    Secret,
    Settings,
    StoreSettings,
    TelemetrySettings,
    UpstreamSettings,
)
from service.store.engine import Store
from service.store.tables import request_record
from tests.support.audit import TESTER
from tests.support.client import Client
from tests.support.stores import _locked as locked
from tests.support.stores import copied_sqlite, migrated_sqlite
from tests.support.upstream import PATIENCE_S

T = TypeVar("T")
SECRET = "a root secret of tests, of more than thirty-two characters"
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {**CHAT, "stream": True}


def priced_sqlite(shared: Path, *, to: Path) -> str:
    """The URL of a copy of a store that is migrated and priced."""
    template = shared / "priced.db"
    with locked(shared / "priced.lock"):
        if not template.exists():
            url = copied_sqlite(migrated_sqlite(shared / "sqlite"), to=shared / "unfinished.db")
            with closing(Store(url)) as store:
                prepare_store(store)
            (shared / "unfinished.db").rename(template)
    return copied_sqlite(template, to=to)


class Relay:
    """One relay process, as a thread. Settings of `[relay]` are keyword arguments."""

    def __init__(
        self,
        folder: Path,
        *,
        store_url: str,
        upstreams: Iterable[UpstreamSettings],
        clock: Clock | None = None,
        on_unpriced: Any = "allow",
        cap_output: bool = False,
        telemetry: TelemetrySettings | None = None,
        otlp_headers: str | None = None,
        **relay: Any,
    ) -> None:
        settings = Settings(
            store=StoreSettings(url=store_url),
            relay=RelaySettings(port=0, data_dir=folder / "data", **relay),
            accounting=AccountingSettings(on_unpriced=on_unpriced),
            budgets=BudgetSettings(cap_output=cap_output),
            telemetry=telemetry or TelemetrySettings(),
            otlp_headers=None if otlp_headers is None else Secret(otlp_headers),
            upstreams=tuple(upstreams),
            secret_key=Secret(SECRET),
        )
        self.process = RelayProcess(settings, clock=clock)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._serve, name="relay")
        self.context: RelayContext
        self.server: DrainingServer
        self._loop: asyncio.AbstractEventLoop

    def __enter__(self) -> Self:
        self.process.start()
        self._thread.start()
        self._ready.result(PATIENCE_S)
        self.key = self.new_key()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Where the data plane is."""
        return f"http://127.0.0.1:{self.port}/v1"

    def new_key(self, **new: Any) -> str:
        """A virtual key that this relay knows already."""
        registry = self._keys()
        with self.process.store.write() as tx:
            issued = registry.create(tx, NewKey(**{"name": "test", **new}), by=TESTER)
        self.process.configuration.refresh_now()
        return issued.token

    def _keys(self) -> KeyRegistry:
        return KeyRegistry(self.process.peppers, trail=self.process.trail, now=_now, random_bytes=os.urandom)

    def revoke(self, name: str) -> None:
        """End the key of this *name*; this relay knows."""
        registry = self._keys()
        with self.process.store.write() as tx:
            registry.revoke(tx, registry.find(tx, name).id, by=TESTER)
        self.process.configuration.refresh_now()

    def client(self, key: str | None = "", *, port: int | None = None) -> "Client":
        """A new connection; *key* "" stands for a valid one, None for none."""
        return Client(self.port if port is None else port, key=self.key if key == "" else key)

    def on_loop(self, call: Callable[[], T]) -> T:
        """What *call* returns on the relay's event loop."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(call())
            except BaseException as error:  # noqa: BLE001  (raised in the test)
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result(PATIENCE_S)

    def records(self, agent: str | None = None, *, count: int = 1) -> list[dict[str, Any]]:
        """The *count* stored records of the client that calls itself *agent*, in order; fails if there are others."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.process.recorder._wake.set()
            found = self._stored(agent)
            if len(found) >= count or time.monotonic() > deadline:
                break
            time.sleep(0.005)
        assert len(found) == count, found
        return found

    def record(self, client: "Client") -> dict[str, Any]:
        """The one record of what *client* asked."""
        return self.records(client.agent)[0]

    def left_records(self, agent: str) -> list[dict[str, Any]]:
        """The records of *agent* in the store that this relay has left."""
        with closing(Store(self.process.settings.store.url)) as store:
            return _of(store, agent)

    def fill_journal(self) -> None:
        """Leave no room for one more request; the relay needs `journal_max_bytes=1 << 20`, which is one segment."""
        journal = self.process.journal

        def fill() -> None:
            opening = Opening(id=b"", request_id=b"", attempt=1, started_at=self.process.clock.micros())
            with contextlib.suppress(JournalFullError):
                while True:
                    opening.id = opening.request_id = os.urandom(16)
                    journal.open(Intent(opening))
            for _ in range(1000):
                journal.progress(Progress(opening.id, 200, 0, 0, None, None, 0, 0, 0))

        self.on_loop(fill)

    def is_idle(self) -> bool:
        """Wait until no exchange is open."""
        return until(lambda: self.on_loop(lambda: not self.context.exchanges))

    def drain(self) -> None:
        """What the first SIGTERM does."""
        self.on_loop(lambda: self.server.handle_exit(15, None))

    def stop(self) -> None:
        """End, as a second signal would; what is open is interrupted and recorded."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(lambda: self.server.handle_exit(15, None))
            self._loop.call_soon_threadsafe(lambda: self.server.handle_exit(15, None))
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._main())
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)
        finally:
            self._listener.close()
            self.process.close()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        app, self.context = self.process.build()
        config = uvicorn.Config(
            app,
            http=StrictHttpProtocol,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self.server = DrainingServer(
            config, context=self.context, on_ready=lambda: self._ready.set_result(None)
        )
        caring = asyncio.ensure_future(self.context.holding.run())
        try:
            await self.server.serve(sockets=[self._listener])
        finally:
            caring.cancel()
            await self.context.holding.close()
            await self.context.client.aclose()

    def _stored(self, agent: str | None) -> list[dict[str, Any]]:
        return _of(self.process.store, agent)


def _of(store: Store, agent: str | None) -> list[dict[str, Any]]:
    query = select(request_record).order_by(request_record.c.started_at, request_record.c.attempt)
    if agent is not None:
        query = query.where(request_record.c.user_agent == agent)
    with store.read() as tx:
        return [dict(row) for row in tx.execute(query).mappings()]


def until(condition: Callable[[], bool]) -> bool:
    """Wait for what must happen."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def upstream(name: str, url: str, **more: Any) -> UpstreamSettings:
    """A configured upstream with a key of its own."""
    return UpstreamSettings(name=name, base_url=url, api_key=Secret(f"sk-of-{name}"), **more)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  (keys of tests begin now)
