"""Viewers of the dashboard without browsers: sessions that open the Overview and refresh it as its pages ask for.

    python -m benchmarks.viewers --url http://127.0.0.1:8501 --token SESSION --viewers 10

They speak Streamlit's protocol over its WebSocket, so that on a small machine the server is measured and not ten
browsers. Each looks at another time range in turn, and keeps what it was sent. Prints a line once every page has been
drawn, ends at SIGTERM, and prints how many runs of fragments it asked for, and how long these took.
"""

import argparse
import asyncio
import signal
import statistics
import sys
import time
from dataclasses import dataclass, field

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState, ContextInfo
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

RANGES = ("7d", "Today", "24h", "30d", "MTD")
COOKIE = "tollkeeper_session"


@dataclass
class Viewer:
    """One session; *drawn* once its page is there."""

    query: str
    drawn: asyncio.Event = field(default_factory=asyncio.Event)
    asked: dict[str, float] = field(default_factory=dict)
    took_s: list[float] = field(default_factory=list)
    received_bytes: int = 0
    _kept: set[str] = field(default_factory=set)
    _page: str = ""

    async def look(self, url: str, token: str) -> None:
        """Open the page and refresh its parts, until cancelled."""
        address = url.replace("http", "ws", 1) + "/_stcore/stream"
        headers = {"Cookie": f"{COOKIE}={token}", "Origin": url}
        async with (
            connect(
                address,
                subprotocols=[Subprotocol("streamlit")],
                additional_headers=headers,
                max_size=None,
                compression=None,
            ) as socket,
            asyncio.TaskGroup() as clocks,
        ):
            await self._ask(socket)
            running: dict[str, asyncio.Task[None]] = {}
            async for data in socket:
                assert isinstance(data, bytes)
                self.received_bytes += len(data)
                message = ForwardMsg.FromString(data)
                match message.WhichOneof("type"):
                    case "new_session":
                        self._page = message.new_session.page_script_hash
                    case "auto_rerun":
                        wanted = message.auto_rerun
                        if (old := running.get(wanted.fragment_id)) is not None:
                            old.cancel()
                        running[wanted.fragment_id] = clocks.create_task(
                            self._refresh(socket, wanted.fragment_id, every_s=wanted.interval)
                        )
                    case "script_finished":
                        self._finished()
                if message.metadata.cacheable and message.hash:
                    self._kept.add(message.hash)

    async def _refresh(self, socket: ClientConnection, fragment: str, *, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            self.asked.setdefault(fragment, time.perf_counter())
            await self._ask(socket, fragment=fragment)

    async def _ask(self, socket: ClientConnection, *, fragment: str = "") -> None:
        wanted = ClientState(
            query_string=self.query,
            page_script_hash=self._page,
            fragment_id=fragment,
            is_auto_rerun=bool(fragment),
            cached_message_hashes=list(self._kept),
            context_info=ContextInfo(timezone="UTC", locale="en-US", url="http://127.0.0.1/"),
        )
        await socket.send(BackMsg(rerun_script=wanted).SerializeToString())

    def _finished(self) -> None:
        self.drawn.set()
        now = time.perf_counter()
        self.took_s += [now - since for since in self.asked.values()]
        self.asked.clear()


async def crowd(url: str, token: str, *, viewers: int) -> None:
    """Everybody looks until SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    everyone = [Viewer(f"range={RANGES[number % len(RANGES)]}") for number in range(viewers)]
    async with asyncio.TaskGroup() as group:
        looking = [group.create_task(viewer.look(url, token)) for viewer in everyone]
        for viewer in everyone:
            await viewer.drawn.wait()
        print(f"{viewers} viewers look", flush=True)
        await stop.wait()
        for one in looking:
            one.cancel()
    took = [spent for viewer in everyone for spent in viewer.took_s]
    if took:
        print(
            f"{len(took)} refreshes: p50 {statistics.median(took) * 1000:.0f} ms, worst {max(took) * 1000:.0f} ms; "
            f"{sum(viewer.received_bytes for viewer in everyone) / 1e6:.1f} MB received"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True)
    parser.add_argument("--token", required=True, help="the session cookie of somebody who is signed in")
    parser.add_argument("--viewers", type=int, default=10)
    options = parser.parse_args()
    asyncio.run(crowd(options.url, options.token, viewers=options.viewers))
    sys.exit(0)


if __name__ == "__main__":
    main()
