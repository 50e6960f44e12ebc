"""The outbox: nothing is lost, nothing overtakes, nobody sends what another is sending."""

import threading
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from service.alerts.outbox import (
    CLAIM_S,
    GIVE_UP_AFTER,
    KEPT,
    LONGEST_DELAY_S,
    Attempted,
    Claimed,
    Message,
    anything_due,
    drop_old,
    living_channels,
    retry,
    retry_delay_s,
)
from service.alerts.payload import MessageKind
from service.errors import ConflictError, NotFoundError
from service.store.alert_tables import alert_attempt
from tests.support.alert_town import Town

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def put(town: Town, channel: str, *, event: UUID | None = None, kind: MessageKind = "test") -> list[UUID]:
    message = Message(event_id=event, kind=kind, number=1, payload={"summary": kind})
    with town.store.write() as tx:
        return town.desk.outbox.put(tx, message, channels=[channel], now=town.clock.now())


def claim(town: Town, by: str = "one") -> list[Claimed]:
    with town.store.write() as tx:
        return town.desk.outbox.claim(tx, by=by, now=town.clock.now())


def finish(town: Town, claimed: Claimed, *, ok: bool = True, **more: object) -> str | None:
    now = town.clock.now()
    result = Attempted(ok=ok, detail="HTTP 500", started_at=now, duration_ms=1.5, **more)  # type: ignore[arg-type]
    with town.store.write() as tx:
        return town.desk.outbox.finish(tx, claimed, result=result, now=now)


def alert(town: Town) -> UUID:
    """The id of an event that is in the store."""
    town.rule()
    budget = town.budget()
    town.spend(6, charged=[(budget, "")])
    town.watcher().watch_budgets()
    return town.alerts()[0].id


def test_a_message_about_an_event_is_put_once(town: Town) -> None:
    channel, _ = town.channel(kind="log")
    event = alert(town)
    assert len(town.deliveries()) == 1
    assert put(town, channel, event=event, kind="firing") == []
    assert len(put(town, channel, event=event, kind="resolved")) == 1


def test_what_is_claimed_is_nobody_elses(town: Town) -> None:
    channel, _ = town.channel(kind="log")
    put(town, channel)
    (mine,) = claim(town)
    assert claim(town, "other") == []
    assert finish(town, mine) == "delivered"
    assert [(one.state, one.attempts, one.error) for one in town.deliveries()] == [("delivered", 1, None)]
    assert claim(town, "other") == []


def test_eight_at_once_claim_each_message_once(town: Town) -> None:
    channels = [town.channel(f"c{number}", kind="log")[0] for number in range(6)]
    for channel in channels:
        put(town, channel)
    together = threading.Barrier(8)
    claimed: list[Claimed] = []

    def work(name: str) -> None:
        together.wait()
        claimed.extend(claim(town, name))

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.channel_id for one in claimed) == sorted(channels)


def test_a_claim_whose_process_died_is_open_again(town: Town) -> None:
    channel, _ = town.channel(kind="log")
    put(town, channel)
    (dead,) = claim(town, "dead")
    town.pass_time(timedelta(seconds=CLAIM_S) - SECOND)
    assert claim(town, "other") == []
    town.pass_time(SECOND)
    (mine,) = claim(town, "other")
    assert (mine.id, mine.attempt) == (dead.id, 2)
    assert finish(town, dead, ok=False) is None
    assert finish(town, mine) == "delivered"


def test_the_end_never_overtakes_the_beginning(town: Town) -> None:
    channel, _ = town.channel(kind="log")
    event = alert(town)
    put(town, channel, event=event, kind="resolved")
    (first,) = claim(town)
    assert first.kind == "firing"
    finish(town, first, ok=False)
    town.pass_time(SECOND / 2)
    assert claim(town) == []
    town.pass_time(HOUR)
    (again,) = claim(town)
    assert (again.kind, again.id) == ("firing", first.id)
    finish(town, again)
    (second,) = claim(town)
    assert second.kind == "resolved"


def test_one_message_of_a_channel_at_a_time_and_none_of_a_busy_one(town: Town) -> None:
    one, other = (town.channel(name, kind="log")[0] for name in ("one", "other"))
    for channel in (one, one, other):
        put(town, channel)
    with town.store.write() as tx:
        found = town.desk.outbox.claim(tx, by="me", now=town.clock.now(), busy={other})
    assert [claimed.channel_id for claimed in found] == [one]
    with town.store.read() as tx:
        assert anything_due(tx, now=town.clock.now(), busy={one})
        assert not anything_due(tx, now=town.clock.now(), busy={one, other})


def test_a_receiver_that_is_down_for_an_hour_gets_everything(town: Town) -> None:
    """Also when the process that delivers is another one each time."""
    channel, _ = town.channel(kind="log")
    for _ in range(3):
        put(town, channel)
        town.pass_time(SECOND)
    down_until = town.clock.now() + HOUR
    names = iter(range(10_000))
    while any(one.state != "delivered" for one in town.deliveries()):
        for claimed in claim(town, f"process {next(names)}"):
            finish(town, claimed, ok=town.clock.now() >= down_until)
        town.pass_time(timedelta(seconds=5))
    delivered = town.deliveries()
    late = timedelta(seconds=LONGEST_DELAY_S + 30)
    assert all(one.finished_at is not None and one.finished_at <= down_until + late for one in delivered)
    assert all(5 <= one.attempts <= 20 for one in delivered)
    with town.store.read() as tx:
        logged = tx.scalar(select(func.count()).select_from(alert_attempt))
    assert logged == sum(one.attempts for one in delivered)


def test_after_a_day_a_message_is_given_up_and_can_be_sent_again(town: Town) -> None:
    channel, _ = town.channel(kind="log")
    (message,) = put(town, channel)
    (first,) = claim(town)
    assert finish(town, first, ok=False) == "waiting"
    with (
        pytest.raises(ConflictError, match="is waiting; only one that was given up"),
        town.store.write() as tx,
    ):
        retry(tx, message, now=town.clock.now())
    town.pass_time(GIVE_UP_AFTER)
    (last,) = claim(town)
    assert finish(town, last, ok=False) == "dead"
    assert [(one.state, one.error) for one in town.deliveries(state="dead")] == [("dead", "HTTP 500")]
    assert claim(town) == []
    with town.store.write() as tx:
        retry(tx, message, now=town.clock.now())
    (again,) = claim(town)
    assert finish(town, again) == "delivered"


def test_what_can_never_succeed_is_given_up_at_once(town: Town) -> None:
    channel, _ = town.channel(kind="log")
    put(town, channel)
    (first,) = claim(town)
    assert finish(town, first, ok=False, final=True) == "dead"


def test_a_receiver_may_ask_to_wait(town: Town) -> None:
    channel, _ = town.channel(kind="log")
    put(town, channel)
    (first,) = claim(town)
    finish(town, first, ok=False, retry_after_s=600.0)
    town.pass_time(timedelta(seconds=599))
    assert claim(town) == []
    town.pass_time(SECOND)
    (second,) = claim(town)
    finish(town, second, ok=False, retry_after_s=1e9)
    town.pass_time(HOUR)
    assert len(claim(town)) == 1


def test_there_is_nothing_to_retry_of_an_unknown_message(town: Town) -> None:
    with pytest.raises(NotFoundError, match="no delivery has the id"), town.store.write() as tx:
        retry(tx, UUID(int=7), now=town.clock.now())


def test_old_messages_are_forgotten_with_their_attempts(town: Town) -> None:
    channel, _ = town.channel(kind="log")
    put(town, channel)
    (first,) = claim(town)
    finish(town, first)
    town.pass_time(KEPT)
    put(town, channel)
    with town.store.write() as tx:
        assert drop_old(tx, now=town.clock.now()) == 0
    town.pass_time(SECOND)
    with town.store.write() as tx:
        assert drop_old(tx, now=town.clock.now()) == 1
    assert [one.state for one in town.deliveries()] == ["waiting"]


def test_channels_are_all_or_those_named(town: Town) -> None:
    one, other = (town.channel(name, kind="log")[0] for name in ("one", "other"))
    with town.store.read() as tx:
        assert living_channels(tx) == {one: "log", other: "log"}
        assert living_channels(tx, [other, "chn_absent"]) == {other: "log"}


@given(attempt=st.integers(1, 100), chance=st.floats(0, 1))
def test_waiting_grows_up_to_a_quarter_of_an_hour_with_jitter(attempt: int, chance: float) -> None:
    wait = retry_delay_s(attempt, chance=chance)
    whole = min(LONGEST_DELAY_S, 2.0**attempt)
    assert whole / 2 <= wait <= whole
