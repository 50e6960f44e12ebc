"""The server refuses what could be read in two ways, before the application hears of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.relay.server_protocol import StrictHttpProtocol
from tests.relay.smuggling import HOST, IN_BODY, IN_HEAD, LENGTH, SOUND, Case, chunked, post

pytestmark = pytest.mark.anyio

PATIENCE_S = 10.0
SLOW = [b"", b"POST / HT", b"POST / HTTP/1.1\r\nHost: a\r\n"]


class HastyProtocol(StrictHttpProtocol):
    """Gives up before a busy machine has sent anything: only for what is to be given up or refused."""

    head_timeout_s = 0.2
    send_timeout_s = 0.2


class BriskProtocol(StrictHttpProtocol):
    """For what must not be given up although its time limit plays a part."""

    head_timeout_s = 1.0
    send_timeout_s = 1.0


class Application:
    """Reads the whole body, answers `answer`, remembers what it saw."""

    def __init__(self) -> None:
        self.started: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.answer = b"served"
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.started.append(scope)
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        self.bodies.append(body)
        length = (b"content-length", b"%d" % (2 * len(self.answer)))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": self.answer, "more_body": True})
        await self.hold.wait()
        await send({"type": "http.response.body", "body": self.answer})


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


@asynccontextmanager
async def serving(
    app: Application, protocol: type[StrictHttpProtocol] = StrictHttpProtocol
) -> AsyncIterator[int]:
    config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        app.hold.set()
        for connection in tuple(state.connections):
            connection.shutdown()
        await asyncio.gather(*state.tasks)
        async with asyncio.timeout(PATIENCE_S):
            while state.connections:  # noqa: ASYNC110  uvicorn's set announces nothing
                await asyncio.sleep(0.01)


async def say(port: int, *parts: bytes) -> bytes:
    """Everything the server answers until it closes; a reset after the answer is an end like any other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            while piece := await reader.read(65536):
                answer += piece
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
    return answer


def closing(request: bytes) -> bytes:
    """The request, asking for the connection to end; an offered upgrade stays first."""
    return request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


@pytest.mark.parametrize("case", IN_HEAD, ids=lambda case: case.name)
async def test_an_ambiguous_head_never_reaches_the_application(case: Case) -> None:
    app = Application()
    async with serving(app, HastyProtocol) as port:
        answer = await say(port, case.request)
    assert app.started == []
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("case", IN_BODY, ids=lambda case: case.name)
async def test_an_ambiguous_body_never_ends(case: Case) -> None:
    app = Application()
    async with serving(app, HastyProtocol) as port:
        answer = await say(port, case.request)
    assert app.bodies == []
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("case", SOUND, ids=lambda case: case.name)
@pytest.mark.parametrize("size", [10_000, 7, 1])
async def test_a_sound_request_is_served_however_it_is_split(case: Case, size: int) -> None:
    app = Application()
    request = closing(case.request)
    async with serving(app) as port:
        answer = await say(port, *[request[at : at + size] for at in range(0, len(request), size)])
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert app.bodies == [b"{}"]
    assert len(app.started) == 1


async def test_trailers_never_become_headers() -> None:
    app = Application()
    async with serving(app) as port:
        await say(port, closing(chunked(b"2\r\n{}\r\n0\r\nAuthorization: Bearer evil\r\nX-A: b\r\n\r\n")))
    assert app.bodies == [b"{}"]
    assert [name for name, _ in app.started[0]["headers"]] == [b"connection", b"host", b"transfer-encoding"]


async def test_the_body_after_an_offered_upgrade_is_not_a_request() -> None:
    app = Application()
    hidden = b"GET /admin/v1/keys HTTP/1.1\r\nHost: a\r\n\r\n"
    head = post(
        HOST, b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n" % len(hidden), body=b""
    )
    async with serving(app) as port:
        answer = await say(port, head, hidden, closing(post(HOST, LENGTH)))
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert app.bodies == [hidden, b"{}"]
    assert [scope["path"] for scope in app.started] == ["/v1/chat/completions"] * 2


async def test_a_refusal_speaks_the_language_of_the_api() -> None:
    async with serving(Application()) as port:
        answer = await say(port, post(LENGTH))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\ncontent-type: application/json\r\n" in head + b"\r\n"
    assert b"content-length: %d" % len(body) in head
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("invalid_request_error", "bad_http")
    assert "Host" in error["message"]


@pytest.mark.parametrize("moment", ["before the first answer", "within the first answer"])
async def test_a_refusal_never_looks_like_the_answer_to_an_earlier_request(moment: str) -> None:
    started = moment == "within the first answer"
    app = Application()
    app.hold.clear()
    app.answer = b"served"
    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(HOST, LENGTH) + (b"" if started else b"\0\0"))
        answer = b""
        async with asyncio.timeout(PATIENCE_S):
            if started:
                answer = await reader.readuntil(b"served")
                writer.write(b"\0\0")
            answer += await reader.read()
        writer.transport.abort()
    assert b"400" not in answer
    assert answer.endswith(b"served" if started else b"")


@pytest.mark.parametrize("start", SLOW)
async def test_a_head_that_does_not_come_in_time_ends_the_connection(start: bytes) -> None:
    app = Application()
    async with serving(app, HastyProtocol) as port:
        assert await say(port, start) == b""
    assert app.started == []


async def test_the_head_of_a_second_request_has_the_same_limit() -> None:
    app = Application()
    async with serving(app, BriskProtocol) as port:
        answer = await say(port, post(HOST, LENGTH), b"POST / HT")
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert answer.endswith(b"servedserved")


async def test_the_time_limit_of_the_head_does_not_touch_a_request_under_way() -> None:
    app = Application()
    app.hold.clear()
    async with serving(app, BriskProtocol) as port:
        asyncio.get_running_loop().call_later(3 * BriskProtocol.head_timeout_s, app.hold.set)
        answer = await say(port, closing(post(HOST, LENGTH)))
    assert answer.endswith(b"servedserved")


async def test_connections_are_used_again() -> None:
    app = Application()
    async with serving(app) as port:
        answer = await say(port, post(HOST, LENGTH), post(HOST, LENGTH), closing(post(HOST, LENGTH)))
    assert answer.count(b"HTTP/1.1 200 ") == 3
    assert app.bodies == [b"{}"] * 3


async def test_a_client_that_stops_reading_is_cut_off() -> None:
    app = Application()
    app.answer = b"x" * (16 << 20)
    async with serving(app, BriskProtocol) as port, asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(post(HOST, LENGTH))
        await reader.readexactly(1)
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # the client's own business
        received = 1
        await asyncio.sleep(2 * BriskProtocol.send_timeout_s)
        reader._transport.resume_reading()  # type: ignore[attr-defined]  # to see the end
        try:
            while part := await reader.read(1 << 20):
                received += len(part)
        except ConnectionResetError:
            pass
        writer.close()
    assert received < 2 * len(app.answer)


async def test_a_client_that_reads_slowly_but_reads_gets_everything() -> None:
    app = Application()
    app.answer = b"x" * (4 << 20)
    async with serving(app, BriskProtocol) as port, asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(HOST, LENGTH))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        await reader.readexactly(2 * len(app.answer))
        writer.close()
