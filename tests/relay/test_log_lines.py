"""What a relay logs: lines about a request carry its id; nobody's words and nobody's keys are in any of them."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from service import logs
from tests.relay.conftest import MakeRelay
from tests.support.relay import CHAT, Relay, until
from tests.support.relay import upstream as configured
from tests.support.upstream import DONE, Upstream, delta, event, response, stream_head

WORDS = "the-clients-own-words"
ANSWER = "the-models-own-words"
SAID: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": f"{WORDS}\r\nforged"}],
    "user": f"user-{WORDS}",
    "metadata": {"note": WORDS},
}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, at the most talkative."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure(stream=stream, style="json", level=logging.DEBUG)
    root.setLevel(logging.DEBUG)
    yield stream
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    structlog.reset_defaults()


class Broken:
    """Stands in a relay where something that always worked is."""

    providers = ()

    def candidates(self, _model: str) -> Any:
        raise RuntimeError("a fault of our own")


@pytest.fixture
def relay(
    log: io.StringIO, make_relay: MakeRelay, make_upstream: Callable[[], Upstream]
) -> tuple[Relay, Upstream]:
    assert log.getvalue() == ""
    upstream = make_upstream()
    return make_relay(configured("main", upstream.url)), upstream


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_nobody_s_words_and_nobody_s_keys_are_logged(relay: tuple[Relay, Upstream], log: io.StringIO) -> None:
    running, upstream = relay
    whole = {
        "choices": [{"message": {"content": ANSWER}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
    error = b'{"error": {"message": "%b", "type": "%b", "code": "x"}}' % (ANSWER.encode(), ANSWER.encode())
    answers = [
        response(event(whole)[6:-2]),
        response(error, status=b"500 Oops"),
        response(error, status=b"400 Bad"),
        b"HTTP/1.1 200 " + ANSWER.encode() + b"\r\nnot a header: \x00\r\n\r\n" + ANSWER.encode(),
        ANSWER.encode() + b" is no HTTP at all\r\n\r\n",
    ]
    for answer in answers:
        with running.client() as client:
            client.post(SAID, b"x-session-id: " + WORDS.encode(), b"cookie: " + WORDS.encode())
            upstream.answer(answer)
            client.answer()
            running.record(client)
    with running.client() as client:
        client.post({**SAID, "stream": True})
        peer = upstream.accept()
        peer.request()
        peer.send(stream_head(), delta(ANSWER), b"data: " + ANSWER.encode() + b"\n\n", DONE)
        peer.close()
        client.answer()
        running.record(client)
    with running.client(f"tk_{WORDS}") as client:
        assert client.post({**SAID, "messages": WORDS}).answer().status == 401
    with running.client() as client:
        assert client.post(b'{"model": "' + WORDS.encode()).answer().status == 400
    running.stop()
    text = log.getvalue()
    secret = running.key.split("_")[2]
    for forbidden in (WORDS, ANSWER, secret, "sk-of-main"):
        assert forbidden not in text


def test_a_fault_of_ours_is_logged_with_the_request_s_id(
    relay: tuple[Relay, Upstream], log: io.StringIO
) -> None:
    running, _ = relay
    running.context.router = Broken()  # type: ignore[assignment]
    with running.client() as client:
        answer = client.post(SAID).answer()
    assert answer.status == 500
    (failed,) = [line for line in lines(log) if line["event"] == "request_failed"]
    assert failed["request_id"] == (answer.header(b"x-request-id") or b"").decode()
    assert "a fault of our own" in failed["exception"]
    assert WORDS not in log.getvalue()


def test_what_a_library_says_while_it_serves_a_request_carries_the_id(
    relay: tuple[Relay, Upstream], log: io.StringIO
) -> None:
    running, _ = relay

    class Talkative(Broken):
        def candidates(self, _model: str) -> Any:
            logging.getLogger("some.library").warning("something is odd")
            raise RuntimeError

    running.context.router = Talkative()  # type: ignore[assignment]
    with running.client() as client:
        answer = client.post(CHAT).answer()
    assert until(lambda: any(line["event"] == "something is odd" for line in lines(log)))
    (odd,) = [line for line in lines(log) if line["event"] == "something is odd"]
    assert odd["request_id"] == (answer.header(b"x-request-id") or b"").decode()
