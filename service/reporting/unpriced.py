"""Models that were used and have no price, and what to do about each."""

import shlex
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, case, func, select

from service.pricing.pricebook import PriceBook
from service.reporting.dimensions import record_model
from service.reporting.intervals import Span
from service.reporting.queries import changes, records_within
from service.store.model_rollup_tables import model_rollup_hour
from service.store.tables import request_record
from service.store.types import EPOCH

HOUR = timedelta(hours=1)


class UnpricedModel(msgspec.Struct, frozen=True, kw_only=True):
    """Usage of one model at one upstream that has no cost yet. *remedy* is the command that gives it one."""

    model: str
    provider: str | None
    upstream: str
    requests: int
    input_tokens: int
    output_tokens: int
    first_seen: datetime
    last_seen: datetime
    remedy: str


def unpriced_models(tx: Connection, span: Span, *, book: PriceBook) -> list[UnpricedModel]:
    """The most used first. Requests whose usage is not known are left out: a price would not help them."""
    hours = _hours_with_any(tx, span)
    if not hours:
        return []
    rows = tx.execute(_unpriced(span, hours)).mappings()
    return [_model(dict(row), book=book) for row in rows]


def _hours_with_any(tx: Connection, span: Span) -> list[Span]:
    """The parts of *span* in which the rollups know of something unpriced: nothing else has to be read."""
    rollup = model_rollup_hour.c
    first = span.since - (span.since - EPOCH) % HOUR
    statement = (
        select(rollup.bucket)
        .where(rollup.bucket >= first, rollup.bucket < span.until, rollup.cost_unpriced > 0)
        .distinct()
        .order_by(rollup.bucket)
    )
    found: list[Span] = []
    for hour in tx.scalars(statement):
        since, until = max(hour, span.since), min(hour + HOUR, span.until)
        if found and found[-1].until == since:
            since = found.pop().since
        found.append(Span(since, until))
    return found


def _unpriced(span: Span, hours: Sequence[Span]) -> Select[Any]:
    record = request_record.c
    changed = changes(span, last=span)
    status = func.coalesce(changed.c.cost_status, record.cost_status)
    keys = (record.provider, record.upstream, record_model().label("model"))
    tokens = func.sum(record.input_tokens + record.output_tokens)
    return (
        select(
            *keys,
            func.count().label("requests"),
            func.sum(record.input_tokens).label("input_tokens"),
            func.sum(record.output_tokens).label("output_tokens"),
            func.min(record.started_at).label("first_seen"),
            func.max(record.started_at).label("last_seen"),
            func.max(case((record.price_id.is_not(None), record.price_id))).label("price_id"),
        )
        .select_from(records_within(hours).outerjoin(changed, changed.c.record_id == record.id))
        .where(
            record.upstream.is_not(None),
            record.input_tokens.is_not(None),
            status == "unpriced",
        )
        .group_by(*keys)
        .order_by(tokens.desc(), *keys)
    )


def _model(row: dict[str, Any], *, book: PriceBook) -> UnpricedModel:
    model, provider = row["model"], row["provider"]
    card_id = row.pop("price_id")
    for name in ("requests", "input_tokens", "output_tokens"):
        row[name] = int(row[name])
    card = book.resolve(provider=provider, model=model, at=row["last_seen"], upstream=row["upstream"])
    # a card that rated the usage already, and found no rate for it, will find none again
    has_price = card is not None and card.id != card_id
    return UnpricedModel(**row, remedy=_remedy(model, provider, has_price=has_price))


def _remedy(model: str, provider: str | None, *, has_price: bool) -> str:
    name = shlex.quote(model)
    if has_price:
        return f"tollkeeper prices reprice --model {name} --apply"
    of = "" if provider is None else f" --provider {shlex.quote(provider)}"
    return f"tollkeeper prices set {name}{of} --input USD_PER_MTOK --output USD_PER_MTOK"
