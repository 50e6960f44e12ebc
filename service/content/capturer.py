"""The capturer: one thread that redacts, seals and writes content, beside everything that matters more.

The event loop hands over bytes and goes on. They stay in memory until they are redacted; what does not fit is left out
and counted, never written anywhere else. While the store is away the thread tries again with what it has sealed, and
what memory cannot hold meanwhile is left out too.
"""

import threading
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from time import sleep
from uuid import UUID

import msgspec

from service.content.captured import SealedContent, generation_of, insert_content
from service.content.parts import READ_FACTOR, Content, Part, Taken, part_of
from service.content.policy import Capture
from service.content.redact import Redactor, redactor_of
from service.content.tape import Room, Tape
from service.content.vault import Vault
from service.errors import ConfigurationError, StoreUnavailableError
from service.settings import ContentSettings
from service.store.engine import Store
from service.store.types import from_micros

INTERVAL_S = 0.5
BATCH = 20
RETRY_FIRST_S = 0.5
RETRY_LAST_S = 10.0


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """One request and its answer, as they crossed the relay; *held* bytes of the room are theirs."""

    record_id: bytes
    request_id: bytes
    project: str
    key_id: str
    end_user: str | None
    started_at: int
    capture: Capture
    request: Taken
    answer: Taken | None
    held: int


class Counters(msgspec.Struct):
    """What became of content since the start."""

    stored: int = 0
    no_room: int = 0
    store_away: int = 0
    failed: int = 0

    @property
    def left_out(self) -> int:
        """Requests whose content was to be kept and was not."""
        return self.no_room + self.store_away + self.failed


class Capturer:
    """`tape` and `put` on the event loop; a thread of its own does the work.

    *report* hears of content that is left out, in words that hold none of it.
    """

    def __init__(
        self, store: Store, vault: Vault, *, settings: ContentSettings, report: Callable[[str], None]
    ) -> None:
        self._store = store
        self._vault = vault
        self._settings = settings
        self._report = report
        self._redactors: dict[tuple[str, ...] | None, Redactor] = {}
        self._queue: deque[Conversation] = deque()
        self._sealed: list[SealedContent] = []
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capturer", daemon=True)
        self._said: set[str] = set()
        self._tell_at = 1
        self.room = Room(settings.memory_bytes)
        self.counters = Counters()

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    @property
    def backlog(self) -> int:
        """Requests whose content is not written yet."""
        return len(self._queue) + len(self._sealed)

    def tape(self) -> Tape:
        """What an answer is to be recorded on."""
        return Tape(self.room, limit=self._settings.max_bytes * READ_FACTOR)

    def put(self, conversation: Conversation) -> None:
        """Keep the content of a request whose record is closed. Its request must still find room."""
        if self._stopping.is_set() or not self.room.take(conversation.request.size):
            self.counters.no_room += 1
            self.room.give(conversation.held)
            return
        held = conversation.held + conversation.request.size
        self._queue.append(msgspec.structs.replace(conversation, held=held))
        if len(self._queue) >= BATCH and not self._wake.is_set():
            self._wake.set()

    def stop(self, *, timeout_s: float) -> None:
        """Write what is left, if the store takes it at once, and end the thread."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        pause = RETRY_FIRST_S
        while True:
            if not self._stopping.is_set():
                self._wake.wait(INTERVAL_S)
            self._wake.clear()
            stopping = self._stopping.is_set()
            try:
                self._drain()
                pause = RETRY_FIRST_S
            except StoreUnavailableError:
                self._stopping.wait(0.0 if stopping else pause)
                pause = min(RETRY_LAST_S, 2 * pause)
            except Exception:  # noqa: BLE001  (a thread that dies would keep nothing ever after)
                self.counters.failed += len(self._sealed)
                self._sealed = []
            if stopping:
                self.counters.store_away += len(self._sealed) + len(self._queue)
            self._tell()
            if stopping:
                return

    def _drain(self) -> None:
        """Everything in the queue into the store, a few at a time."""
        while self._sealed or self._queue:
            if not self._sealed:
                with self._store.read() as tx:
                    generation = generation_of(tx)
                self._seal_some(generation)
            with self._store.write() as tx:
                insert_content(tx, self._sealed)
            self.counters.stored += len(self._sealed)
            self._sealed = []

    def _seal_some(self, generation: int) -> None:
        while self._queue and len(self._sealed) < BATCH:
            conversation = self._queue[0]
            try:
                sealed = self._seal(conversation, generation)
            except ConfigurationError as error:
                self.counters.failed += 1
                self._report_once(str(error))
            except Exception:  # noqa: BLE001  (whatever a client sent; an error's text could hold some of it)
                self.counters.failed += 1
            else:
                self._sealed.append(sealed)
            finally:
                self._queue.popleft()
                self.room.give(conversation.held)
                sleep(0)  # the event loop's turn

    def _seal(self, conversation: Conversation, generation: int) -> SealedContent:
        redactor = self._redactor(conversation.capture.redact)
        answer = None if conversation.answer is None else self._part(conversation.answer, redactor)
        content = Content(self._part(conversation.request, redactor), answer)
        record_id = UUID(bytes=conversation.record_id)
        captured_at = from_micros(conversation.started_at)
        return SealedContent(
            record_id=record_id,
            request_id=UUID(bytes=conversation.request_id),
            project=conversation.project,
            key_id=conversation.key_id,
            end_user=conversation.end_user,
            captured_at=captured_at,
            expires_at=captured_at + timedelta(days=conversation.capture.retention_days),
            sealed_with=generation,
            sealed=self._vault.seal(content, record_id=record_id, generation=generation),
        )

    def _part(self, taken: Taken, redactor: Redactor) -> Part:
        return part_of(taken, redactor=redactor, max_bytes=self._settings.max_bytes)

    def _redactor(self, redact: tuple[str, ...] | None) -> Redactor:
        if redact not in self._redactors:
            try:
                self._redactors[redact] = redactor_of(redact, patterns=self._settings.patterns)
            except KeyError as error:
                raise ConfigurationError(
                    f"a project wants {error} redacted, which is no pattern in content.patterns of this relay; "
                    "its content is not kept"
                ) from error
        return self._redactors[redact]

    def _report_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._report(text)

    def _tell(self) -> None:
        """Report the first request that was left out, the tenth, the hundredth, …"""
        counters = self.counters
        if counters.left_out >= self._tell_at:
            while counters.left_out >= self._tell_at:
                self._tell_at *= 10
            self._report(
                f"content of {counters.left_out} requests was not kept since the start: {counters.no_room} found no "
                f"room in memory (content.memory_bytes), {counters.store_away} waited for the store when the relay "
                f"ended, {counters.failed} could not be read"
            )
