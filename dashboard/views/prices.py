"""The price book: what has no price and how to give it one, the cards with their history, and past usage again."""

import streamlit as st
from sqlalchemy import Connection

from dashboard import data, formats, price_tables, pricing
from dashboard.acting import act, announce, attempt, done
from dashboard.context import current, viewer
from dashboard.views import controls, reprice
from dashboard.views.away import calmly
from service.admin.price_checks import require_possible
from service.audit.actor import Actor
from service.pricing.override import override_card
from service.pricing.upkeep import SetPrices
from service.reporting.dimensions import require_storable
from service.reporting.figures import Measures
from service.reporting.unpriced import UnpricedModel
from service.reporting.usage import UsageQuery

WHOLE_TABLE_ROWS = 14
_RATES = {
    "input_usd_per_mtok": "Input, $ per 1M",
    "cache_read_input_usd_per_mtok": "Cached input",
    "cache_write_input_usd_per_mtok": "Cache write",
    "output_usd_per_mtok": "Output, $ per 1M",
}


def show() -> None:
    """The page."""
    announce()
    controls.title("Prices")
    total = _total()
    _coverage(total)
    _unpriced(total)
    _book()
    reprice.draw()


def _total() -> Measures:
    """The last thirty days."""
    now = data.now()
    return data.usage(UsageQuery(since=now - pricing.UNPRICED_SINCE, until=now, percentiles=False)).total


@calmly
def _coverage(total: Measures) -> None:
    """How much of the last thirty days has a price."""
    figures = {
        "Coverage, 30 days": formats.percent(total.coverage),
        "Priced": formats.count(total.cost_status["priced"]),
        "Assumed or in part": formats.count(total.cost_status["assumed"] + total.cost_status["partial"]),
        "Billed by the provider": formats.count(total.cost_status["provider"]),
        "Unpriced": formats.count(total.unpriced_requests),
    }
    helps = {
        "Coverage, 30 days": "Share of the forwarded attempts of the last thirty days whose price is known.",
        "Priced": "Attempts that cost what the price book says.",
        "Assumed or in part": "Attempts for which a rate stands in for a missing one, or something had none.",
        "Billed by the provider": "Attempts that cost what the upstream reported.",
        "Unpriced": "Attempts whose price is not known; they count as nothing.",
    }
    grid = st.grid(5, min_column_width=150, gap="small")
    for label, value in figures.items():
        grid.metric(label, value, border=True, help=helps[label])


@calmly
def _unpriced(total: Measures) -> None:
    found = pricing.unpriced()
    st.subheader("Used without a price", anchor=False)
    rest = price_tables.remainder(total, found)
    if not found:
        st.caption(rest)
        return
    if rest:
        st.caption(rest)
    shown = price_tables.unpriced(found, timezone=current().reporting_timezone)
    may_act = viewer().may_act
    chosen = {**controls.choosing(rows=True), "selection_default": {"selection": {"rows": [0]}}}
    state = controls.table(
        shown,
        key="unpriced",
        height="content" if len(found) <= WHOLE_TABLE_ROWS else "auto",
        **(chosen if may_act else {}),
    )
    if not may_act:
        st.caption("An administrator can set their prices here.")
        return
    row = controls.chosen_row(state)
    if row is None or row >= len(found):
        st.caption("Choose a row to set its price.")
    else:
        _override(found[row])


def _override(model: UnpricedModel) -> None:
    """A form that gives one model its price, from its first use on."""
    with st.form("override", border=True):
        st.text(f"Price of {model.model} at {model.provider or 'any provider'}, in USD per million tokens")
        grid = st.grid(4, min_column_width=130, gap="small")
        given = {
            name: grid.text_input(label, placeholder="0.00", key=f"new-{name}")
            for name, label in _RATES.items()
        }
        if not st.form_submit_button("Set price", type="primary"):
            return
    fields = {name: text.strip().removeprefix("$") for name, text in given.items() if text.strip()}
    fields |= (
        {"model": model.model}
        if model.provider is None
        else {"model": model.model, "provider": model.provider}
    )
    if act(lambda tx, by: _set(tx, fields, by=by)) is not None:
        done(
            "The price is set. Past requests keep their cost until they are repriced, below.",
            then=dict.fromkeys((f"new-{name}" for name in _RATES), ""),
        )


def _set(tx: Connection, fields: dict[str, str], *, by: Actor) -> SetPrices:
    registries = current().registries
    card = override_card(fields)
    require_possible(tx, card, keys=registries.keys)
    return registries.prices.set(tx, [card], by=by)


@calmly
def _book() -> None:
    st.subheader("Price book", anchor=False)
    grid = st.grid(4, min_column_width=150, gap="small", vertical_alignment="bottom")
    model = grid.text_input("Model", key="model-search", placeholder="Part of a name").strip()
    provider = grid.text_input("Provider", key="provider-search", placeholder="openai").strip()
    own = grid.toggle("Only my own prices", key="own")
    history = grid.toggle(
        "Ended ones too", key="history", help="Records name the price they were rated with."
    )
    found = attempt(lambda: _listing(model, provider, own_only=own, history=history))
    if found is None or not found.prices:
        st.caption("No price matches.")
        return
    shown = price_tables.prices(found.prices, now=data.now())
    controls.table(shown, key="book", height=420, placeholder="")
    count = len(found.prices)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        plural = "price" if count == 1 else "prices"
        said = f"The latest {count} of more; search for a model." if found.more else f"{count} {plural}."
        st.caption(said, width="content")
        controls.downloads(shown, name="prices")


def _listing(model: str, provider: str, *, own_only: bool, history: bool) -> pricing.Listing:
    for text, field in ((model, "model"), (provider, "provider")):
        require_storable(text, field=field)
    return pricing.listing(model=model, provider=provider, own_only=own_only, history=history)
