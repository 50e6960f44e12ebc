"""Names with several addresses, some of them dead."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.errors import UpstreamUnreachableError
from service.upstream.dial import addresses
from service.upstream.http1 import Http1Client
from service.upstream.target import Origin
from tests.upstream.calls import exchange, soon
from tests.upstream.test_tls import CERTS, server_context
from tests.upstream.wire_server import Peer, WireServer

pytestmark = pytest.mark.anyio

REFUSING = "127.0.0.2"  # our servers listen on 127.0.0.1 only


@asynccontextmanager
async def client_knowing(*known: str) -> AsyncIterator[Http1Client]:
    async def resolve(origin: Origin) -> list[str]:
        assert origin.host == "localhost"
        return list(known)

    client = Http1Client(resolve=resolve)
    try:
        yield client
    finally:
        await client.aclose()


async def answer(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


async def mute(peer: Peer) -> None:
    await peer.left()


async def test_an_address_that_refuses_gives_way_to_the_next() -> None:
    async with WireServer(answer) as server, client_knowing(REFUSING, "127.0.0.1") as client:
        _, body = await soon(exchange(client, server.url.replace("127.0.0.1", "localhost")))
    assert body == b"{}"


async def test_an_address_that_says_nothing_gives_way_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts the connection and never answers the TLS greeting; the name is still the one that is verified."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTS / "authority.pem"))
    async with (
        WireServer(answer, tls=server_context()) as server,
        WireServer(mute, address=(REFUSING, server.port)) as first,
        client_knowing(REFUSING, "127.0.0.1") as client,
    ):
        _, body = await soon(exchange(client, server.url))
        assert len(first.peers) == 1
    assert body == b"{}"


async def test_no_address_that_answers_is_unreachable() -> None:
    async with WireServer(answer) as server, client_knowing(REFUSING, "127.0.0.3") as client:
        with pytest.raises(UpstreamUnreachableError, match="nothing was sent"):
            await soon(exchange(client, server.url.replace("127.0.0.1", "localhost")))
        assert server.peers == []


async def test_every_address_is_named_once() -> None:
    assert await addresses(Origin("http", "127.0.0.1", 80)) == ["127.0.0.1"]
    assert await addresses(Origin("http", "::1", 80)) == ["::1"]
