"""Which transport one gets, and what no transport takes from the environment."""

import pytest

from service.errors import ConfigurationError
from service.upstream.client import UpstreamClient, make_client
from service.upstream.http1 import Http1Client
from service.upstream.httpx_transport import HttpxClient
from tests.upstream.calls import exchange
from tests.upstream.wire_server import Peer, WireServer

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("name", "kind"), [("default", Http1Client), ("http1", Http1Client), ("httpx", HttpxClient)]
)
async def test_names_of_transports(name: str, kind: type) -> None:
    client = make_client(name)
    assert type(client) is kind
    await client.aclose()


async def test_an_unknown_transport_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="http1 or httpx"):
        make_client("curl")


async def test_a_proxy_needs_httpx() -> None:
    with pytest.raises(ConfigurationError, match="proxy"):
        make_client("http1", proxy="http://127.0.0.1:1")


@pytest.mark.parametrize("name", ["default", "httpx"])
async def test_a_configured_proxy_is_used(name: str) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.send(OK)

    async with WireServer(script) as proxy:
        client = make_client(name, proxy=f"http://127.0.0.1:{proxy.port}")
        _, body = await exchange(client, "http://upstream.invalid/v1/chat/completions")
        await client.aclose()
    assert body == b"{}"
    assert seen[0].startswith(b"POST http://upstream.invalid/v1/chat/completions HTTP/1.1\r\n")


async def test_proxies_of_the_environment_are_not_used(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)

    client: UpstreamClient = make_client(transport)
    async with WireServer(script) as server:
        _, body = await exchange(client, server.url)
    await client.aclose()
    assert body == b"{}"
