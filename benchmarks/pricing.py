"""CPU time of pricing, as the relay does it: `python benchmarks/pricing.py`.

Prints microseconds per rating, per lookup and per upper bound, and milliseconds for loading the whole book
from a SQLite store. Figures are the best of several rounds: the machine may be noisy.
"""

import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from service.pricing.card import PriceCard
from service.pricing.catalog import import_genai_prices, load_book, store_cards
from service.pricing.pricebook import PriceBook
from service.pricing.rating import rate, upper_bound_nanos
from service.store import schema
from service.store.engine import Store
from service.usage.tokens import TokenUsage

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
SHORT = TokenUsage(input_tokens=1117, output_tokens=246)
LONG = TokenUsage(
    input_tokens=4020,
    output_tokens=300,
    cache_read_input_tokens=1000,
    cache_write_input_tokens=2000,
    reasoning_output_tokens=100,
)
ROUNDS = 15


def microseconds(run: Callable[[], object], *, times: int = 3000) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.process_time_ns()
        for _ in range(times):
            run()
        best = min(best, time.process_time_ns() - begin)
    return best / times / 1000


def load(store: Store) -> PriceBook:
    with store.read() as tx:
        return load_book(tx)


def resolve(book: PriceBook, model: str) -> PriceCard:
    card = book.resolve(provider="openai", model=model, at=AT, key_id="k", project="p", upstream="u")
    assert card is not None
    return card


def resolve_anew(cards: PriceBook) -> None:
    cards._cache.clear()  # noqa: SLF001  (the first lookup of a name is what is measured)
    resolve(cards, "gpt-4o-mini")


def main() -> None:
    cards = import_genai_prices()
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Store(f"sqlite:///{Path(folder) / 'prices.db'}")) as store,
    ):
        schema.migrate(store)
        with store.write() as tx:
            store_cards(tx, cards, now=AT)
        book = load(store)
        print(
            f"{'load ' + str(len(cards)) + ' cards':34}{microseconds(partial(load, store), times=1) / 1000:8.1f} ms"
        )
    mini, sol = resolve(book, "gpt-4o-mini"), resolve(book, "gpt-5.6-sol")
    figures: dict[str, Callable[[], object]] = {
        "rate, 2 lines": partial(rate, SHORT, mini, at=AT),
        "rate, 5 lines, tiers": partial(rate, LONG, sol, at=AT),
        "rate, 5 lines, priority": partial(rate, LONG, sol, at=AT, service_tier="priority"),
        "look up a card": partial(resolve, book, "gpt-5.6-sol"),
        "look up a card for the first time": partial(resolve_anew, book),
        "upper bound": partial(upper_bound_nanos, mini, max_input_tokens=4020, max_output_tokens=300),
        "upper bound, 4 tiers of service": partial(
            upper_bound_nanos, sol, max_input_tokens=4020, max_output_tokens=300
        ),
    }
    for name, run in figures.items():
        print(f"{name:34}{microseconds(run):8.2f} us")


if __name__ == "__main__":
    main()
