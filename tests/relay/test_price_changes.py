"""A price that is set or ended from another process holds on a running relay within 2 seconds, without a restart."""

import json
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from service.pricing.override import override_card
from service.pricing.upkeep import PriceUpkeep
from service.store.engine import Store
from tests.relay.conftest import MakeRelay
from tests.support.audit import TESTER
from tests.support.relay import CHAT, Relay, until
from tests.support.relay import upstream as configured
from tests.support.upstream import COMPLETION, Upstream, response

PRICE = {"model": "gpt-4o*", "input_usd_per_mtok": "1000", "output_usd_per_mtok": "1000"}


def known_price(relay: Relay) -> str | None:
    """The id of the price that the relay's snapshot has for our model now."""
    book = relay.process.configuration.value.prices
    card = book.resolve(provider="openai", model="gpt-4o-2024-08-06", at=datetime.now(UTC))  # noqa: TID251
    return None if card is None else card.id


def asked(relay: Relay, upstream: Upstream) -> dict[str, Any]:
    with relay.client() as client:
        client.post(CHAT)
        upstream.answer(response(COMPLETION))
        client.answer()
        return relay.record(client)


def test_a_running_relay_takes_prices_over(make_relay: MakeRelay) -> None:
    with Upstream() as upstream:
        relay = make_relay(configured("gpt", upstream.url))
        before = asked(relay, upstream)
        assert before["price_id"].startswith("openai/gpt-4o@")
        with closing(Store(relay.process.settings.store.url)) as elsewhere:
            upkeep = PriceUpkeep(relay.process.trail, now=lambda: datetime.now(UTC))  # noqa: TID251
            with elsewhere.write() as tx:
                (added,) = upkeep.set(tx, [override_card(PRICE)], by=TESTER).added
            assert until(lambda: known_price(relay) == added.id)
            during = asked(relay, upstream)
            with elsewhere.write() as tx:
                upkeep.end(tx, added.id, at=datetime.now(UTC), by=TESTER)  # noqa: TID251
            assert until(lambda: known_price(relay) == before["price_id"])
        after = asked(relay, upstream)
    assert (during["price_id"], during["cost_nanos"]) == (added.id, 12 * 1_000_000)
    assert (after["price_id"], after["cost_nanos"]) == (before["price_id"], before["cost_nanos"])
    assert json.loads(during["usage_raw"])["prompt_tokens"] == 9


def test_the_poll_is_well_below_two_seconds(make_relay: MakeRelay) -> None:
    with Upstream() as upstream:
        relay = make_relay(configured("gpt", upstream.url))
        assert relay.process.configuration._interval_s <= 1.0
