"""`Idempotency-Key`: running, done, another body, given up, expired; on every relay of the store."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any
from uuid import UUID, uuid4

import pytest

from service.errors import IdempotencyDoneError, IdempotencyRunningError
from service.ledger.batches import BatchWriter
from service.ledger.idempotency import KEPT, Claim, Done, First, OtherBody, Running, claim, purge, release
from service.ledger.record import Opening, RequestRecord
from service.ledger.recorder import Recorder
from service.ledger.writer import Writer
from service.relay.idempotency import IdempotencyKeys
from service.store.engine import Store
from service.store.types import to_micros
from tests.ledger.making import DiskJournal
from tests.relay.conftest import MakeRelay
from tests.support.client import Client
from tests.support.relay import CHAT, Relay
from tests.support.relay import upstream as configured
from tests.support.upstream import COMPLETION, Upstream, response

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BODY, OTHER = b"b" * 32, b"o" * 32


def asking(request: UUID | None = None, *, body: bytes = BODY, digest: bytes = b"d" * 32) -> Claim:
    return Claim("key_1", digest, body, request or uuid4())


def put(store: Store, request: UUID, **fields: Any) -> None:
    record = RequestRecord(request.bytes, request.bytes, 1, to_micros(NOW))
    for name, value in fields.items():
        setattr(record, name, value)
    assert Writer(store, clock=lambda: to_micros(NOW)).write([record]) == 1


def judge(store: Store, one: Claim, *, now: datetime = NOW) -> Any:
    with store.write() as tx:
        return claim(tx, one, now=now)


def test_the_first_stands_until_it_has_ended_and_then_for_a_day(store: Store) -> None:
    first = asking()
    assert judge(store, first) == First()
    assert judge(store, asking()) == Running(first.request_id)
    assert judge(store, asking(body=OTHER)) == OtherBody(first.request_id)
    assert judge(store, asking(digest=b"e" * 32)) == First()
    put(store, first.request_id, outcome="ok", cost_nanos=5)
    assert judge(store, asking()) == Done(first.request_id, "ok")
    again = asking(body=OTHER)
    assert judge(store, again, now=NOW + KEPT) == First()
    assert judge(store, asking(), now=NOW + KEPT) == OtherBody(again.request_id)


@pytest.mark.parametrize(
    ("outcome", "cost", "stands"),
    [
        ("rejected_budget", 0, False),
        ("rejected_unavailable", 0, False),
        ("upstream_error", 0, False),
        ("upstream_error", 7, True),
        ("timeout", 0, True),
        ("interrupted", None, True),
        ("client_disconnect", 3, True),
    ],
)
def test_only_what_nobody_was_billed_for_gives_way(
    store: Store, outcome: str, cost: int | None, *, stands: bool
) -> None:
    first = asking()
    judge(store, first)
    put(store, first.request_id, outcome=outcome, cost_nanos=cost)
    second = asking()
    assert judge(store, second) == (Done(first.request_id, outcome) if stands else First())
    assert judge(store, asking()) == (
        Done(first.request_id, outcome) if stands else Running(second.request_id)
    )


def test_an_attempt_that_gave_way_to_another_says_nothing(store: Store) -> None:
    first = asking()
    judge(store, first)
    put(store, first.request_id, outcome="upstream_error", cost_nanos=0, final=False)
    assert judge(store, asking()) == Running(first.request_id)


def test_a_request_without_a_record_can_be_forgotten_and_the_old_are_purged(store: Store) -> None:
    first, other = asking(), asking(digest=b"e" * 32)
    judge(store, first)
    judge(store, other, now=NOW + timedelta(hours=1))
    with store.write() as tx:
        release(tx, asking())
    assert judge(store, asking()) == Running(first.request_id)
    with store.write() as tx:
        release(tx, first)
    assert judge(store, asking()) == First()
    with store.write() as tx:
        assert purge(tx, now=NOW + KEPT) == 1


def test_of_many_at_once_one_is_the_first(store: Store) -> None:
    verdicts: list[Any] = []
    barrier = Barrier(8)

    def run() -> None:
        one = asking()
        barrier.wait()
        verdicts.append((judge(store, one), one.request_id))

    threads = [Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [request for verdict, request in verdicts if verdict == First()]
    assert len(winners) == 1
    assert [verdict for verdict, _ in verdicts if verdict != First()] == [Running(winners[0])] * 7


@pytest.fixture
def world(make_relay: MakeRelay, make_upstream: Callable[[], Upstream]) -> tuple[Relay, Upstream]:
    upstream = make_upstream()
    return make_relay(configured("a", upstream.url)), upstream


def post(client: Client, key: str, body: Any = CHAT) -> None:
    client.post(body, f"Idempotency-Key: {key}".encode())


def test_the_same_request_is_forwarded_once(world: tuple[Relay, Upstream]) -> None:
    relay, upstream = world
    with relay.client() as first, relay.client() as second, relay.client() as third:
        post(first, "k")
        peer = upstream.accept()
        peer.request()
        post(second, "k")
        running = second.answer()
        peer.send(response(COMPLETION))
        peer.close()
        identifier = first.answer().header(b"x-request-id") or b""
        assert (running.status, running.error["type"], running.error["code"]) == (
            409,
            "idempotency_error",
            "request_running",
        )
        assert identifier.decode() in running.error["message"]
        post(third, "k")  # the store may not have the record yet
        done = third.answer()
        assert (done.status, done.error["code"]) == (409, "request_done")
        assert identifier.decode() in done.error["message"]
        assert done.header(b"x-should-retry") == b"false"
        assert relay.record(third)["outcome"] == "rejected_request"
    with relay.client() as fourth:
        post(fourth, "k", {**CHAT, "temperature": 1})
        reused = fourth.answer()
        assert (reused.status, reused.error["code"]) == (422, "key_reused")
    assert upstream.nobody_came()


@pytest.mark.parametrize(
    ("ended", "error"),
    [
        ({"outcome": "ok", "cost_nanos": 5}, IdempotencyDoneError),
        ({"outcome": "client_disconnect", "cost_nanos": None}, IdempotencyDoneError),
        ({"outcome": "upstream_error", "cost_nanos": 0}, IdempotencyRunningError),
        ({"outcome": "ok", "final": False}, IdempotencyRunningError),
    ],
)
def test_what_has_ended_and_is_not_in_the_store_yet_is_known_here(
    sqlite_store: Store, tmp_path: Path, ended: dict[str, Any], error: type[Exception]
) -> None:
    """A recorder that does not run: what it was given waits in memory."""
    writer = Writer(sqlite_store, clock=lambda: to_micros(NOW))
    opening = Opening(id=uuid4().bytes, request_id=uuid4().bytes, attempt=1, started_at=to_micros(NOW))
    with closing(DiskJournal(tmp_path, segment_bytes=1 << 18)) as journal:
        recorder = Recorder(BatchWriter(writer, alarm=pytest.fail), journal, alarm=pytest.fail)
        keys = IdempotencyKeys(sqlite_store, now=lambda: NOW, ended=recorder.ended)

        def ask() -> None:
            asyncio.run(keys.claim(b"k", opening, body=BODY))

        ask()
        with pytest.raises(IdempotencyRunningError):
            ask()
        for request_id, fields in ((uuid4().bytes, {"outcome": "ok"}), (opening.request_id, ended)):
            record = RequestRecord(request_id, request_id, 1, to_micros(NOW))
            for name, value in fields.items():
                setattr(record, name, value)
            recorder.put(record)
        with pytest.raises(error):
            ask()


def test_another_key_of_the_relay_s_own_has_idempotency_keys_of_its_own(
    world: tuple[Relay, Upstream],
) -> None:
    relay, upstream = world
    for token in (relay.key, relay.new_key(name="other")):
        with relay.client(token) as client:
            post(client, "k")
            upstream.answer(response(COMPLETION))
            assert client.answer().status == 200


def test_after_a_failure_of_the_upstream_the_same_key_may_be_sent_again(
    world: tuple[Relay, Upstream],
) -> None:
    relay, upstream = world
    with relay.client() as first:
        post(first, "k")
        upstream.answer(response(b"{}", status=b"500 Internal Server Error"))
        assert first.answer().status == 500
        relay.record(first)
    with relay.client() as second:
        post(second, "k")
        upstream.answer(response(COMPLETION))
        assert second.answer().status == 200


@pytest.mark.parametrize("value", [b"", b"a b", b"\xc3\xbc", b"k" * 256])
def test_what_cannot_be_a_key_is_refused(world: tuple[Relay, Upstream], value: bytes) -> None:
    relay, _ = world
    with relay.client() as client:
        client.post(CHAT, b"Idempotency-Key: " + value)
        answer = client.answer()
        assert answer.status == 400
        assert "Idempotency-Key" in answer.error["message"]
