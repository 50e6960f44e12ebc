"""Usage without a price: what it is, how much, and the command that prices it."""

from datetime import timedelta
from random import Random
from zoneinfo import ZoneInfo

from service.ledger.repricer import Repricer, Wanted
from service.pricing.pricebook import PriceBook
from service.reporting.intervals import Span
from service.reporting.unpriced import UnpricedModel, unpriced_models
from service.store.engine import Store
from service.usage.tokens import TokenUsage
from tests.pricing.cards import card, usd
from tests.support.audit import TESTER, TRAIL
from tests.support.rated import AFTER, BEFORE, rated, variety
from tests.support.records import START, write

SPAN = Span(START, START + timedelta(days=3))


def found(store: Store, book: PriceBook, span: Span = SPAN) -> list[UnpricedModel]:
    with store.read() as tx:
        return unpriced_models(tx, span, book=book)


def test_models_are_listed_with_their_usage_and_a_remedy(store: Store) -> None:
    write(store, variety())
    new, unknown = found(store, BEFORE)
    assert new == UnpricedModel(
        model="new",
        provider="openai",
        upstream="main",
        requests=2,
        input_tokens=2_000,
        output_tokens=200,
        first_seen=START + timedelta(minutes=4),
        last_seen=START + timedelta(minutes=5),
        remedy="tollkeeper prices set new --provider openai --input USD_PER_MTOK --output USD_PER_MTOK",
    )
    assert (unknown.model, unknown.requests) == ("unknown", 1)
    assert found(store, BEFORE, Span(START + timedelta(days=1), START + timedelta(days=2))) == []


def test_where_a_price_is_there_by_now_past_usage_is_to_be_rated_again(store: Store) -> None:
    write(store, variety())
    new, _unknown = found(store, AFTER)
    assert new.remedy == "tollkeeper prices reprice --model new --apply"
    repricer = Repricer(store, AFTER, zone=ZoneInfo("UTC"), trail=TRAIL)
    repricer.apply(
        Wanted(until=SPAN.until), reason="r", by=TESTER, now=SPAN.until, random_bytes=Random(1).randbytes
    )
    assert [one.model for one in found(store, AFTER)] == ["unknown"]


def test_a_card_without_the_rate_that_was_needed_is_no_price(store: Store) -> None:
    book = PriceBook([card(usd(audio_input="5"), model="text", provider=None)])
    write(store, [rated(1, TokenUsage(input_tokens=5, output_tokens=5), by=book, upstream_model="text")])
    (one,) = found(store, book)
    assert one.remedy.startswith("tollkeeper prices set text ")


def test_names_are_quoted_for_the_shell(store: Store) -> None:
    usage = TokenUsage(input_tokens=5, output_tokens=5)
    write(store, [rated(1, usage, upstream_model="a b;rm -rf *", provider=None)])
    (one,) = found(store, BEFORE)
    assert one.remedy.startswith("tollkeeper prices set 'a b;rm -rf *' --input")


def test_requests_without_usage_are_not_a_matter_of_price(store: Store) -> None:
    record = rated(1, upstream_model="new")
    record.cost_nanos, record.cost_status = None, "unpriced"
    write(store, [record])
    assert found(store, BEFORE) == []
