"""From a request through the relay to the webhook: the whole way, with the processes' own classes, on both stores."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from service.alerts.channel_values import NewChannel, prepared
from service.alerts.defaults import MADE
from service.alerts.desk import AlertDesk
from service.alerts.values import NewRule
from service.app import prepare_store
from service.budgets.values import GivenScope, NewBudget
from service.keeper.process import KeeperProcess
from service.pricing.money import format_usd
from service.settings import AlertSettings, RelaySettings, Secret, Settings, StoreSettings
from service.store.engine import Store
from service.store.facts import fact_set_once
from tests.budgets.making import registry
from tests.support.audit import TESTER
from tests.support.receivers import Receiver, receiver
from tests.support.relay import CHAT, SECRET, Relay
from tests.support.relay import until as waits
from tests.support.relay import upstream as configured
from tests.support.upstream import COMPLETION, Upstream, response

COST = 9 * 2_500 + 3 * 10_000
"""Nano-USD of `COMPLETION`: gpt-4o takes 2.50 and 10 USD for a million tokens."""
SHORT = {**CHAT, "max_tokens": 3}


class Installation:
    """A relay with its upstream, a keeper, and a receiver of webhooks."""

    def __init__(self, relay: Relay, upstream: Upstream, keeper: KeeperProcess, hook: Receiver) -> None:
        self.relay = relay
        self.upstream = upstream
        self.keeper = keeper
        self.hook = hook

    @property
    def desk(self) -> AlertDesk:
        """What changes alerts."""
        return self.keeper.desk

    def ask(self) -> int:
        """One request; its status."""
        with self.relay.client() as asking:
            asking.post(SHORT)
            self.upstream.answer(response(COMPLETION))
            return int(asking.answer().status)


@contextmanager
def installed(store_url: str, folder: Path) -> Iterator[Installation]:
    with closing(Store(store_url)) as store:
        prepare_store(store)
        with store.write() as tx:
            fact_set_once(tx, name=MADE, value="1")
    settings = Settings(
        store=StoreSettings(url=store_url),
        relay=RelaySettings(data_dir=folder / "data"),
        alerts=AlertSettings(allowed_networks=("127.0.0.0/8",)),
        secret_key=Secret(SECRET),
    )
    with ExitStack() as stack:
        upstream, hook = stack.enter_context(Upstream()), stack.enter_context(receiver())
        relay = Relay(folder, store_url=store_url, upstreams=[configured("a", upstream.url)])
        stack.enter_context(relay)
        keeper = KeeperProcess(settings)
        keeper.start()
        stack.callback(keeper.close)
        yield Installation(relay, upstream, keeper, hook)


@pytest.mark.parametrize("mode", ["hard", "soft"])
def test_a_threshold_that_a_request_crosses_is_told(store_url: str, tmp_path: Path, mode: str) -> None:
    with installed(store_url, tmp_path) as there:
        channels = there.desk.channels
        made = prepared(
            NewChannel(name="hook", url=there.hook.url),
            guard=channels.guard,
            random_bytes=channels.random_bytes,
        )
        new = NewBudget(
            scope=GivenScope("global"),
            limit_usd=format_usd(100 * COST),
            window="total",
            mode=mode,
            thresholds=(0.1, 0.9),
        )
        with there.keeper.store.write() as tx:
            channels.create(tx, made, by=TESTER)
            there.desk.rules.create(tx, NewRule(name="Money", metric="budget_used"), by=TESTER)
            registry().create(tx, new, by=TESTER)
        there.relay.process.configuration.refresh_now()
        assert waits(lambda: there.keeper.leadership.leads)
        delays = []
        for number in range(1, 11):
            assert there.ask() == 200
            answered = time.monotonic()
            if number == 10:
                assert waits(lambda: len(there.hook.got) == 1)
                delays.append(time.monotonic() - answered)
        (got,) = there.hook.got
        sent = json.loads(got.body)
        assert (sent["type"], sent["rule"], sent["threshold"], sent["value"]) == (
            "alert.firing",
            "Money",
            0.1,
            0.1,
        )
        print(f"\nthreshold crossed to webhook received: {delays[0]:.2f} s ({mode}, {store_url[:6]})")  # noqa: T201  (a figure for people, with -s)
