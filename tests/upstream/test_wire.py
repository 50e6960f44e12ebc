"""What every transport must do on the wire. The same list for all of them."""

import asyncio
import contextlib
import gzip
import resource
from collections.abc import Iterator

import pytest

from service.errors import (
    UpstreamAbortedError,
    UpstreamBrokenError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from service.upstream.client import Timeouts, UpstreamCall, UpstreamClient, UpstreamRequest
from tests.upstream.calls import BODY, PATIENT, exchange, post, read_into, soon
from tests.upstream.wire_server import Peer, Script, WireServer

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\n"
STREAM_HEAD = OK + b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def says(*parts: bytes) -> Script:
    """One request, one answer, then the connection ends."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(*parts)

    return script


def says_then_waits(*parts: bytes) -> Script:
    """The answer stays unfinished; the script ends when the client leaves."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(*parts)
        await peer.left()

    return script


def keeps_saying(*answers: bytes) -> Script:
    """One answer per request, on one connection for as long as the client likes."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            await peer.send(answer)
        await peer.left()

    return script


# The request


async def test_the_request_arrives_as_given_with_nothing_added_but_framing(client: UpstreamClient) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.send(OK + b"content-length: 0\r\n\r\n")

    headers = [
        (b"X-Twice", b"one"),
        (b"X-Twice", b"two"),
        (b"X-Latin", b"caf\xe9"),
        (b"X-Utf8", "né".encode()),
    ]
    async with WireServer(script) as server:
        call = client.call(UpstreamRequest("POST", server.url + "?a=b%20c", headers, BODY), timeouts=PATIENT)
        await call.head()
        await call.release()
    head, _, body = seen[0].partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert first == b"POST /v1/chat/completions?a=b%20c HTTP/1.1"
    assert body == BODY
    assert [line for line in lines if line.startswith(b"X-")] == [b"%b: %b" % header for header in headers]
    framing = {line.partition(b":")[0].lower() for line in lines if not line.startswith(b"X-")}
    assert framing == {b"host", b"content-length"}


async def test_a_get_has_no_body(client: UpstreamClient) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.send(OK + b"content-length: 2\r\n\r\n{}")

    async with WireServer(script) as server:
        call = client.call(UpstreamRequest("GET", server.url, [], b""), timeouts=PATIENT)
        await call.head()
        assert b"".join([chunk async for chunk in call.chunks()]) == b"{}"
        await call.release()
    assert b"content-length" not in seen[0].lower()


async def test_a_large_request_body_arrives_whole(client: UpstreamClient) -> None:
    body = bytes(range(256)) * 16_384
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.send(OK + b"content-length: 0\r\n\r\n")

    async with WireServer(script) as server:
        call = post(client, server.url, body=body)
        await soon(call.head())
        await call.release()
    assert seen[0].endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize(
    "header",
    [(b"x-a", b"b\r\nevil: 1"), (b"x-a", b"b\nevil: 1"), (b"x-a", b"\0"), (b"Host", b"evil")],
    ids=repr,
)
async def test_a_header_that_would_reframe_the_request_is_refused(
    client: UpstreamClient, header: tuple[bytes, bytes]
) -> None:
    with pytest.raises(ValueError, match="header"):
        client.call(UpstreamRequest("POST", "http://127.0.0.1:1/", [header], b""), timeouts=PATIENT)


# The response


async def test_duplicate_and_non_ascii_headers_survive_in_order(client: UpstreamClient) -> None:
    lines = [(b"X-Twice", b"one"), (b"Server", b"caf\xe9 \xc3\xa9"), (b"X-Twice", b"two"), (b"X-Empty", b"")]
    block = b"".join(b"%b: %b\r\n" % line for line in lines)
    async with WireServer(says(OK + block + b"Content-Length: 0\r\n\r\n")) as server:
        head, body = await exchange(client, server.url)
    assert head.status == 200
    assert head.headers == [*lines, (b"Content-Length", b"0")]
    assert body == b""


async def test_gzip_content_is_not_decompressed(client: UpstreamClient) -> None:
    packed = gzip.compress(b"{}" * 1000)
    answer = OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(packed), packed)
    async with WireServer(says(answer)) as server:
        head, body = await exchange(client, server.url)
    assert body == packed
    assert (b"content-encoding", b"gzip") in head.headers


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_answers(client: UpstreamClient, status: int) -> None:
    answer = b"HTTP/1.1 %d Moved\r\nlocation: /elsewhere\r\ncontent-length: 2\r\n\r\nno" % status
    async with WireServer(says(answer)) as server:
        head, body = await exchange(client, server.url)
        assert len(server.peers) == 1
    assert (head.status, body) == (status, b"no")


@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_a_body_end_at_once_and_keep_the_connection(
    client: UpstreamClient, status: int
) -> None:
    bare = b"HTTP/1.1 %d No\r\n\r\n" % status
    async with WireServer(keeps_saying(bare, bare)) as server:
        for _ in range(2):
            head, body = await soon(exchange(client, server.url))
            assert (head.status, body) == (status, b"")
        assert len(server.peers) == 1


async def test_interim_responses_are_skipped(client: UpstreamClient) -> None:
    interim = b"HTTP/1.1 100 Continue\r\nx-a: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    async with WireServer(says(interim + OK + b"content-length: 2\r\n\r\n{}")) as server:
        head, body = await exchange(client, server.url)
    assert head.headers == [(b"content-length", b"2")]
    assert (head.status, body) == (200, b"{}")


async def test_the_head_comes_before_any_body(client: UpstreamClient) -> None:
    async with WireServer(says_then_waits(STREAM_HEAD)) as server:
        call = post(client, server.url)
        assert (await soon(call.head())).status == 200
        call.abort()
        await call.release()


async def test_every_chunk_is_handed_on_before_the_next_one_is_sent(client: UpstreamClient) -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM_HEAD)
        for n in range(5):
            event = b"data: %d\n\n" % n
            await peer.send(b"%x\r\n%b\r\n" % (len(event), event))
            assert await soon(received.get()) == event
        await peer.send(b"0\r\n\r\n")

    async with WireServer(script) as server:
        call = post(client, server.url)
        await call.head()
        async for chunk in call.chunks():
            received.put_nowait(chunk)
        await call.release()
    assert received.empty()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_any_split_of_the_response_gives_the_same_body(client: UpstreamClient, size: int) -> None:
    answer = STREAM_HEAD + b"5\r\nhello\r\n7;ext=1\r\n world!\r\n0\r\nx-trailer: 1\r\n\r\n"
    parts = [answer[at : at + size] for at in range(0, len(answer), size)]

    async def script(peer: Peer) -> None:
        await peer.request()
        for part in parts:
            await peer.send(part)
            await asyncio.sleep(0)

    async with WireServer(script) as server:
        head, body = await exchange(client, server.url)
    assert body == b"hello world!"
    assert (b"x-trailer", b"1") not in head.headers


async def test_a_body_framed_by_the_end_of_the_connection_is_whole(client: UpstreamClient) -> None:
    async with WireServer(says(OK + b"content-type: text/plain\r\n\r\n", b"to the ", b"end")) as server:
        _, body = await exchange(client, server.url)
        assert body == b"to the end"
        await exchange(client, server.url)
        assert len(server.peers) == 2


# Broken answers


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"content-length: 10\r\n\r\nabc",
        STREAM_HEAD + b"3\r\nabc\r\n",
        STREAM_HEAD + b"a\r\nabc",
        STREAM_HEAD + b"3\r\nabc\r\n0\r\n",
    ],
    ids=["content-length", "no last chunk", "within a chunk", "no end of trailers"],
)
async def test_a_truncated_body_is_broken_after_what_came(client: UpstreamClient, answer: bytes) -> None:
    received = bytearray()
    async with WireServer(says(answer)) as server:
        call = post(client, server.url)
        await call.head()
        with pytest.raises(UpstreamBrokenError):
            await soon(read_into(received, call))
        await call.release()
    assert bytes(received) == b"abc"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        OK + b"content-length: 5\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        OK + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        OK + b"x: " + b"y" * 300_000 + b"\r\ncontent-length: 0\r\n\r\n",
    ],
    ids=[
        "nothing",
        "cut status",
        "cut head",
        "ssh",
        "tls",
        "two framings",
        "two lengths",
        "upgrade",
        "huge header",
    ],
)
async def test_what_is_no_answer_is_broken(client: UpstreamClient, answer: bytes) -> None:
    async with WireServer(says(answer)) as server:
        with pytest.raises(UpstreamBrokenError):
            await soon(exchange(client, server.url))


@pytest.mark.parametrize(
    "before", [b"", STREAM_HEAD + b"3\r\nabc\r\n"], ids=["before the head", "in the body"]
)
async def test_a_reset_after_the_request_is_broken(client: UpstreamClient, before: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(before)
        await asyncio.sleep(0.05)
        peer.reset()

    async with WireServer(script) as server:
        with pytest.raises(UpstreamBrokenError):
            await soon(exchange(client, server.url))


async def test_nobody_listening_is_unreachable(client: UpstreamClient) -> None:
    async with WireServer(says()) as server:
        url = server.url
    with pytest.raises(UpstreamUnreachableError, match="nothing was sent"):
        await soon(exchange(client, url))


async def test_a_name_nobody_has_is_unreachable(client: UpstreamClient) -> None:
    with pytest.raises(UpstreamUnreachableError, match="nothing was sent"):
        await soon(exchange(client, "http://upstream.invalid/v1"))


# Time-outs: the limit under test is short, all others longer than our patience


async def test_connect_time_out(client: UpstreamClient) -> None:
    """A TLS handshake that nobody answers: TCP is there, nothing was sent."""

    async def script(peer: Peer) -> None:
        await peer.left()

    async with WireServer(script) as server:
        url = server.url.replace("http://", "https://")
        with pytest.raises(UpstreamTimeoutError) as caught:
            await soon(exchange(client, url, timeouts=Timeouts(0.1, 60, 60, 60)))
    assert caught.value.phase == "connect"


async def test_first_byte_time_out_is_never_a_connect_error(client: UpstreamClient) -> None:
    async with WireServer(says_then_waits(b"HTTP/1.1 200")) as server:
        with pytest.raises(UpstreamTimeoutError) as caught:
            await soon(exchange(client, server.url, timeouts=Timeouts(60, 0.1, 60, 60)))
        assert caught.value.phase == "first_byte"
        await soon(server.peers[0].gone.wait())


async def test_idle_time_out_comes_after_what_arrived(client: UpstreamClient) -> None:
    received = bytearray()
    async with WireServer(says_then_waits(STREAM_HEAD + b"3\r\nabc\r\n")) as server:
        call = post(client, server.url, timeouts=Timeouts(60, 60, 0.1, 60))
        await call.head()
        with pytest.raises(UpstreamTimeoutError) as caught:
            await soon(read_into(received, call))
        await call.release()
        await soon(server.peers[0].gone.wait())
    assert caught.value.phase == "idle"
    assert bytes(received) == b"abc"


async def test_total_time_out_ends_a_stream_that_is_never_idle(client: UpstreamClient) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM_HEAD)
        with contextlib.suppress(ConnectionError):
            while True:
                await peer.send(b"1\r\nx\r\n")
                await asyncio.sleep(0.01)

    async with WireServer(script) as server:
        with pytest.raises(UpstreamTimeoutError) as caught:
            await soon(exchange(client, server.url, timeouts=Timeouts(60, 60, 60, 1.0)))
    assert caught.value.phase == "total"


async def test_total_time_out_before_the_head(client: UpstreamClient) -> None:
    async with WireServer(says_then_waits()) as server:
        with pytest.raises(UpstreamTimeoutError) as caught:
            await soon(exchange(client, server.url, timeouts=Timeouts(60, 60, 60, 1.0)))
    assert caught.value.phase == "total"


async def test_a_stream_longer_than_the_idle_limit_goes_on(client: UpstreamClient) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM_HEAD)
        for _ in range(11):
            await peer.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.25)
        await peer.send(b"0\r\n\r\n")

    async with WireServer(script) as server:
        _, body = await exchange(client, server.url, timeouts=Timeouts(60, 60, 2.0, 60))
    assert body == b"x" * 11


# Leaving early: what counts is that the provider sees the connection end


async def _pending_head(call: UpstreamCall) -> None:
    await call.head()


async def _pending_chunk(call: UpstreamCall) -> None:
    await call.head()
    async for _ in call.chunks():
        pass


@pytest.mark.parametrize(
    ("answer", "waiting"),
    [((), _pending_head), ((STREAM_HEAD, b"3\r\nabc\r\n"), _pending_chunk)],
    ids=["before the head", "mid-stream"],
)
@pytest.mark.parametrize("how", ["cancel", "abort", "abort twice"])
async def test_leaving_closes_the_connection(
    client: UpstreamClient, answer: tuple[bytes, ...], waiting: object, how: str
) -> None:
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(*answer)
        asked.set()
        await peer.left()

    assert callable(waiting)
    async with WireServer(script) as server:
        call = post(client, server.url)
        task = asyncio.get_running_loop().create_task(waiting(call))
        await soon(asked.wait())
        await asyncio.sleep(0.05)
        if how == "cancel":
            task.cancel()
        for _ in range(("abort", "abort twice").index(how) + 1 if how != "cancel" else 0):
            call.abort()
        await soon(server.peers[0].gone.wait())
        with pytest.raises(asyncio.CancelledError if how == "cancel" else UpstreamAbortedError):
            await soon(task)
        await call.release()
        await call.release()


async def test_abort_between_two_reads_closes_at_once_and_ends_the_body(client: UpstreamClient) -> None:
    async with WireServer(says_then_waits(STREAM_HEAD, b"3\r\nabc\r\n")) as server:
        call = post(client, server.url)
        await call.head()
        chunks = call.chunks()
        assert await soon(anext(chunks)) == b"abc"
        call.abort()
        await soon(server.peers[0].gone.wait())
        with pytest.raises(UpstreamAbortedError):
            await anext(chunks)
        await call.release()


async def test_abort_while_connecting(client: UpstreamClient) -> None:
    async def script(peer: Peer) -> None:
        await peer.left()

    async with WireServer(script) as server:
        call = post(client, server.url.replace("http://", "https://"))
        task = asyncio.get_running_loop().create_task(call.head())
        await soon(server.accepted.wait())
        call.abort()
        with pytest.raises(UpstreamAbortedError):
            await soon(task)
        await soon(server.peers[0].gone.wait())
        await call.release()


async def test_abort_before_the_call_sends_nothing(client: UpstreamClient) -> None:
    async with WireServer(says_then_waits()) as server:
        call = post(client, server.url)
        call.abort()
        with pytest.raises(UpstreamAbortedError):
            await call.head()
        await call.release()
        assert server.peers == []


async def test_release_before_the_end_closes(client: UpstreamClient) -> None:
    async with WireServer(says_then_waits(STREAM_HEAD, b"3\r\nabc\r\n")) as server:
        call = post(client, server.url)
        await call.head()
        async for _ in call.chunks():
            break
        await call.release()
        await soon(server.peers[0].gone.wait())


async def test_a_call_that_was_never_sent_can_be_released(client: UpstreamClient) -> None:
    call = post(client, "http://127.0.0.1:1/")
    await call.release()
    call.abort()


async def test_closing_the_client_aborts_open_calls(client: UpstreamClient) -> None:
    async with WireServer(says_then_waits()) as server:
        call = post(client, server.url)
        task = asyncio.get_running_loop().create_task(call.head())
        await soon(server.accepted.wait())
        await asyncio.sleep(0.05)
        await client.aclose()
        with pytest.raises(UpstreamAbortedError):
            await soon(task)
        await call.release()
        await soon(server.peers[0].gone.wait())


# Connections


async def test_calls_one_after_another_share_a_connection(client: UpstreamClient) -> None:
    fixed = OK + b"content-length: 2\r\n\r\n{}"
    chunked = STREAM_HEAD + b"3\r\nabc\r\n0\r\n\r\n"
    async with WireServer(keeps_saying(fixed, chunked, fixed, chunked)) as server:
        bodies = [(await exchange(client, server.url))[1] for _ in range(4)]
        assert len(server.peers) == 1
    assert bodies == [b"{}", b"abc", b"{}", b"abc"]


@pytest.mark.parametrize(
    "answer",
    [OK + b"connection: close\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"],
    ids=["connection: close", "HTTP/1.0"],
)
async def test_a_connection_the_provider_gives_up_is_not_used_again(
    client: UpstreamClient, answer: bytes
) -> None:
    async with WireServer(keeps_saying(answer, answer)) as server:
        await exchange(client, server.url)
        await exchange(client, server.url)
        assert len(server.peers) == 2


@pytest.mark.parametrize("ending", ["fin", "reset"])
async def test_an_idle_connection_the_provider_closed_is_not_used_again(
    client: UpstreamClient, ending: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"content-length: 0\r\n\r\n")
        await asyncio.sleep(0.02)
        if ending == "reset":
            peer.reset()

    async with WireServer(script) as server:
        for calls in (1, 2, 3):
            head, _ = await exchange(client, server.url)
            assert head.status == 200
            assert len(server.peers) == calls
            await soon(server.peers[-1].gone.wait())


async def test_a_used_connection_that_dies_is_broken_and_the_request_is_not_sent_again(
    client: UpstreamClient,
) -> None:
    requests = 0

    async def script(peer: Peer) -> None:
        nonlocal requests
        await peer.request()
        requests += 1
        await peer.send(OK + b"content-length: 0\r\n\r\n")
        await peer.request()
        requests += 1

    async with WireServer(script) as server:
        await exchange(client, server.url)
        with pytest.raises(UpstreamBrokenError):
            await soon(exchange(client, server.url))
        assert len(server.peers) == 1
    assert requests == 2


async def test_bytes_after_the_answer_never_become_the_next_answer(client: UpstreamClient) -> None:
    poisoned = OK + b"content-length: 2\r\n\r\n{}" + OK + b"content-length: 4\r\n\r\nEVIL"
    clean = OK + b"content-length: 2\r\n\r\nok"
    answers = iter([poisoned, clean])

    async def script(peer: Peer) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await peer.request()
                await peer.send(next(answers))

    async with WireServer(script) as server:
        bodies = [(await soon(exchange(client, server.url)))[1] for _ in range(2)]
    assert bodies == [b"{}", b"ok"]


async def test_bytes_on_an_idle_connection_end_it(client: UpstreamClient) -> None:
    said = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"content-length: 2\r\n\r\n{}")
        await asyncio.sleep(0.02)
        await peer.send(OK + b"content-length: 4\r\n\r\nEVIL")
        said.set()
        await peer.left()

    async with WireServer(script) as server:
        for calls in (1, 2):
            assert (await soon(exchange(client, server.url)))[1] == b"{}"
            assert len(server.peers) == calls
            await soon(said.wait())
            said.clear()


async def test_a_provider_that_sends_faster_than_we_read_is_held_back(client: UpstreamClient) -> None:
    size = 64 * 1024 * 1024
    block = b"x" * 65536

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"content-length: %d\r\n\r\n" % size)
        for _ in range(size // len(block)):
            await peer.send(block)

    async with WireServer(script) as server:
        call = post(client, server.url, timeouts=Timeouts(60, 60, 1.0, 120))
        await call.head()
        sent = -1
        while server.peers[0].sent_bytes != sent:
            sent = server.peers[0].sent_bytes
            await asyncio.sleep(
                0.4
            )  # twice the idle limit: being slow ourselves is not the provider's silence
        assert sent < size // 2
        total = 0
        async for chunk in call.chunks():
            total += len(chunk)
            assert len(chunk) < 1024 * 1024
        await call.release()
    assert total == size


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
async def test_a_thousand_calls_at_once(client: UpstreamClient) -> None:
    everybody = asyncio.Event()
    waiting = 0

    async def script(peer: Peer) -> None:
        nonlocal waiting
        await peer.request()
        waiting += 1
        if waiting == 1000:
            everybody.set()
        await everybody.wait()
        await peer.send(STREAM_HEAD + b"3\r\nabc\r\n0\r\n\r\n")

    async with WireServer(script) as server, asyncio.timeout(120):
        results = await asyncio.gather(*(exchange(client, server.url) for _ in range(1000)))
    assert [body for _, body in results] == [b"abc"] * 1000
