"""Who leads among several keepers: a row in the store, and no clock that two machines would have to agree on.

The leader raises the row's `beat` every `BEAT_S`. Whoever else watches takes over once the beat has stood still for
`TAKE_OVER_S` by the watcher's own monotonic clock; the leader stops leading `VALID_S` after the last beat it is sure
of, which is sooner. `fence` grows with every change of hands: a transaction that begins with `require` fails where
somebody else leads by now, however long its process was stopped in between.
"""

from collections.abc import Callable

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.errors import TollkeeperError
from service.logs import get_logger
from service.store.alert_tables import leadership
from service.store.engine import Store

NAME = "keeper"
NOBODY = ""
BEAT_S = 3.0
VALID_S = 8.0
TAKE_OVER_S = 10.0
_ROW = leadership.c


class NotLeaderError(TollkeeperError):
    """Somebody else leads: whatever was begun must not be done."""


class Leadership:
    """One keeper's part in it. *holder* is unlike any other process's; *monotonic* counts seconds."""

    def __init__(self, store: Store, *, holder: str, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._holder = holder
        self._monotonic = monotonic
        self._fence: int | None = None
        self._beaten_at = 0.0
        self._seen: tuple[int, int] | None = None
        self._seen_at = 0.0

    @property
    def leads(self) -> bool:
        """Whether this keeper may act now."""
        return self._fence is not None and self._monotonic() - self._beaten_at < VALID_S

    def tick(self) -> None:
        """Beat, or watch and take over; called about once a second.

        Raises:
            StoreError: the store cannot be asked; leading ends by itself if that lasts.
        """
        if self._fence is None:
            self._watch()
        elif self._monotonic() - self._beaten_at >= BEAT_S:
            self._beat(self._fence)

    def require(self, tx: Connection) -> None:
        """Go on only as the leader, and keep others from taking over until *tx* ends.

        Raises:
            NotLeaderError: somebody else leads.
        """
        mine = (_ROW.name == NAME, _ROW.holder == self._holder, _ROW.fence == (self._fence or 0))
        if tx.execute(select(_ROW.fence).where(*mine).with_for_update(read=True)).first() is None:
            self._fence = None
            raise NotLeaderError("another keeper leads")

    def resign(self) -> None:
        """Let another take over at once."""
        fence, self._fence = self._fence, None
        if fence is None:
            return
        mine = (_ROW.name == NAME, _ROW.holder == self._holder, _ROW.fence == fence)
        with self._store.write() as tx:
            tx.execute(update(leadership).where(*mine).values(holder=NOBODY, beat=_ROW.beat + 1))

    def _beat(self, fence: int) -> None:
        began = self._monotonic()
        mine = (_ROW.name == NAME, _ROW.holder == self._holder, _ROW.fence == fence)
        with self._store.write() as tx:
            alive = tx.execute(update(leadership).where(*mine).values(beat=_ROW.beat + 1)).rowcount
        if alive:
            self._beaten_at = began
        else:
            self._fence = self._seen = None
            get_logger().warning("keeper_leadership_lost", holder=self._holder)

    def _watch(self) -> None:
        with self._store.read() as tx:
            row = tx.execute(select(leadership).where(_ROW.name == NAME)).first()
        now = self._monotonic()
        if row is None:
            self._found()
            return
        seen = (int(row.fence), int(row.beat))
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        if row.holder == NOBODY or now - self._seen_at >= TAKE_OVER_S:
            self._take_over(*seen)

    def _found(self) -> None:
        began = self._monotonic()
        with self._store.write() as tx:
            new = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
            first = new(leadership).values(name=NAME, holder=self._holder, fence=1, beat=1)
            made = tx.scalar(first.on_conflict_do_nothing().returning(_ROW.fence))
        if made is not None:
            self._lead(1, began=began)

    def _take_over(self, fence: int, beat: int) -> None:
        began = self._monotonic()
        unchanged = (_ROW.name == NAME, _ROW.fence == fence, _ROW.beat == beat)
        values = {"holder": self._holder, "fence": fence + 1, "beat": beat + 1}
        with self._store.write() as tx:
            taken = tx.execute(update(leadership).where(*unchanged).values(values)).rowcount
        if taken:
            self._lead(fence + 1, began=began)

    def _lead(self, fence: int, *, began: float) -> None:
        self._fence, self._beaten_at, self._seen = fence, began, None
        get_logger().info("keeper_leads", holder=self._holder, fence=fence)
