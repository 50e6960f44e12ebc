"""What our own client does beyond the common list: its pool and its bounds."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from service.errors import UpstreamAbortedError, UpstreamBrokenError, UpstreamUnreachableError
from service.upstream import http1_connection
from service.upstream.client import UpstreamRequest
from service.upstream.http1 import Http1Call, Http1Client
from service.upstream.http1_connection import Http1Connection
from service.upstream.target import Origin
from tests.upstream.calls import PATIENT, exchange, post, soon
from tests.upstream.wire_server import Peer, WireServer

pytestmark = pytest.mark.anyio

EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
async def http1(anyio_backend: object) -> AsyncIterator[Http1Client]:  # noqa: ARG001  anyio runs it because of it
    client = Http1Client(keep_idle_s=0.2)
    yield client
    await client.aclose()


async def answers(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.send(EMPTY)


async def test_an_idle_connection_is_closed_by_us_without_any_traffic(http1: Http1Client) -> None:
    async with WireServer(answers) as server:
        await exchange(http1, server.url)
        await soon(server.peers[0].gone.wait())
        await exchange(http1, server.url)
        assert len(server.peers) == 2


async def test_a_connection_in_use_stays_when_idle_ones_go(http1: Http1Client) -> None:
    others_gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        slow = b"slow" in await peer.request()
        if slow:
            await others_gone.wait()
        await peer.send(EMPTY)
        await peer.left()
        others_gone.set()

    async with WireServer(script) as server:
        call = post(http1, server.url, body=b"slow")
        pending = asyncio.get_running_loop().create_task(call.head())
        await exchange(http1, server.url)
        assert (await soon(pending)).status == 200
        await call.release()
        assert len(server.peers) == 2


async def test_origins_do_not_share_connections(http1: Http1Client) -> None:
    async with WireServer(answers) as one, WireServer(answers) as other:
        for server in (one, other, one, other):
            await exchange(http1, server.url)
        assert (len(one.peers), len(other.peers)) == (1, 1)


@pytest.fixture
def abrupt_server() -> Iterator[tuple[int, threading.Event, threading.Event]]:
    """Answers once per connection, closes it when told: from a thread, while the event loop stands still."""
    listener = socket.create_server(("127.0.0.1", 0))
    close, closed = threading.Event(), threading.Event()

    def serve() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(EMPTY)
            close.wait(10)
            connection.close()
            closed.set()

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1], close, closed
    close.set()
    thread.join()
    listener.close()


async def test_a_close_the_event_loop_has_not_seen_yet_is_found_before_sending(
    abrupt_server: tuple[int, threading.Event, threading.Event],
) -> None:
    port, close, closed = abrupt_server
    client = Http1Client(keep_idle_s=60)
    url = f"http://127.0.0.1:{port}/"
    await exchange(client, url)
    call = post(client, url)
    close.set()
    assert closed.wait(10)  # the loop must not turn before the next call
    head = await soon(call.head())
    assert head.status == 200
    await call.release()
    await client.aclose()


@pytest.mark.parametrize(
    "endless",
    [
        STREAM_HEAD + b"0\r\nx-trailer: " + b"a" * 300_000,
        STREAM_HEAD + b"3;" + b"a" * 300_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000,
        b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 50_000,
    ],
    ids=["trailer", "chunk extension", "interim responses", "headers"],
)
async def test_what_never_becomes_a_body_is_bounded(http1: Http1Client, endless: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(endless)
        await peer.left()

    async with WireServer(script) as server:
        with pytest.raises(UpstreamBrokenError, match=r"not HTTP|without one of the body"):
            await soon(exchange(http1, server.url))
        await soon(server.peers[0].gone.wait())


async def test_what_waits_for_a_slow_reader_is_bounded(http1: Http1Client) -> None:
    size = 8 * 1024 * 1024

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size, b"x" * size)

    async with WireServer(script) as server:
        call = post(http1, server.url)
        await call.head()
        total = 0
        async for chunk in call.chunks():
            assert len(chunk) <= http1_connection.HIGH_WATER + 256 * 1024
            total += len(chunk)
            await asyncio.sleep(0.001)
        await call.release()
    assert total == size


async def test_events_that_arrive_together_are_handed_on_together(http1: Http1Client) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM_HEAD + b"".join(b"1\r\n%d\r\n" % n for n in range(9)) + b"0\r\n\r\n")
        await peer.left()

    async with WireServer(script) as server:
        call = post(http1, server.url)
        await call.head()
        assert [chunk async for chunk in call.chunks()] == [b"012345678"]
        await call.release()


async def test_the_status_of_an_unread_answer_does_not_reach_the_next_one(http1: Http1Client) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 500 No\r\nx-a: 1\r\ncontent-length: 5\r\n\r\nfirst")
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond")
        await peer.left()

    async with WireServer(script) as server:
        call = post(http1, server.url)
        await call.head()
        await call.release()  # the body was not asked for
        head, body = await exchange(http1, server.url)
    assert (head.status, head.headers, body) == (200, [(b"content-length", b"6")], b"second")


class AbortingClient(Http1Client):
    """Aborts its call at the last moment: the connection is there, the request is not sent."""

    aborting: Http1Call

    async def connect(self, origin: Origin) -> Http1Connection:
        connection = await super().connect(origin)
        self.aborting.abort()
        return connection


@pytest.mark.usefixtures("anyio_backend")
async def test_abort_between_connecting_and_sending_sends_nothing() -> None:
    seen = bytearray()

    async def script(peer: Peer) -> None:
        seen.extend(await peer.request())

    client = AbortingClient()
    async with WireServer(script) as server:
        client.aborting = client.call(UpstreamRequest("POST", server.url, [], b"{}"), timeouts=PATIENT)
        with pytest.raises(UpstreamAbortedError):
            await client.aborting.head()
        await soon(server.peers[0].gone.wait())
        await client.aborting.release()
        await client.aclose()
    assert seen == b""


async def test_closing_the_client_while_it_connects_sends_nothing(http1: Http1Client) -> None:
    async def script(peer: Peer) -> None:
        await peer.left()

    async with WireServer(script) as server:
        pending = asyncio.get_running_loop().create_task(post(http1, server.url).head())
        await asyncio.sleep(0)  # it is connecting
        await http1.aclose()
        with pytest.raises(UpstreamUnreachableError, match="closed"):
            await soon(pending)


async def test_a_closed_client_sends_nothing(http1: Http1Client) -> None:
    async with WireServer(answers) as server:
        await http1.aclose()
        with pytest.raises(UpstreamUnreachableError, match="closed"):
            await exchange(http1, server.url)
        assert server.peers == []
