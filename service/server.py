"""Running the relay's ASGI application on uvicorn, with a shutdown of our own.

The first SIGTERM or SIGINT begins to drain: the listener stays open and answers 503, so that a load balancer sees it,
while open requests run on. When they have ended, or after `drain_timeout_s`, the rest is interrupted and the server
stops. A second signal does not wait. uvicorn's own shutdown would close the listener first.
"""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
import uvloop

from service.relay.context import RelayContext
from service.relay.server_protocol import StrictHttpProtocol

POLL_S = 0.05
INTERRUPT_GRACE_S = 5.0
BACKLOG = 2048
GC_THRESHOLDS = (20_000, 20, 50)


class DrainingServer(uvicorn.Server):
    """uvicorn, told to stop only after the relay is empty."""

    def __init__(
        self, config: uvicorn.Config, *, context: RelayContext, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._context = context
        self._on_ready = on_ready
        self._hurry = False
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  (uvicorn's signature)
        """Begin to drain; the second time, stop waiting."""
        self._hurry = self._context.draining
        self._context.draining = True

    async def on_tick(self, counter: int) -> bool:
        """Uvicorn asks ten times a second whether to stop."""
        if self._context.draining and self._draining is None:
            self._draining = asyncio.ensure_future(self._drain())
        if self._draining is not None and self._draining.done():
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close; a client that has stopped reading cannot keep the process alive with what it never takes."""
        await super().shutdown(sockets)
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()

    async def _drain(self) -> None:
        context = self._context
        loop = asyncio.get_running_loop()
        deadline = loop.time() + context.settings.drain_timeout_s
        await self._while_busy(lambda: not self._hurry and loop.time() < deadline)
        for exchange in list(context.exchanges):
            exchange.interrupt()
        grace = loop.time() + INTERRUPT_GRACE_S
        await self._while_busy(lambda: loop.time() < grace)

    async def _while_busy(self, patient: Callable[[], bool]) -> None:
        while self._context.exchanges and patient():  # noqa: ASYNC110  (looks at two clocks and a flag, at shutdown only)
            await asyncio.sleep(POLL_S)


def run_server(
    build: Callable[[], tuple[Any, RelayContext]],
    *,
    listener: socket.socket,
    on_ready: Callable[[], None],
    on_stopped: Callable[[], Any],
) -> None:
    """Serve until a signal. *build* runs on the event loop, *on_stopped* after the last request."""
    signalled: list[int] = []

    async def main() -> None:
        app, context = build()
        context.draining = bool(signalled)
        config = uvicorn.Config(
            app,
            http=StrictHttpProtocol,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=75,
            ws="none",
            timeout_graceful_shutdown=1,
        )
        server = DrainingServer(config, context=context, on_ready=on_ready)
        _settle_garbage_collector()
        chores = [asyncio.ensure_future(chore) for chore in (_tick(context), context.holding.run())]
        try:
            await server.serve(sockets=[listener])
        finally:
            for chore in chores:
                chore.cancel()
            await context.holding.close()
            await context.client.aclose()
            await asyncio.to_thread(on_stopped)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        # uvicorn listens to signals while it serves; before that they are remembered, after it they are spent.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _frame: signalled.append(number))
        runner.run(main())


def _settle_garbage_collector() -> None:
    """Take what lives as long as the process out of the collector's sight.

    A relay holds tens of thousands of prices and routes that never become garbage; looking at them again and again
    took a quarter of the time of a request. Requests leave almost no cycles, so looking less often costs no memory.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def _tick(context: RelayContext) -> None:
    """Close the coalesced refusals whose window is over, once a second."""
    while True:
        await asyncio.sleep(1.0)
        context.refusals.tick()
