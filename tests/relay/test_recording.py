"""Content on its way through a relay: kept where the project wants it, nowhere else, and never in the open."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from service.content.captured import ContentFilter
from service.content.policy import Capture
from service.content.registry import ShownContent
from service.errors import NotFoundError
from service.keys.projects import ProjectChanges, ProjectRegistry
from service.store.content_tables import captured_content
from service.store.engine import Store
from tests.relay.conftest import MakeRelay
from tests.support.audit import TESTER
from tests.support.client import Client
from tests.support.relay import Relay, until
from tests.support.relay import upstream as configured
from tests.support.upstream import (
    CHUNKED_HEAD,
    COMPLETION,
    DONE,
    Upstream,
    chunk,
    delta,
    response,
    stream_head,
    usage_event,
)

SECRET = "joe@example.com"
PROMPT = "an unmistakable question"
ASKED = {"model": "gpt-4o", "user": "joe", "messages": [{"role": "user", "content": f"{PROMPT} of {SECRET}"}]}
ANSWERED = COMPLETION.replace(b'"Hi"', b'"an unmistakable answer"')
KEEP = Capture(enabled=True, retention_days=7)


def set_capture(relay: Relay, project: str, capture: Capture | None) -> None:
    """What the operator does; this relay knows it at once."""
    registry = ProjectRegistry(now=relay.process._now, random_bytes=os.urandom, trail=relay.process.trail)
    with relay.process.store.write() as tx:
        made = registry.ensure(tx, project, by=TESTER)
        registry.update(tx, made.id, changes=ProjectChanges(capture=capture), by=TESTER)
    relay.process.configuration.refresh_now()


@pytest.fixture
def keeping(relay: Relay) -> Iterator[Client]:
    """A client of the shared relay, whose project keeps content."""
    key = relay.new_key(project="kept")
    set_capture(relay, "kept", KEEP)
    with relay.client(key) as client:
        yield client


def kept(relay: Relay, client: Client) -> ShownContent:
    """What was kept of the one request of *client*."""
    record = relay.record(client)
    identifier = str(record["id"])

    def there() -> bool:
        relay.process.capturer._wake.set()
        with relay.process.store.read() as tx:
            return relay.process.content.has(tx, identifier)

    assert until(there)
    with relay.process.store.write() as tx:
        shown = relay.process.content.read(tx, identifier, by=TESTER)
    assert (shown.record_id, shown.request_id) == (record["id"], record["request_id"])
    return shown


def count(relay: Relay) -> int:
    """How many rows there are once everything that was handed over is written."""
    assert relay.is_idle()
    assert until(lambda: relay.process.capturer.backlog == 0)
    with relay.process.store.read() as tx:
        return int(tx.scalar(select(func.count()).select_from(captured_content)) or 0)


def content_of(shown: ShownContent) -> tuple[Any, Any]:
    assert shown.content.answer is not None
    return json.loads(shown.content.request.text), json.loads(shown.content.answer.text)


def test_a_request_and_its_answer(relay: Relay, keeping: Client, upstream: Upstream) -> None:
    keeping.post(ASKED)
    upstream.answer(response(ANSWERED))
    assert keeping.answer().body == ANSWERED
    shown = kept(relay, keeping)
    request, answer = content_of(shown)
    assert request == {**ASKED, "messages": [{"role": "user", "content": f"{PROMPT} of [email]"}]}
    assert answer == json.loads(ANSWERED)
    assert (shown.project, shown.end_user, (shown.expires_at - shown.captured_at).days) == ("kept", "joe", 7)
    assert shown.content.answer is not None
    assert shown.content.answer.size == len(ANSWERED)


def test_a_stream_is_forwarded_as_it_is_and_kept_put_together(
    relay: Relay, keeping: Client, upstream: Upstream
) -> None:
    pieces = [
        delta("Ask joe@exa"),
        delta("mple.com, "),
        delta("or 4111 1111"),
        delta(" 1111 1111.", finish="stop"),
    ]
    keeping.post({**ASKED, "stream": True})
    upstream.answer(stream_head(), *pieces, usage_event(), DONE)
    assert keeping.answer().body == b"".join(pieces) + DONE
    shown = kept(relay, keeping)
    _, answer = content_of(shown)
    assert answer["choices"][0]["message"]["content"] == "Ask [email], or [card]."
    assert answer["object"] == "chat.completion"
    part = shown.content.answer
    assert part is not None
    assert (part.events, part.is_whole, part.redacted) == (5, True, {"email": 1, "card": 1})


def test_only_the_answer_that_the_client_got(make_relay: MakeRelay, make_upstream: Any) -> None:
    first, second = make_upstream(), make_upstream()
    relay = make_relay(configured("first", first.url), configured("second", second.url, priority=1))
    key = relay.new_key(project="kept")
    set_capture(relay, "kept", KEEP)
    with relay.client(key) as client:
        client.post(ASKED)
        first.answer(response(b'{"error": {"message": "busy"}}', status=b"503 Service Unavailable"))
        second.answer(response(ANSWERED))
        client.answer()
        records = relay.records(client.agent, count=2)
    assert count(relay) == 1
    with relay.process.store.write() as tx:
        shown = relay.process.content.read(tx, str(records[0]["request_id"]), by=TESTER)
    assert shown.record_id == records[1]["id"]
    assert content_of(shown)[1] == json.loads(ANSWERED)


def test_an_upstream_that_nobody_reached(make_relay: MakeRelay) -> None:
    away = make_relay(configured("away", "http://127.0.0.1:9/v1"))
    key = away.new_key(project="kept")
    set_capture(away, "kept", KEEP)
    with away.client(key) as client:
        client.post(ASKED)
        assert client.answer().status == 502
        shown = kept(away, client)
    assert shown.content.answer is None
    assert PROMPT in shown.content.request.text


def test_an_error_of_the_upstream(relay: Relay, keeping: Client, upstream: Upstream) -> None:
    keeping.post(ASKED)
    upstream.answer(response(b'{"error": {"message": "joe@example.com may not"}}', status=b"403 Forbidden"))
    assert keeping.answer().status == 403
    part = kept(relay, keeping).content.answer
    assert part is not None
    assert (json.loads(part.text), part.is_whole) == ({"error": {"message": "[email] may not"}}, True)


def test_a_stream_that_broke_off(relay: Relay, keeping: Client, upstream: Upstream) -> None:
    keeping.post({**ASKED, "stream": True})
    words = "lorem ipsum " * 40
    upstream.answer(CHUNKED_HEAD, chunk(delta(words) + delta("card 4111 1111 1111 1")))
    assert b"error" in keeping.answer().body
    part = kept(relay, keeping).content.answer
    assert part is not None
    assert not part.is_whole
    content = json.loads(part.text)["choices"][0]["message"]["content"]
    assert len(content) > 300
    assert words.startswith(content)


def test_a_client_that_left(relay: Relay, keeping: Client, upstream: Upstream) -> None:
    keeping.post({**ASKED, "stream": True})
    peer = upstream.accept()
    peer.request()
    peer.send(stream_head(), delta("Hel"))
    keeping.started()
    keeping.leave()
    peer.send(delta("lo", finish="stop"), DONE)
    peer.close()
    shown = kept(relay, keeping)
    assert content_of(shown)[1]["choices"][0]["message"]["content"] == "Hello"


def test_requests_of_other_projects_and_refusals_are_not_kept(
    relay: Relay, client: Client, keeping: Client, upstream: Upstream
) -> None:
    before = count(relay)
    client.post(ASKED)
    upstream.answer(response(ANSWERED))
    assert client.answer().status == 200
    for body in (b"{", b"{}", {**ASKED, "model": "nobody-serves-this"}):
        keeping.post(body)
        assert keeping.answer().status in (400, 404)
    with relay.client("tk_wrong") as stranger:
        stranger.post(ASKED)
        assert stranger.answer().status == 401
    relay.records(keeping.agent, count=3)
    assert count(relay) == before


def test_switched_off_again(relay: Relay, keeping: Client, upstream: Upstream) -> None:
    for capture in (Capture(enabled=False), None):
        set_capture(relay, "kept", capture)
        before = count(relay)
        keeping.post(ASKED)
        upstream.answer(response(ANSWERED))
        keeping.answer()
        assert count(relay) == before


@pytest.mark.usefixtures("keeping")
def test_content_of_an_end_user_is_deleted_and_others_stay(relay: Relay, upstream: Upstream) -> None:
    shown = []
    for user in ("anna-1", "anna-2"):
        with relay.client(relay.new_key(project="kept")) as client:
            client.post({**ASKED, "user": user})
            upstream.answer(response(ANSWERED))
            client.answer()
            shown.append(kept(relay, client))
    process = relay.process
    assert process.content.delete(process.store, ContentFilter(end_user="anna-1"), by=TESTER) == 1
    with process.store.write() as tx:
        with pytest.raises(NotFoundError):
            process.content.read(tx, str(shown[0].record_id), by=TESTER)
        assert process.content.read(tx, str(shown[1].record_id), by=TESTER).end_user == "anna-2"


def on_disk(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("capture", [None, KEEP], ids=["off", "on"])
@pytest.mark.parametrize("stream", [False, True], ids=["body", "stream"])
def test_no_word_of_it_is_on_disk_or_in_the_log(
    make_relay: MakeRelay,
    make_upstream: Any,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    *,
    capture: Capture | None,
    stream: bool,
) -> None:
    upstream = make_upstream()
    relay = make_relay(configured("a", upstream.url))
    key = relay.new_key(project="kept")
    set_capture(relay, "kept", capture)
    parts = [stream_head(), delta("an unmistakable answer"), DONE] if stream else [response(ANSWERED)]
    with relay.client(key) as client:
        client.post({**ASKED, "stream": stream})
        upstream.answer(*parts)
        assert b"an unmistakable answer" in client.answer().body
        relay.record(client)
        while_running = on_disk(tmp_path)
        assert count(relay) == (0 if capture is None else 1)
        if capture is not None:
            assert PROMPT in kept(relay, client).content.request.text
    files = {**while_running, **{f"{name} (later)": data for name, data in on_disk(tmp_path).items()}}
    assert any(name.endswith(".journal") for name in files)
    assert any(name.endswith(("tollkeeper.db", "tollkeeper.db-wal")) for name in files)
    relay.stop()
    files |= {f"{name} (at the end)": data for name, data in on_disk(tmp_path).items()}
    output = capfd.readouterr()
    files |= {"log": (output.out + output.err).encode()}
    for word in (b"unmistakable", SECRET.encode(), SECRET.encode("utf-16-le")):
        assert [name for name, data in files.items() if word in data] == []


def test_a_request_that_could_not_begin_holds_no_memory(make_relay: MakeRelay, make_upstream: Any) -> None:
    relay = make_relay(configured("a", make_upstream().url), journal_max_bytes=1 << 20)
    key = relay.new_key(project="kept")
    set_capture(relay, "kept", KEEP)
    relay.fill_journal()
    with relay.client(key) as client:
        client.post(ASKED)
        assert client.answer().status == 503
    assert count(relay) == 0
    assert relay.process.capturer.room.free == relay.process.settings.content.memory_bytes


def test_what_is_in_flight_at_the_end_is_written(make_relay: MakeRelay, make_upstream: Any) -> None:
    upstream = make_upstream()
    relay = make_relay(configured("a", upstream.url))
    key = relay.new_key(project="kept")
    set_capture(relay, "kept", KEEP)
    with relay.client(key) as client:
        client.post({**ASKED, "stream": True})
        peer = upstream.accept()
        peer.request()
        peer.send(stream_head(), delta("Hello "))
        client.started()
        relay.stop()
    with closing(Store(relay.process.settings.store.url)) as store, store.read() as tx:
        assert tx.scalar(select(func.count()).select_from(captured_content)) == 1
