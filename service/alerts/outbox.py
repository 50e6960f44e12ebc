"""The outbox: messages in the store until their channel has taken them. At least once, in order for each event.

Whoever delivers claims a message for a while (`CLAIM_S`); a claim that ends without a word, because its process died,
is open to the next. A message that failed waits longer each time, and is given up a day after it was written: it
stays as `dead`, with its attempts, and can be sent again. The id of a message is its idempotency key: it is the same
in every attempt. Functions take the caller's transaction; nothing is sent while one is open.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.alerts.payload import MessageKind
from service.errors import ConflictError, NotFoundError
from service.store.alert_tables import alert_attempt, alert_channel, alert_delivery

CLAIM_S = 75
FIRST_DELAY_S = 2.0
LONGEST_DELAY_S = 900.0
LONGEST_RETRY_AFTER_S = 3600.0
GIVE_UP_AFTER = timedelta(hours=24)
KEPT = timedelta(days=90)
MOST_AT_ONCE = 50
_DELIVERY = alert_delivery.c
_DETAIL_LENGTH = 2_000


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be sent. An event, a kind and a number are sent to a channel once."""

    event_id: UUID | None
    kind: MessageKind
    number: int
    payload: Mapping[str, Any]


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is ours to deliver. *attempt* counts from 1."""

    id: UUID
    channel_id: str
    kind: MessageKind
    payload: dict[str, Any]
    attempt: int
    by: str
    created_at: datetime


class Attempted(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an attempt. *final*: no later one can do better."""

    ok: bool
    detail: str
    started_at: datetime
    duration_ms: float
    retry_after_s: float | None = None
    final: bool = False


class Outbox:
    """Writes and claims messages. *chance* gives numbers from 0 to 1, for the jitter."""

    def __init__(self, *, new_id: Callable[[], UUID], chance: Callable[[], float]) -> None:
        self._new_id = new_id
        self._chance = chance

    def put(
        self, tx: Connection, message: Message, *, channels: Collection[str], now: datetime
    ) -> list[UUID]:
        """*message* for each channel, unless it is there already; returns the ids of the new ones."""
        new = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
        fields = msgspec.structs.asdict(message)
        made: list[UUID] = []
        for channel in sorted(channels):
            message_id = self._new_id()
            values = {**fields, "id": message_id, "channel_id": channel, "due_at": now, "created_at": now}
            statement = new(alert_delivery).values(**values, state="waiting", attempts=0)
            written = statement.on_conflict_do_nothing().returning(_DELIVERY.id)
            made += tx.scalars(written).all()
        return made

    def claim(
        self,
        tx: Connection,
        *,
        by: str,
        now: datetime,
        busy: Collection[str] = (),
        only: UUID | None = None,
    ) -> list[Claimed]:
        """At most one message for each channel that is not *busy*, the longest due first."""
        query = select(alert_delivery).where(
            _DELIVERY.id.in_(_next_ids(now, busy=busy, only=only)), _due(now)
        )
        rows = tx.execute(query.order_by(_DELIVERY.id).with_for_update(skip_locked=True)).all()
        until = now + timedelta(seconds=CLAIM_S)
        found = []
        for row in rows:
            claimed = {
                "state": "sending",
                "attempts": row.attempts + 1,
                "claimed_by": by,
                "claimed_until": until,
            }
            tx.execute(update(alert_delivery).where(_DELIVERY.id == row.id).values(claimed))
            found.append(
                Claimed(
                    id=row.id,
                    channel_id=row.channel_id,
                    kind=row.kind,
                    payload=row.payload,
                    attempt=row.attempts + 1,
                    by=by,
                    created_at=row.created_at,
                )
            )
        return found

    def finish(self, tx: Connection, claimed: Claimed, *, result: Attempted, now: datetime) -> str | None:
        """Note what came of an attempt; returns the message's state, None where the claim was lost meanwhile."""
        detail = result.detail[:_DETAIL_LENGTH]
        _log(tx, claimed, result=result, detail=detail)
        values: dict[str, Any] = {
            "claimed_by": None,
            "claimed_until": None,
            "error": None if result.ok else detail,
        }
        given_up = result.final or now - claimed.created_at >= GIVE_UP_AFTER
        if result.ok or given_up:
            values |= {"state": "delivered" if result.ok else "dead", "finished_at": now}
        else:
            wait = retry_delay_s(claimed.attempt, chance=self._chance())
            if result.retry_after_s is not None:
                wait = max(wait, min(result.retry_after_s, LONGEST_RETRY_AFTER_S))
            values |= {"state": "waiting", "due_at": now + timedelta(seconds=wait)}
        mine = and_(
            _DELIVERY.id == claimed.id,
            _DELIVERY.state == "sending",
            _DELIVERY.claimed_by == claimed.by,
            _DELIVERY.attempts == claimed.attempt,
        )
        done = tx.execute(update(alert_delivery).where(mine).values(values)).rowcount
        return str(values["state"]) if done else None


def retry_delay_s(attempt: int, *, chance: float) -> float:
    """How long to wait after the *attempt*-th failure: doubled each time, with jitter, so that not all come at once."""
    whole = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(attempt - 1, 30))
    return whole * (0.5 + chance / 2)


def anything_due(tx: Connection, *, now: datetime, busy: Collection[str] = ()) -> bool:
    """Whether `claim` would find something; a cheap question, asked often."""
    return tx.execute(_next_ids(now, busy=busy).limit(1)).first() is not None


def retry(tx: Connection, delivery_id: UUID, *, now: datetime) -> None:
    """Send a message that was given up once more."""
    state = tx.scalar(select(_DELIVERY.state).where(_DELIVERY.id == delivery_id))
    if state is None:
        raise NotFoundError(f"no delivery has the id {delivery_id}")
    dead = (_DELIVERY.id == delivery_id) & (_DELIVERY.state == "dead")
    again = {"state": "waiting", "due_at": now, "finished_at": None}
    if not tx.execute(update(alert_delivery).where(dead).values(again)).rowcount:
        raise ConflictError(
            f"the delivery {delivery_id} is {state}; only one that was given up can be sent again"
        )


def drop_old(tx: Connection, *, now: datetime) -> int:
    """Forget messages that ended long ago; returns how many. Events stay."""
    old = _DELIVERY.state.in_(("delivered", "dead")) & (_DELIVERY.finished_at < now - KEPT)
    tx.execute(delete(alert_attempt).where(alert_attempt.c.delivery_id.in_(select(_DELIVERY.id).where(old))))
    return int(tx.execute(delete(alert_delivery).where(old)).rowcount)


def living_channels(tx: Connection, wanted: Sequence[str] = ()) -> dict[str, str]:
    """Id → kind of the channels that are not deleted: those *wanted*, or all."""
    query = select(alert_channel.c.id, alert_channel.c.kind).where(alert_channel.c.deleted_at.is_(None))
    if wanted:
        query = query.where(alert_channel.c.id.in_(wanted))
    return {str(identifier): str(kind) for identifier, kind in tx.execute(query)}


def _due(now: datetime) -> Any:
    return or_(
        and_(_DELIVERY.state == "waiting", _DELIVERY.due_at <= now),
        and_(_DELIVERY.state == "sending", _DELIVERY.claimed_until <= now),
    )


def _next_ids(now: datetime, *, busy: Collection[str], only: UUID | None = None) -> Any:
    """The next message of each channel; one about an event waits for those before it about the same event."""
    earlier = alert_delivery.alias("earlier")
    unfinished = (
        select(earlier.c.id)
        .where(
            earlier.c.channel_id == _DELIVERY.channel_id,
            earlier.c.event_id == _DELIVERY.event_id,
            earlier.c.id < _DELIVERY.id,
            earlier.c.state.in_(("waiting", "sending")),
        )
        .exists()
    )
    turn = func.row_number().over(
        partition_by=_DELIVERY.channel_id, order_by=(_DELIVERY.due_at, _DELIVERY.id)
    )
    waiting = select(_DELIVERY.id, turn.label("turn")).where(_due(now), ~unfinished)
    if busy:
        waiting = waiting.where(_DELIVERY.channel_id.not_in(list(busy)))
    if only is not None:
        waiting = waiting.where(_DELIVERY.id == only)
    ranked = waiting.subquery("ranked")
    return select(ranked.c.id).where(ranked.c.turn == 1).limit(MOST_AT_ONCE)


def _log(tx: Connection, claimed: Claimed, *, result: Attempted, detail: str) -> None:
    new = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    values = {
        "delivery_id": claimed.id,
        "number": claimed.attempt,
        "started_at": result.started_at,
        "duration_ms": result.duration_ms,
        "ok": result.ok,
        "detail": detail,
    }
    tx.execute(new(alert_attempt).values(values).on_conflict_do_nothing())
