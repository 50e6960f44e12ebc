"""FOCUS 1.2: the books as billing data that cost-management tools read, one row per period, key, price and meter.

A metered estimate, not an invoice. Cost lines become Usage rows at our price. Where the upstream said what it billed,
the difference to our cost is an Adjustment of BilledCost alone. Ledger entries are Corrections in the period of
their record. Usage without a price has no cost to state and is left out; `unpriced_requests` of a usage report
counts it. We know no list prices beside the ones we charge by, so ListCost is ContractedCost.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Select, case, func, literal_column, null, select

from service.pricing.money import format_usd, format_usd_per_mtok
from service.pricing.rating import PROVIDER_REPORTED
from service.reporting.columns import Chunk, by_name
from service.reporting.files import FileFormat, encode
from service.reporting.focus_columns import FILE_COLUMNS, SERVICE_CATEGORY, SERVICE_SUBCATEGORY
from service.reporting.intervals import Span, buckets, time_zone, widened
from service.reporting.lines import line_number, line_text, lines_of
from service.reporting.snapshots import snapshot
from service.reporting.usage import key_names
from service.store.engine import Store
from service.store.spans import started_within
from service.store.tables import ledger_entry, request_record

_TOKENS_PER_UNIT = 1_000_000
_PICOS_PER_USD = 10**12
_SINGLE = {
    PROVIDER_REPORTED: ("Requests", "Requests"),
    "request": ("Requests", "Requests"),
    "web_search": ("Web Searches", "Searches"),
}
_ACCOUNT = ("key_id", "project", "upstream", "provider", "model", "service_tier", "price_id")


def export_focus(
    store: Store,
    *,
    since: datetime,
    until: datetime,
    period: Literal["hour", "day"] = "day",
    file_format: FileFormat = "csv",
    progress: Callable[[int, int, int], None] | None = None,
) -> Iterator[bytes]:
    """A FOCUS file of `[since, until)`, by UTC hours or days; *progress* is told periods done and in all, and rows."""
    spans = buckets(widened(since, until), interval=period, zone=time_zone("UTC"))
    return encode(FILE_COLUMNS, _periods(store, spans, progress=progress), file_format=file_format)


def _periods(
    store: Store,
    spans: Sequence[Span],
    *,
    progress: Callable[[int, int, int], None] | None,
) -> Iterator[Chunk]:
    written = 0
    for number, span in enumerate(spans):
        with snapshot(store) as tx:
            rows = focus_rows(tx, span)
        written += len(rows)
        if rows:
            yield by_name(rows, FILE_COLUMNS)
        if progress is not None:
            progress(number + 1, len(spans), written)


def focus_rows(tx: Connection, span: Span) -> list[dict[str, Any]]:
    """The rows of one charge period."""
    parts = (
        (_lines(span), _usage),
        (_costs_without_lines(span), _usage),
        (_billed_otherwise(span), _adjustment),
        (_corrections(span), _correction),
    )
    found = [(dict(row), shape) for statement, shape in parts for row in tx.execute(statement).mappings()]
    names = key_names(tx, {row["key_id"] for row, _ in found})
    return [shape(row, _common(row, span, names=names)) for row, shape in found]


def _account_columns() -> list[Any]:
    record = request_record.c
    model = func.coalesce(record.response_model, record.upstream_model, record.requested_model)
    return [model.label(name) if name == "model" else record[name] for name in _ACCOUNT]


def _grouped(statement: Select[Any], keys: Sequence[Any], span: Span) -> Select[Any]:
    within = (started_within(span.since, span.until), request_record.c.upstream.is_not(None))
    return statement.where(*within).group_by(*keys).order_by(*keys)


def _lines(span: Span) -> Select[Any]:
    line = lines_of(request_record.c.cost_lines)
    meter = line_text(line, "meter")
    # what a provider reported has a "rate" of its own in every request: none that could be shown
    is_reported = meter == literal_column(f"'{PROVIDER_REPORTED}'")
    rate = case((is_reported, null()), else_=line_number(line, "rate_picos"))
    keys = [*_account_columns(), meter.label("meter"), rate.label("rate_picos")]
    totals = (
        func.sum(line_number(line, "quantity")).label("quantity"),
        func.sum(line_number(line, "cost_nanos")).label("cost_nanos"),
    )
    source = request_record.join(line, request_record.c.cost_lines.is_not(None))
    return _grouped(select(*keys, *totals).select_from(source), keys, span)


def _costs_without_lines(span: Span) -> Select[Any]:
    """A cost that came without lines, from the provider, is charged by the request."""
    record = request_record.c
    keys = _account_columns()
    statement = select(*keys, func.count().label("quantity"), func.sum(record.cost_nanos).label("cost_nanos"))
    return _grouped(statement.where(record.cost_lines.is_(None), record.cost_nanos > 0), keys, span)


def _billed_otherwise(span: Span) -> Select[Any]:
    record = request_record.c
    keys = _account_columns()
    difference = func.sum(record.provider_cost_nanos - func.coalesce(record.cost_nanos, 0))
    statement = select(*keys, difference.label("cost_nanos")).having(difference != 0)
    return _grouped(statement.where(record.provider_cost_nanos.is_not(None)), keys, span)


def _corrections(span: Span) -> Select[Any]:
    keys = [*_account_columns(), ledger_entry.c.kind]
    statement = select(*keys, func.sum(ledger_entry.c.delta_nanos).label("cost_nanos")).select_from(
        request_record.join(ledger_entry, ledger_entry.c.record_id == request_record.c.id)
    )
    return _grouped(statement, keys, span)


def _common(row: Mapping[str, Any], span: Span, *, names: Mapping[str, str]) -> dict[str, Any]:
    """What every row says: who was charged by whom, when and for which price."""
    month = span.since.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    provider = row["provider"] or row["upstream"]
    key_id = row["key_id"] or None
    return {
        "BillingAccountId": row["upstream"],
        "BillingAccountName": row["upstream"],
        "BillingAccountType": "Upstream",
        "BillingCurrency": "USD",
        "BillingPeriodStart": _instant(month),
        "BillingPeriodEnd": _instant((month + timedelta(days=32)).replace(day=1)),
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _instant(span.since),
        "ChargePeriodEnd": _instant(span.until),
        "InvoiceIssuerName": provider,
        "ProviderName": provider,
        "PublisherName": provider,
        "ServiceCategory": SERVICE_CATEGORY,
        "ServiceSubcategory": SERVICE_SUBCATEGORY,
        "ServiceName": f"{provider} API",
        "SubAccountId": key_id,
        "SubAccountName": names.get(key_id) if key_id else None,
        "SubAccountType": "Virtual Key" if key_id else None,
        "Tags": {"project": row["project"]} if row["project"] else {},
        "x_Model": row["model"],
        "x_Project": row["project"],
        "x_ServiceTier": row["service_tier"],
        "x_Upstream": row["upstream"],
    }


def _usage(row: Mapping[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    meter = row.get("meter", "request")
    name, unit = _SINGLE.get(meter, (f"{meter.replace('_', ' ').title()} Tokens", "Tokens"))
    quantity, cost = int(row["quantity"]), format_usd(int(row["cost_nanos"]))
    rate = row.get("rate_picos")
    price = None if rate is None else _unit_price(int(rate), unit=unit)
    model = row["model"] or "unknown model"
    return {
        **common,
        "BilledCost": cost,
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "ListCost": cost,
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeDescription": f"{name} of {model}",
        "ConsumedQuantity": str(quantity),
        "ConsumedUnit": unit,
        "ContractedUnitPrice": price,
        "ListUnitPrice": price,
        "PricingCategory": "Standard",
        "PricingQuantity": _millions(quantity) if unit == "Tokens" else str(quantity),
        "PricingUnit": "1000000 Tokens" if unit == "Tokens" else unit,
        "SkuId": f"{common['ProviderName']}/{model}",
        "SkuMeter": name,
        "SkuPriceId": None if row["price_id"] is None else f"{row['price_id']}/{meter}/{rate}",
        "SkuPriceDetails": {"x_ServiceTier": row["service_tier"]} if row["service_tier"] else {},
    }


def _adjustment(row: Mapping[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    return {
        **common,
        "BilledCost": format_usd(int(row["cost_nanos"])),
        "ContractedCost": "0.00",
        "EffectiveCost": "0.00",
        "ListCost": "0.00",
        "ChargeCategory": "Adjustment",
        "ChargeDescription": "What the provider reported as billed, less our price",
    }


def _correction(row: Mapping[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    cost = format_usd(int(row["cost_nanos"]))
    return {
        **common,
        "BilledCost": cost,
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "ListCost": cost,
        "ChargeCategory": "Adjustment",
        "ChargeClass": "Correction",
        "ChargeDescription": f"Later change of the cost: {row['kind']}",
    }


def _unit_price(rate_picos: int, *, unit: str) -> str:
    """USD for one pricing unit: a million tokens, or one of what is not counted in tokens."""
    if unit == "Tokens":
        return format_usd_per_mtok(rate_picos)
    whole, rest = divmod(rate_picos, _PICOS_PER_USD)
    return f"{whole}.{rest:012d}"


def _millions(tokens: int) -> str:
    whole, rest = divmod(tokens, _TOKENS_PER_UNIT)
    return f"{whole}.{rest:06d}"


def _instant(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
