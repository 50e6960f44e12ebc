"""The provider proves who it is, on every transport.

`certs/` holds a throw-away authority (its key was not kept) and a certificate for localhost, valid for a century.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.errors import UpstreamUnreachableError
from service.upstream.client import UpstreamClient, make_client
from service.upstream.tls import client_context
from tests.upstream.calls import PATIENT, exchange, post, soon
from tests.upstream.wire_server import Peer, WireServer

pytestmark = pytest.mark.anyio

CERTS = Path(__file__).parent / "certs"
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTS / "localhost.pem", CERTS / "localhost.key")
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTS / "authority.pem"))


@asynccontextmanager
async def client_of(transport: str) -> AsyncIterator[UpstreamClient]:
    client = make_client(transport)
    try:
        yield client
    finally:
        await client.aclose()


async def answers(peer: Peer) -> None:
    for _ in range(2):
        await peer.request()
        await peer.send(HEAD, b"3\r\nabc\r\n", b"0\r\n\r\n")
    await peer.left()


@pytest.mark.usefixtures("trusted")
async def test_a_company_authority_is_trusted_by_ssl_cert_file(transport: str) -> None:
    async with WireServer(answers, tls=server_context()) as server, client_of(transport) as client:
        assert (await exchange(client, server.url))[1] == b"abc"
        assert (await exchange(client, server.url))[1] == b"abc"
        assert len(server.peers) == 1


async def test_an_unknown_authority_is_refused(transport: str) -> None:
    async with WireServer(answers, tls=server_context()) as server, client_of(transport) as client:
        with pytest.raises(UpstreamUnreachableError, match=r"certificate|CERTIFICATE"):
            await soon(exchange(client, server.url))


@pytest.mark.usefixtures("trusted")
async def test_another_name_is_refused(transport: str) -> None:
    async with WireServer(answers, tls=server_context()) as server, client_of(transport) as client:
        with pytest.raises(UpstreamUnreachableError, match=r"certificate|CERTIFICATE"):
            await soon(exchange(client, server.url.replace("localhost", "127.0.0.1")))


@pytest.mark.usefixtures("trusted")
async def test_abort_closes_a_tls_connection(transport: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD, b"3\r\nabc\r\n")
        await peer.left()

    async with WireServer(script, tls=server_context()) as server, client_of(transport) as client:
        call = post(client, server.url, timeouts=PATIENT)
        await call.head()
        chunks = call.chunks()
        assert await soon(anext(chunks)) == b"abc"
        call.abort()
        await soon(server.peers[0].gone.wait())
        await call.release()


@pytest.mark.usefixtures("trusted")
async def test_a_plain_answer_to_a_tls_client_is_unreachable(transport: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with WireServer(script) as server, client_of(transport) as client:
        with pytest.raises(UpstreamUnreachableError, match="nothing was sent"):
            await soon(exchange(client, server.url.replace("http://", "https://")))


def test_without_a_platform_store_the_bundled_authorities_are_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    context = client_context()
    assert context.cert_store_stats()["x509_ca"] > 50
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
