"""The capturer: what it is given is stored redacted and sealed, or left out and counted; nothing waits for it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from service.content import capturer as module
from service.content.captured import find_content, set_generation
from service.content.capturer import Capturer, Conversation
from service.content.parts import Content, Taken
from service.content.policy import Capture
from service.content.registry import ContentRegistry
from service.content.vault import Vault
from service.errors import NotFoundError, StoreUnavailableError
from service.settings import ContentSettings
from service.store.engine import Store
from service.store.types import to_micros
from tests.support.audit import TESTER
from tests.support.clock import HandClock

TIMEOUT_S = 60
MIB = 1 << 20


class SwitchedStore(Store):
    """A store that a test takes away and gives back, or that fails in its own way."""

    failure: Exception | None = None

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.tries = threading.Semaphore(0)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self.tries.release()
        if self.failure is not None:
            raise self.failure
        with super().write() as tx:
            yield tx


class Bench:
    """A capturer with its store."""

    def __init__(self, url: str, vault: Vault, clock: HandClock, **settings: Any) -> None:
        self.store = SwitchedStore(url)
        self.said: list[str] = []
        self.clock = clock
        self.capturer = Capturer(
            self.store,
            vault,
            settings=ContentSettings(**settings),
            report=self.said.append,
        )
        self._next = 0

    def put(
        self,
        question: str = "hello",
        *,
        answer: str | None = "hi",
        capture: Capture | None = None,
        is_stream: bool = False,
    ) -> str:
        """Give it a conversation; returns the id."""
        self._next += 1
        tape = self.capturer.tape()
        if answer is not None:
            tape.add(answer.encode())
        self.capturer.put(
            Conversation(
                record_id=self._next.to_bytes(16),
                request_id=(1000 + self._next).to_bytes(16),
                project="acme",
                key_id="key_1",
                end_user="joe",
                started_at=to_micros(self.clock.now()),
                capture=capture or Capture(enabled=True),
                request=Taken(data=question.encode(), size=len(question)),
                answer=None
                if answer is None
                else Taken(data=tape.content(), size=tape.size, is_stream=is_stream),
                held=tape.held,
            )
        )
        return str(UUID(int=self._next))

    def wait(self, happened: Callable[[], bool]) -> None:
        pause = threading.Event()
        for _ in range(TIMEOUT_S * 100):
            if happened():
                return
            pause.wait(0.01)
        raise AssertionError(f"not within {TIMEOUT_S} s: {self.capturer.counters} {self.said}")


@pytest.fixture
def make_bench(
    store_url: str, vault: Vault, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Bench]]:
    """Makes a capturer that is impatient."""
    monkeypatch.setattr(module, "INTERVAL_S", 0.02)
    monkeypatch.setattr(module, "RETRY_FIRST_S", 0.02)
    monkeypatch.setattr(module, "RETRY_LAST_S", 0.05)
    made: list[Bench] = []

    def make(**settings: Any) -> Bench:
        made.append(Bench(store_url, vault, clock, **settings))
        return made[-1]

    yield make
    for bench in made:
        if bench.capturer._thread.is_alive():
            bench.capturer.stop(timeout_s=TIMEOUT_S)
        bench.store.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """A running capturer."""
    bench = make_bench()
    bench.capturer.start()
    return bench


def read(bench: Bench, registry: ContentRegistry, identifier: str) -> Content:
    with bench.store.write() as tx:
        return registry.read(tx, identifier, by=TESTER).content


def test_it_is_stored_redacted_for_as_long_as_the_project_says(
    bench: Bench, registry: ContentRegistry
) -> None:
    identifier = bench.put("I am joe@example.com", capture=Capture(enabled=True, retention_days=3))
    bench.wait(lambda: bench.capturer.counters.stored == 1)
    with bench.store.write() as tx:
        shown = registry.read(tx, identifier, by=TESTER)
    assert shown.content.request.text == "I am [email]"
    assert shown.content.answer is not None
    assert shown.content.answer.text == "hi"
    assert (shown.expires_at - shown.captured_at).days == 3
    assert (shown.project, shown.key_id, shown.end_user, shown.request_id) == (
        "acme",
        "key_1",
        "joe",
        UUID(int=1001),
    )
    assert bench.capturer.room.free == 64 * MIB
    assert bench.said == []


def test_many_are_stored_in_some_batches(bench: Bench, registry: ContentRegistry) -> None:
    identifiers = [bench.put(f"question {number}", answer=None) for number in range(105)]
    bench.wait(lambda: bench.capturer.counters.stored == 105)
    assert bench.capturer.room.free == 64 * MIB
    for number in (0, 19, 20, 104):
        content = read(bench, registry, identifiers[number])
        assert (content.request.text, content.answer) == (f"question {number}", None)


def test_what_finds_no_room_is_left_out_and_counted(
    make_bench: Callable[..., Bench], registry: ContentRegistry
) -> None:
    bench = make_bench(memory_bytes=MIB)
    kept = bench.put("a" * 600_000, answer="b" * 300_000)
    left = bench.put("c" * 200_000, answer="d" * 1000)
    whole = bench.put("e" * 100_000, answer="f" * 1000)
    assert bench.capturer.counters.no_room == 1
    bench.capturer.start()
    bench.wait(lambda: bench.capturer.counters.stored == 2)
    assert bench.capturer.room.free == MIB
    assert read(bench, registry, kept).request.size == 600_000
    assert read(bench, registry, whole).request.size == 100_000
    with pytest.raises(NotFoundError):
        read(bench, registry, left)
    bench.wait(lambda: len(bench.said) == 1)
    assert bench.said[0].startswith(
        "content of 1 requests was not kept since the start: 1 found no room in memory"
    )


def test_a_store_that_was_away_gets_what_memory_held(
    make_bench: Callable[..., Bench], registry: ContentRegistry
) -> None:
    bench = make_bench(memory_bytes=MIB)
    bench.store.failure = StoreUnavailableError("the store is away")
    bench.capturer.start()
    identifiers = [bench.put(f"{number} " + "x" * 40_000) for number in range(40)]
    for _ in range(5):
        assert bench.store.tries.acquire(timeout=TIMEOUT_S)
    late = bench.put("y" * 900_000)
    assert 40 > bench.capturer.counters.no_room >= 40 - 20 - 26
    assert bench.capturer.counters.stored == 0
    bench.store.failure = None
    stored = 41 - bench.capturer.counters.no_room
    bench.wait(lambda: bench.capturer.counters.stored == stored)
    assert bench.capturer.room.free == MIB
    assert read(bench, registry, identifiers[0]).request.text.startswith("0 ")
    assert late


def test_ending_writes_what_is_left(
    bench: Bench, registry: ContentRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INTERVAL_S", 3600.0)
    bench.wait(lambda: not bench.capturer._wake.is_set())
    identifiers = [bench.put(str(number)) for number in range(50)]
    bench.capturer.stop(timeout_s=TIMEOUT_S)
    assert not bench.capturer._thread.is_alive()
    assert bench.capturer.counters.stored == 50
    assert read(bench, registry, identifiers[-1]).request.text == "49"
    bench.put("too late")
    assert (bench.capturer.counters.no_room, bench.capturer.room.free) == (1, 64 * MIB)


def test_ending_does_not_wait_for_a_store_that_is_away(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.store.failure = StoreUnavailableError("the store is away")
    for _ in range(30):
        bench.put()
    bench.capturer.start()
    assert bench.store.tries.acquire(timeout=TIMEOUT_S)
    bench.capturer.stop(timeout_s=TIMEOUT_S)
    assert not bench.capturer._thread.is_alive()
    assert bench.capturer.counters.store_away == 30
    assert "30 waited for the store when the relay ended" in bench.said[-1]


def test_a_kind_of_redaction_that_is_unknown_keeps_nothing(bench: Bench, registry: ContentRegistry) -> None:
    capture = Capture(enabled=True, redact=("email", "employee"))
    left = [bench.put("joe@example.com EMP-1234", capture=capture) for _ in range(3)]
    kept = bench.put("hello")
    bench.wait(lambda: (bench.capturer.counters.stored, bench.capturer.counters.failed) == (1, 3))
    with pytest.raises(NotFoundError):
        read(bench, registry, left[0])
    assert read(bench, registry, kept).request.text == "hello"
    assert bench.said[0] == (
        "a project wants 'employee' redacted, which is no pattern in content.patterns of this relay; "
        "its content is not kept"
    )
    assert len([text for text in bench.said if "employee" in text]) == 1


def test_own_patterns(make_bench: Callable[..., Bench], registry: ContentRegistry) -> None:
    bench = make_bench(patterns={"employee": r"EMP-\d{4}"})
    bench.capturer.start()
    everything = bench.put("joe@example.com EMP-1234")
    some = bench.put("joe@example.com EMP-1234", capture=Capture(enabled=True, redact=("employee",)))
    bench.wait(lambda: bench.capturer.counters.stored == 2)
    assert read(bench, registry, everything).request.text == "[email] [employee]"
    assert read(bench, registry, some).request.text == "joe@example.com [employee]"


def test_content_that_cannot_be_read_is_counted_and_nothing_of_it_said(
    bench: Bench, registry: ContentRegistry
) -> None:
    deep = '{"a":' * 600 + '"plaintext"' + "}" * 600
    bench.put(answer=f'data: {{"choices":[{{"delta":{deep}}}]}}\n\n', is_stream=True)
    kept = bench.put("hello")
    bench.wait(lambda: (bench.capturer.counters.stored, bench.capturer.counters.failed) == (1, 1))
    assert read(bench, registry, kept).request.text == "hello"
    assert bench.capturer.room.free == 64 * MIB
    bench.wait(lambda: bool(bench.said))
    assert "plaintext" not in str(bench.said)


def test_a_store_that_refuses_a_batch_loses_no_more_than_that(
    bench: Bench, registry: ContentRegistry
) -> None:
    bench.store.failure = ValueError("nobody knows what this says")
    bench.put("lost")
    bench.wait(lambda: bench.capturer.counters.failed == 1)
    bench.store.failure = None
    kept = bench.put("hello")
    bench.wait(lambda: bench.capturer.counters.stored == 1)
    assert read(bench, registry, kept).request.text == "hello"
    assert "nobody" not in str(bench.said)


def test_a_new_key_is_taken_up(bench: Bench, registry: ContentRegistry, vault: Vault) -> None:
    with bench.store.write() as tx:
        set_generation(tx, 7)
    identifier = bench.put("hello")
    bench.wait(lambda: bench.capturer.counters.stored == 1)
    assert read(bench, registry, identifier).request.text == "hello"
    with bench.store.read() as tx:
        row = find_content(tx, UUID(identifier), now=bench.clock.now())
    assert row is not None
    assert row.sealed_with == 7
    assert vault.open(row.sealed, record_id=row.record_id, generation=7).request.text == "hello"


def test_it_says_how_much_is_left_out_ever_less_often(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(memory_bytes=MIB)
    bench.capturer.start()
    for number in range(150):
        bench.put("x" * (2 * MIB), answer=None)
        bench.wait(lambda: bool(bench.said))
        if number % 50 == 0:
            bench.capturer._wake.set()
    bench.wait(lambda: bench.said[-1].startswith("content of 1") and len(bench.said) >= 3)
    bench.capturer.stop(timeout_s=TIMEOUT_S)
    assert len(bench.said) == 3
