"""What can only happen between two awaits, played with an upstream client of the test's own; and full journals."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from service.errors import UpstreamAbortedError
from service.ledger.record import Opening, uuid7
from service.relay.admitted import Admitted
from service.relay.exchange import Exchange
from service.relay.request import parse
from service.upstream.client import Head, Timeouts, UpstreamRequest
from service.upstream.provider import provider_from
from tests.relay.conftest import MakeRelay
from tests.support.relay import CHAT, Relay
from tests.support.relay import upstream as configured
from tests.support.upstream import PATIENCE_S, Upstream, response

BODY = msgspec.json.encode(CHAT)


class SlowRelease:
    """An upstream client whose first call answers 500 and takes its time to be released."""

    def __init__(self) -> None:
        self.releasing = asyncio.Event()
        self.go_on = asyncio.Event()
        self.calls: list[SlowRelease.Call] = []

    class Call:
        def __init__(self, client: "SlowRelease") -> None:
            self._client = client
            self.aborted = False
            self.asked = False

        async def head(self) -> Head:
            if self.aborted:
                raise UpstreamAbortedError("aborted")
            self.asked = True
            return Head(500, [])

        async def chunks(self) -> AsyncIterator[bytes]:
            yield b"{}"

        def abort(self) -> None:
            self.aborted = True

        async def release(self) -> None:
            self._client.releasing.set()
            await self._client.go_on.wait()

    def call(self, request: UpstreamRequest, *, timeouts: Timeouts) -> "SlowRelease.Call":  # noqa: ARG002  (the seam's signature)
        self.calls.append(SlowRelease.Call(self))
        return self.calls[-1]

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("ending", ["the client leaves", "the relay stops"])
def test_nobody_else_is_asked_once_the_exchange_is_over(relay: Relay, ending: str) -> None:
    providers = tuple(
        provider_from(configured(name, "http://127.0.0.1:9/v1", on_disconnect="drain")) for name in ("a", "b")
    )
    micros = relay.process.clock.micros()
    identifier = uuid7(micros, b"12345678")
    opening = Opening(
        id=identifier,
        request_id=identifier,
        attempt=1,
        started_at=micros,
        user_agent=ending,
        requested_model="gpt-4o",
    )
    sent: list[Any] = []

    async def play() -> list[SlowRelease.Call]:
        client = SlowRelease()
        left = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        context = msgspec.structs.replace(relay.context, client=client)
        admitted = Admitted(opening, parse(BODY), BODY, [], providers, relay.process.clock.monotonic())
        exchange = Exchange(context, admitted, receive=receive, send=send)
        running = asyncio.ensure_future(exchange.run())
        await client.releasing.wait()
        if ending == "the client leaves":
            left.set()
            while not exchange.reply.gone:  # noqa: ASYNC110  (the watcher's turn)
                await asyncio.sleep(0)
        else:
            exchange.interrupt()
        client.go_on.set()
        await running
        return client.calls

    calls = asyncio.run_coroutine_threadsafe(play(), relay._loop).result(PATIENCE_S)
    assert [call.asked for call in calls] == [True, False]
    first, second = relay.records(ending, count=2)
    outcome = "client_disconnect" if ending == "the client leaves" else "interrupted"
    assert [(each["final"], each["outcome"]) for each in (first, second)] == [
        (False, "upstream_error"),
        (True, outcome),
    ]
    assert second["cost_status"] == "free"
    assert [message.get("status") for message in sent if "status" in message] == (
        [] if ending == "the client leaves" else [503]
    )


def test_a_journal_that_fills_up_between_two_attempts(
    make_relay: MakeRelay, make_upstream: Callable[[], Upstream]
) -> None:
    first, second = make_upstream(), make_upstream()
    settings = (configured("first", first.url), configured("second", second.url, priority=1))
    relay = make_relay(*settings, journal_max_bytes=1 << 20)
    with relay.client() as client:
        client.post(CHAT)
        peer = first.accept()
        peer.request()
        relay.fill_journal()
        peer.send(response(b"{}", status=b"500 No"))
        peer.close()
        answer = client.answer()
        assert (answer.status, answer.error["code"]) == (503, "journal_full")
        assert second.nobody_came()
        one, two = relay.records(client.agent, count=2)
        assert one["request_id"] == two["request_id"]
        assert [(each["attempt"], each["final"], each["http_status"]) for each in (one, two)] == [
            (1, False, 500),
            (2, True, 503),
        ]
        assert two["outcome"] == "rejected_unavailable"
