"""Large answers, large events and compressed ones: bytes unchanged, memory bounded, books kept."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from service.relay.attempt import PROGRESS_EVERY_EVENTS
from tests.relay.conftest import MakeRelay
from tests.support.client import Client
from tests.support.relay import CHAT, STREAM, Relay
from tests.support.relay import upstream as configured
from tests.support.upstream import COMPLETION, DONE, Upstream, delta, response, stream_head, usage_event

MEBIBYTE = 1 << 20
BUFFER = 16 * MEBIBYTE


def large(size: int) -> bytes:
    """A completion of *size* bytes."""
    document = json.loads(COMPLETION)
    document["choices"][0]["message"]["content"] = ""
    room = size - len(json.dumps(document))
    document["choices"][0]["message"]["content"] = "x" * room
    return json.dumps(document).encode()


@pytest.mark.parametrize("over", [0, 1])
def test_an_answer_around_the_buffer_s_size(
    relay: Relay, client: Client, upstream: Upstream, over: int
) -> None:
    said = large(BUFFER + over)
    client.post(CHAT)
    peer = upstream.accept()
    peer.request()
    with peer.sending(response(said)):
        answer = client.answer()
    assert answer.body == said
    record = relay.record(client)
    assert (record["outcome"], record["usage_source"], record["output_tokens"]) == ("ok", "provider", 3)
    assert record["bytes_out"] == len(said)
    priced = answer.header(b"x-tollkeeper-cost-usd") is not None
    assert priced is (over == 0)
    assert (answer.header(b"content-length") is not None) is (over == 0)
    assert answer.header(b"x-request-id") == str(record["request_id"]).encode()


def test_memory_does_not_grow_with_the_answer(relay: Relay, client: Client, upstream: Upstream) -> None:
    size, piece = 96 * MEBIBYTE, b"x" * MEBIBYTE
    head = response(b"", length=size)
    client.post(CHAT)
    peer = upstream.accept()
    peer.request()
    tracemalloc.start()
    try:
        with peer.sending(head, *[piece] * 96):
            assert client.started()[0] == 200
            for _ in range(96):
                assert client.read(MEBIBYTE) == piece
            assert client.rest() == b""
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * BUFFER < size
    assert relay.record(client)["bytes_out"] == size


def test_an_upstream_waits_for_a_client_that_does_not_read(
    relay: Relay, client: Client, upstream: Upstream
) -> None:
    """The relay keeps little of what the client does not take; the rest waits in the upstream's socket."""
    client.post(STREAM)
    peer = upstream.accept()
    peer.request()
    peer.send(stream_head())
    client.started()
    tracemalloc.start()
    try:
        sent = peer.send_until_stuck(delta("x" * 100_000), at_most=256 * MEBIBYTE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent < 256 * MEBIBYTE
    assert peak < 4 * MEBIBYTE
    client.leave()
    peer.close()
    assert relay.record(client)["outcome"] == "client_disconnect"


@pytest.mark.parametrize("asked", [False, True], ids=["usage hidden", "usage shown"])
def test_an_event_of_ten_megabytes(relay: Relay, client: Client, upstream: Upstream, asked: bool) -> None:  # noqa: FBT001  (a parameter)
    big = delta("x" * 10_000_000)
    options = {"stream_options": {"include_usage": True}} if asked else {}
    client.post({**STREAM, **options})
    peer = upstream.accept()
    peer.request()
    with peer.sending(stream_head(), delta("a"), big, delta(finish="stop"), usage_event(), DONE):
        body = client.answer().body
    shown = usage_event() if asked else b""
    assert body == delta("a") + big + delta(finish="stop") + shown + DONE
    record = relay.record(client)
    assert (record["outcome"], record["usage_source"], record["output_tokens"]) == ("ok", "provider", 3)
    assert record["chunks"] == 4


def test_a_line_without_an_end(relay: Relay, client: Client, upstream: Upstream) -> None:
    endless = b"data: " + b"x" * (12 * MEBIBYTE)
    client.post(STREAM)
    peer = upstream.accept()
    peer.request()
    with peer.sending(stream_head(), endless):
        assert client.answer().body == endless
    assert relay.record(client)["outcome"] == "truncated"


# Compression that nobody asked for


def deflated(data: bytes) -> bytes:
    return zlib.compress(data)


CODINGS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": deflated}


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_body_crosses_and_is_read(
    relay: Relay, client: Client, upstream: Upstream, coding: str
) -> None:
    said = CODINGS[coding](COMPLETION)
    client.post(CHAT)
    upstream.answer(response(said, b"content-encoding: " + coding.encode()))
    answer = client.answer()
    assert answer.body == said
    assert answer.header(b"content-encoding") == coding.encode()
    assert answer.header(b"content-length") == b"%d" % len(said)
    record = relay.record(client)
    assert (record["usage_source"], record["output_tokens"], record["cost_nanos"]) == ("provider", 3, 52_500)


@pytest.mark.parametrize("size", [1, 10_000])
def test_a_compressed_stream_crosses_and_is_read(
    relay: Relay, client: Client, upstream: Upstream, size: int
) -> None:
    """Its usage event cannot be taken out without the bytes being changed, so it is shown."""
    said = gzip.compress(delta("Hi", finish="stop") + usage_event() + DONE)
    client.post(STREAM)
    upstream.answer(
        stream_head(b"content-encoding: gzip"), *[said[at : at + size] for at in range(0, len(said), size)]
    )
    answer = client.answer()
    assert answer.body == said
    record = relay.record(client)
    assert (record["outcome"], record["usage_source"], record["output_tokens"]) == ("ok", "provider", 3)


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip"])
def test_what_cannot_be_decoded_crosses_and_is_estimated(
    relay: Relay, client: Client, upstream: Upstream, coding: bytes
) -> None:
    said = b"\x1b\x03\x00 no such coding"
    client.post(CHAT)
    upstream.answer(response(said, b"content-encoding: " + coding))
    assert client.answer().body == said
    record = relay.record(client)
    assert (record["outcome"], record["usage_source"]) == ("ok", "estimated")
    assert "undecodable" in record["usage_flags"]


# Many at once


def test_many_at_once_are_all_recorded_once(relay: Relay, upstream: Upstream) -> None:
    clients = [relay.client().post({**CHAT, "user": f"user-{n}"}) for n in range(50)]
    for _ in clients:
        upstream.answer(response(COMPLETION))
    for client in clients:
        assert client.answer().status == 200
    for number, client in enumerate(clients):
        assert relay.record(client)["end_user"] == f"user-{number}"
        client.leave()
    assert relay.is_idle()


@pytest.fixture
def narrow(make_relay: MakeRelay, make_upstream: Callable[[], Upstream]) -> tuple[Relay, Upstream]:
    upstream = make_upstream()
    return make_relay(configured("a", upstream.url), max_answer_buffer_bytes=0), upstream


def test_without_a_buffer_every_answer_streams(narrow: tuple[Relay, Upstream]) -> None:
    relay, upstream = narrow
    with relay.client() as client:
        client.post(CHAT)
        peer = upstream.accept()
        peer.request()
        whole = response(COMPLETION)
        peer.send(whole[:-1])
        assert client.read(len(COMPLETION) - 1) == COMPLETION[:-1]
        peer.send(whole[-1:])
        assert client.rest() == COMPLETION[-1:]
        record = relay.record(client)
        assert (record["outcome"], record["bytes_out"]) == ("ok", len(COMPLETION))


def test_a_long_stream_notes_its_progress(relay: Relay, client: Client, upstream: Upstream) -> None:
    noted: list[tuple[int, int]] = []
    journal = relay.process.journal
    journal.progress = lambda progress: noted.append((progress.chunks, progress.bytes_out))  # type: ignore[method-assign]  # a wire tap
    events = delta("x") * PROGRESS_EVERY_EVENTS
    try:
        client.post(STREAM)
        peer = upstream.accept()
        peer.request()
        peer.send(stream_head())
        for _ in range(3):
            peer.send(events)
            assert client.read(len(events)) == events
        peer.send(DONE)
        peer.close()
        client.rest()
    finally:
        del journal.progress
    assert [chunks for chunks, _ in noted][-1] >= 2 * PROGRESS_EVERY_EVENTS
    for chunks, sent in noted:  # the last event may be there by half
        assert chunks - 2 * PROGRESS_EVERY_EVENTS <= sent / len(delta("x")) < chunks + 1
    assert noted[-1][1] > 0
