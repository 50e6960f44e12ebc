"""The revision number of the configuration in the store, and the poller that holds what was last loaded.

Whoever changes keys, prices or anything else that requests need calls `bump_revision` in the same transaction.
Its row lock makes changes commit one after another, so whoever sees a revision sees all that belongs to it.

The poller keeps serving what it has while the store is away, and says for how long: `stale_for_s`.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from sqlalchemy import BigInteger, Connection, Text, cast, select

from service.errors import TollkeeperError
from service.logs import get_logger
from service.store.engine import Store
from service.store.facts import fact_set_once, insert_fact, read_fact
from service.store.tables import store_fact

T = TypeVar("T")
REVISION = "revision"


def bump_revision(tx: Connection) -> None:
    """Tell every relay, once *tx* commits, that its snapshot is out of date."""
    fresh = insert_fact(tx).values(name=REVISION, value="1")
    following = cast(cast(store_fact.c.value, BigInteger) + 1, Text)
    tx.execute(fresh.on_conflict_do_update(index_elements=[store_fact.c.name], set_={"value": following}))


def lock_revision(tx: Connection) -> None:
    """Wait until no other transaction changes the configuration, and keep others waiting until *tx* ends."""
    fact_set_once(tx, name=REVISION, value="0")
    tx.execute(select(store_fact.c.value).where(store_fact.c.name == REVISION).with_for_update())


def read_revision(tx: Connection) -> int:
    """The current revision; 0 before the first change."""
    return int(read_fact(tx, REVISION) or 0)


class RevisionPoller(Generic[T]):
    """Holds what *load* made of the store and makes it anew when the revision changes.

    *clock* is monotonic, in seconds. Any thread may read `value`.
    """

    def __init__(
        self,
        store: Store,
        load: Callable[[Connection], T],
        *,
        clock: Callable[[], float],
        interval_s: float = 0.5,
        stale_after_s: float = 3600.0,
    ) -> None:
        self._store = store
        self._load = load
        self._clock = clock
        self._interval_s = interval_s
        self._stale_after_s = stale_after_s
        self._turn = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False
        self._revision, self._value = self._read()
        self._fresh_at = clock()

    @property
    def value(self) -> T:
        """What was loaded last."""
        return self._value

    @property
    def revision(self) -> int:
        """The revision of `value`."""
        return self._revision

    @property
    def stale_for_s(self) -> float:
        """Seconds since the store was last asked with success."""
        return max(0.0, self._clock() - self._fresh_at)

    @property
    def stale(self) -> bool:
        """Whether the store has been away for so long that `value` must not be trusted any more."""
        return self.stale_for_s > self._stale_after_s

    def start(self) -> None:
        """Poll from a daemon thread until `stop`."""
        self._thread = threading.Thread(target=self._poll, name="revision-poller", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def refresh_now(self) -> T:
        """Look at the store at once, in the caller's thread; returns the current value.

        Raises:
            StoreError: the store cannot be asked; `value` is unchanged.
        """
        with self._turn:
            asked_at = self._clock()
            with self._store.read() as tx:
                revision = read_revision(tx)
                if revision != self._revision:
                    self._revision, self._value = revision, self._load(tx)
            self._fresh_at = asked_at
            return self._value

    def _read(self) -> tuple[int, T]:
        with self._store.read() as tx:
            return read_revision(tx), self._load(tx)

    def _poll(self) -> None:
        while not self._stopped.wait(self._interval_s):
            try:
                self.refresh_now()
            except TollkeeperError as error:
                self._report(error)
            except Exception as error:  # noqa: BLE001  (a row that cannot be read must not end the thread)
                self._report(error)
            else:
                self._recovered()

    def _report(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            get_logger().warning("snapshot_stale", error=str(error), revision=self._revision)

    def _recovered(self) -> None:
        if self._failing:
            self._failing = False
            get_logger().info("snapshot_fresh_again", revision=self._revision)
