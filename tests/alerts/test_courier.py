"""Delivery: a channel that throws, hangs, redirects or answers 500 is tried again, and keeps no other waiting."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from service.alerts.channel_registry import ChannelRegistry
from service.alerts.channels.addresses import AddressGuard
from service.alerts.channels.opening import ChannelOpener, OpenedChannel
from service.alerts.channels.outcome import DeliveryFailedError, Envelope
from service.alerts.channels.posting import Poster
from service.alerts.courier import PATIENCE_S, Courier, CourierClock
from service.alerts.event_log import get_delivery
from service.alerts.outbox import CLAIM_S
from service.errors import NotFoundError, StoreUnavailableError
from service.store.engine import Store
from tests.support.alert_town import Town
from tests.support.audit import TESTER
from tests.support.clock import HandClock
from tests.support.receivers import Answer, Receiver, receiver

LIMIT_S = 30.0


@pytest.fixture
def hook() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with receiver() as found:
        yield found


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def work(courier: Courier) -> None:
    """Deliver what is due, and wait until it is done."""
    courier.run_once()
    until(lambda: not courier.busy)


def states(town: Town) -> list[tuple[str, str, int]]:
    return [(one.channel_name, one.state, one.attempts) for one in town.deliveries()]


def crossing(town: Town) -> None:
    """A budget reaches half of its limit."""
    town.rule(critical=0.5)
    budget = town.budget()
    town.spend(5, charged=[(budget, "")])
    town.watcher().watch_budgets()


def test_a_crossing_arrives_signed_with_the_deliverys_id(town: Town, hook: Receiver) -> None:
    town.clock = HandClock()
    _, secret = town.channel("hook", url=f"{hook.url}/in")
    crossing(town)
    work(town.courier())
    (got,) = hook.got
    (delivery,) = town.deliveries()
    assert secret is not None
    assert delivery.state == "delivered"
    assert got.headers["webhook-id"] == str(delivery.id)
    signed = Webhook(secret).sign(got.headers["webhook-id"], town.clock.now(), got.body.decode())
    assert got.headers["webhook-signature"] == signed


def test_the_same_message_has_the_same_id_in_every_attempt(town: Town, hook: Receiver) -> None:
    hook.choose = lambda _got: Answer(500 if len(hook.got) < 3 else 200, b"not yet")
    town.channel("hook", url=hook.url)
    crossing(town)
    courier = town.courier()
    for _ in range(4):
        work(courier)
        town.pass_time(timedelta(minutes=1))
    assert states(town) == [("hook", "delivered", 3)]
    assert len({got.headers["webhook-id"] for got in hook.got}) == 1
    with town.store.read() as tx:
        _, log = get_delivery(tx, town.delivery_id())
    assert [(one.number, one.ok, one.detail) for one in log] == [
        (1, False, "HTTP 500: not yet"),
        (2, False, "HTTP 500: not yet"),
        (3, True, "HTTP 200"),
    ]


def test_bad_channels_keep_no_other_waiting(town: Town, hook: Receiver) -> None:
    """One hangs, one redirects, one answers 500, one listens nowhere, one throws; the good one gets its message."""
    with receiver() as bad:
        answers = {"/hangs": Answer(hang=True), "/fails": Answer(500)}
        moved = Answer(307, headers={"location": f"{bad.url}/elsewhere"})
        bad.choose = lambda got: answers.get(got.path, moved)
        for name in ("hangs", "fails", "moves"):
            town.channel(name, url=f"{bad.url}/{name}")
        town.channel("nowhere", url="http://127.0.0.1:9/")
        town.channel("throws", kind="log")
        town.channel("good", url=hook.url)
        courier = town.courier()
        throwing(courier, "throws")
        crossing(town)
        courier.run_once()
        until(lambda: len(courier.busy) == 1)
        found = {name: (state, attempts) for name, state, attempts in states(town)}
        assert found == {
            "hangs": ("sending", 1),
            "fails": ("waiting", 1),
            "moves": ("waiting", 1),
            "nowhere": ("waiting", 1),
            "throws": ("waiting", 1),
            "good": ("delivered", 1),
        }
        assert "/elsewhere" not in [got.path for got in bad.got]
        errors = {one.channel_name: one.error for one in town.deliveries()}
        assert errors["throws"] == "ZeroDivisionError: a library's mistake"
        assert errors["fails"] == "HTTP 500: {}"

        town.pass_time(timedelta(seconds=PATIENCE_S + 1))
        courier.run_once()
        assert {one.channel_name: one.error for one in town.deliveries()}["hangs"] == "no end after 45 s"
        assert [len([one for one in bad.got if one.path == "/hangs"])] == [
            1
        ]  # not asked again while it hangs
    until(lambda: not courier.busy)
    town.pass_time(timedelta(minutes=5))
    throwing(courier, "nothing")
    work(courier)
    assert {name: state for name, state, _ in states(town)}["throws"] == "delivered"


def throwing(courier: Courier, name: str) -> None:
    """Let the channel of this name throw what nobody expects."""
    original = ChannelOpener.open

    def opening(self: ChannelOpener, tx: Any, channel_id: str) -> OpenedChannel:
        opened = original(self, tx, channel_id)
        if self._registry.get(tx, channel_id).name == name:
            return OpenedChannel(Throwing(), ())
        return opened

    courier._opener.open = opening.__get__(courier._opener)  # type: ignore[method-assign]


class Throwing:
    """A channel whose library has a mistake."""

    def send(self, envelope: Envelope) -> str:
        """Throw."""
        assert envelope.payload
        raise ZeroDivisionError("a library's mistake")


def test_a_late_answer_does_not_count_twice(town: Town) -> None:
    """A channel answers after it was given up: the message is sent again, with the same id."""
    with receiver() as slow:
        gate = threading.Event()

        def choose(_got: object) -> Answer:
            gate.wait(LIMIT_S)
            return Answer()

        slow.choose = choose
        town.channel("slow", url=slow.url)
        crossing(town)
        courier = town.courier()
        courier.run_once()
        until(lambda: len(slow.got) == 1)
        town.pass_time(timedelta(seconds=PATIENCE_S + 1))
        courier.run_once()
        assert states(town) == [("slow", "waiting", 1)]
        gate.set()
        until(lambda: not courier.busy)
        assert states(town) == [("slow", "waiting", 1)]
        town.pass_time(timedelta(minutes=1))
        work(courier)
        assert states(town) == [("slow", "delivered", 2)]
        assert len({got.headers["webhook-id"] for got in slow.got}) == 1


def test_a_crash_between_sending_and_noting_sends_again_with_the_same_id(town: Town, hook: Receiver) -> None:
    town.channel("hook", url=hook.url)
    crossing(town)
    crashed = town.courier(name="crashed")
    crashed._finish = lambda *_: None  # type: ignore[method-assign]
    work(crashed)
    assert states(town) == [("hook", "sending", 1)]
    restarted = town.courier(name="restarted")
    work(restarted)
    assert len(hook.got) == 1
    town.pass_time(timedelta(seconds=CLAIM_S))
    work(restarted)
    assert states(town) == [("hook", "delivered", 2)]
    assert len({got.headers["webhook-id"] for got in hook.got}) == 1


def test_many_couriers_deliver_each_message_once(town: Town, hook: Receiver) -> None:
    town.channel("hook", url=hook.url)
    crossing(town)
    couriers = [town.courier(name=f"courier {number}") for number in range(6)]
    threads = [threading.Thread(target=work, args=(courier,)) for courier in couriers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hook.got) == 1
    assert states(town) == [("hook", "delivered", 1)]


def test_what_waits_for_a_deleted_channel_is_given_up(town: Town) -> None:
    channel, _ = town.channel("gone", kind="log")
    crossing(town)
    with town.store.write() as tx:
        town.desk.channels.delete(tx, channel, by=TESTER)
    work(town.courier())
    (found,) = town.deliveries()
    assert (found.state, found.error) == ("dead", "the channel was deleted")


def test_a_channel_of_another_secret_key_waits_and_says_why(town: Town) -> None:
    town.channel("hook", kind="log")
    crossing(town)
    courier = town.courier()
    foreign = Town(town.store, clock=town.clock)
    foreign.desk.channels._vault._root = b"another root secret, 32 bytes or more"
    courier._opener = ChannelOpener(
        foreign.desk.channels, poster=Poster(foreign.desk.channels.guard, monotonic=time.monotonic)
    )
    work(courier)
    (found,) = town.deliveries()
    assert found.state == "waiting"
    assert found.error == "a channel cannot be decrypted: it was made with another secret key; make it anew"


def test_secrets_stand_in_no_error(town: Town) -> None:
    opened = OpenedChannel(Throwing(), ("https://x.example/t0ken", "whsec_abc"))
    assert opened.masked("POST https://x.example/t0ken with whsec_abc failed") == (
        "POST ******** with ******** failed"
    )
    assert "t0ken" not in repr(opened)
    with pytest.raises(NotFoundError), town.store.read() as tx:
        ChannelOpener(town.desk.channels, poster=Poster(town.desk.channels.guard, monotonic=float)).open(
            tx, "chn_absent"
        )


def test_the_log_is_a_channel(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    town.channel("log", kind="log")
    with town.store.write() as tx:
        town.desk.put_test(tx, town.desk.channels.find(tx, "log").id, by=TESTER)
    work(town.courier())
    assert "This is a test of the channel log. Nothing is wrong." in capsys.readouterr().out
    assert states(town) == [("log", "delivered", 1)]


def test_a_test_message_says_that_it_is_one(town: Town, hook: Receiver) -> None:
    town.channel("hook", url=hook.url)
    with town.store.write() as tx:
        channel = town.desk.channels.find(tx, "hook")
        delivery = town.desk.put_test(tx, channel.id, by=TESTER)
    courier = town.courier()
    assert courier.deliver(delivery) == 1
    until(lambda: not courier.busy)
    assert b'"type":"test"' in hook.got[0].body
    assert courier.deliver(delivery) == 0


def test_stopping_waits_for_what_is_under_way(town: Town, hook: Receiver) -> None:
    town.channel("hook", url=hook.url)
    crossing(town)
    courier = town.courier()
    courier._clock = CourierClock(town.clock.now, time.monotonic)
    courier.run_once()
    courier.stop()
    assert states(town) == [("hook", "delivered", 1)]


def test_a_store_that_goes_away_meanwhile_loses_nothing(
    sqlite_town: Town, hook: Receiver, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.WARNING)
    town = sqlite_town
    town.channel("hook", url=hook.url)
    crossing(town)
    courier = town.courier()

    class Away(Store):
        def write(self) -> Any:
            raise StoreUnavailableError("the store is away")

    def choose(_got: object) -> Answer:
        courier._store = Away.__new__(Away)
        return Answer()

    hook.choose = choose
    work(courier)
    assert "alert_delivery_not_noted" in capsys.readouterr().out
    assert states(town) == [("hook", "sending", 1)]
    town.pass_time(timedelta(seconds=CLAIM_S))
    hook.choose = lambda _got: Answer()
    work(town.courier(name="next"))
    assert states(town) == [("hook", "delivered", 2)]


def test_failures_that_a_channel_names_are_kept(town: Town) -> None:
    assert isinstance(town.desk.channels, ChannelRegistry)
    failed = DeliveryFailedError("no", retry_after_s=3.0, final=True)
    assert (str(failed), failed.retry_after_s, failed.final) == ("no", 3.0, True)


def test_every_kind_of_channel_opens(town: Town) -> None:
    town.desk.channels.guard = AddressGuard(resolve=lambda _host, _port: ["8.8.8.8"])
    opener = ChannelOpener(
        town.desk.channels, poster=Poster(town.desk.channels.guard, monotonic=time.monotonic)
    )
    made = {
        "AppriseChannel": town.channel("chat", url="slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"),
        "WebhookChannel": town.channel("hook", url="https://hooks.example/x"),
        "PagerDutyChannel": town.channel("page", routing_key="0123456789abcdef0123456789abcdef"),
        "LogChannel": town.channel("log", kind="log"),
    }
    with town.store.read() as tx:
        found = {name: type(opener.open(tx, channel).channel).__name__ for name, (channel, _) in made.items()}
    assert found == {name: name for name in made}
