"""Delivers what is in the outbox: each channel by itself, one message at a time, in a thread of its own.

A channel that hangs is given up after `PATIENCE_S`: its message waits for another attempt, its thread ends whenever it
ends, and until then nothing more is given to that channel by this process. No other channel notices.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from service.alerts.channels.opening import ChannelOpener, OpenedChannel
from service.alerts.channels.outcome import DeliveryFailedError, Envelope
from service.alerts.outbox import Attempted, Claimed, Outbox, anything_due
from service.errors import ConfigurationError, NotFoundError, StoreError
from service.logs import get_logger
from service.store.engine import Store

PATIENCE_S = 45.0
STOP_S = 5.0
_GONE = "the channel was deleted"


class CourierClock(msgspec.Struct, frozen=True):
    """*now* is the wall clock (UTC), *monotonic* measures how long things take."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]


class _Errand:
    """One message on its way."""

    def __init__(self, claimed: Claimed, *, began: float, started_at: datetime) -> None:
        self.claimed = claimed
        self.began = began
        self.started_at = started_at
        self.given_up = False
        self.thread: threading.Thread | None = None


class Courier:
    """Claims messages as *name* and sends them; *done* hears of each that came to an end."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        *,
        opener: ChannelOpener,
        clock: CourierClock,
        name: str,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._opener = opener
        self._clock = clock
        self._name = name
        self._done = done
        self._lock = threading.Lock()
        self._errands: dict[str, _Errand] = {}

    def run_once(self) -> int:
        """Start what is due; returns how many messages were started."""
        self.give_up_slow()
        now = self._clock.now()
        busy = self.busy
        with self._store.read() as tx:
            if not anything_due(tx, now=now, busy=busy):
                return 0
        return self._start(now, busy=busy)

    def deliver(self, delivery_id: UUID) -> int:
        """Start this message, if it is due."""
        return self._start(self._clock.now(), busy=self.busy, only=delivery_id)

    @property
    def busy(self) -> set[str]:
        """The channels that have a message under way here."""
        with self._lock:
            return set(self._errands)

    def stop(self) -> None:
        """Wait a little for what is under way; what does not end is claimed by somebody else later."""
        with self._lock:
            threads = [errand.thread for errand in self._errands.values() if errand.thread is not None]
        deadline = self._clock.monotonic() + STOP_S
        for thread in threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))

    def _start(self, now: datetime, *, busy: set[str], only: UUID | None = None) -> int:
        with self._store.write() as tx:
            claimed = self._outbox.claim(tx, by=self._name, now=now, busy=busy, only=only)
            opened = {one.id: self._opened(tx, one) for one in claimed}
        for one in claimed:
            errand = _Errand(one, began=self._clock.monotonic(), started_at=now)
            target = opened[one.id]
            if isinstance(target, Attempted):
                self._finish(errand, target)
                continue
            errand.thread = threading.Thread(
                target=self._carry, args=(errand, target), name=f"channel {one.channel_id}", daemon=True
            )
            with self._lock:
                self._errands[one.channel_id] = errand
            errand.thread.start()
        return len(claimed)

    def _opened(self, tx: Connection, claimed: Claimed) -> OpenedChannel | Attempted:
        """The channel, or why there is no sense in trying."""
        try:
            return self._opener.open(tx, claimed.channel_id)
        except (NotFoundError, ConfigurationError) as error:
            gone = isinstance(error, NotFoundError)
            return Attempted(
                ok=False,
                detail=_GONE if gone else str(error),
                started_at=self._clock.now(),
                duration_ms=0.0,
                final=gone,
            )

    def _carry(self, errand: _Errand, opened: OpenedChannel) -> None:
        """In the channel's thread: send, and note what came of it."""
        claimed = errand.claimed
        envelope = Envelope(id=str(claimed.id), payload=claimed.payload, sent_at=errand.started_at)
        try:
            detail = opened.channel.send(envelope)
            result = self._attempted(errand, ok=True, detail=detail)
        except DeliveryFailedError as error:
            result = self._attempted(errand, ok=False, detail=str(error))
            result = msgspec.structs.replace(result, retry_after_s=error.retry_after_s, final=error.final)
        except Exception as error:  # noqa: BLE001  (whatever a library throws is a failed attempt, never a lost one)
            result = self._attempted(errand, ok=False, detail=f"{type(error).__name__}: {error}")
        result = msgspec.structs.replace(result, detail=opened.masked(result.detail))
        with self._lock:
            given_up = errand.given_up
        try:
            if not given_up:
                self._finish(errand, result)
        except StoreError as error:
            get_logger().warning("alert_delivery_not_noted", delivery=str(claimed.id), error=str(error))
        finally:
            with self._lock:
                del self._errands[claimed.channel_id]
            self._done()

    def give_up_slow(self) -> None:
        """Note what takes too long as failed; `run_once` does it too."""
        late: list[_Errand] = []
        with self._lock:
            for errand in self._errands.values():
                if not errand.given_up and self._clock.monotonic() - errand.began > PATIENCE_S:
                    errand.given_up = True
                    late.append(errand)
        for errand in late:
            detail = f"no end after {PATIENCE_S:.0f} s"
            self._finish(errand, self._attempted(errand, ok=False, detail=detail))

    def _attempted(self, errand: _Errand, *, ok: bool, detail: str) -> Attempted:
        duration_ms = (self._clock.monotonic() - errand.began) * 1000
        return Attempted(ok=ok, detail=detail, started_at=errand.started_at, duration_ms=duration_ms)

    def _finish(self, errand: _Errand, result: Attempted) -> None:
        claimed = errand.claimed
        with self._store.write() as tx:
            state = self._outbox.finish(tx, claimed, result=result, now=self._clock.now())
        facts = {"delivery": str(claimed.id), "channel": claimed.channel_id, "attempt": claimed.attempt}
        if result.ok:
            get_logger().info("alert_delivered", **facts)
        elif state == "dead":
            get_logger().error("alert_delivery_given_up", **facts, error=result.detail)
        else:
            get_logger().warning("alert_delivery_failed", **facts, error=result.detail)
