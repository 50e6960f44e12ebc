"""Our books beside a provider's report: by day, model and meter, every difference with what explains it. Pure.

Nothing is changed, on neither side. Quantities are whole numbers, costs exact decimals; no difference is rounded
away: where it lies within what was rounded before, it is explained by `rounding`.

Reasons: `missing_ours` (nothing of that day and model passed Tollkeeper), `missing_theirs`, `timezone_edge` (the days
agree if they begin at another hour), `unpriced`, `partial`, `estimated`, `no_usage`, `provider_cost`, `price` (the
same quantity at another price), `rounding`; `unexplained` where none of them applies.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

from service.errors import InvalidInputError
from service.reporting import books as ours
from service.reporting.books import Books
from service.reporting.intervals import QUARTER, Span, widened
from service.reporting.provider_report import ALL_MODELS, EXACT, REQUESTS, TOTAL, Billed
from service.store.types import MICROSECOND

Kind = Literal[
    "missing_ours", "missing_theirs", "timezone_edge", "unpriced", "partial", "estimated", "no_usage",
    "provider_cost", "price", "rounding", "unexplained",
]  # fmt: skip

_NANO = Decimal((0, (1,), -9))
_HALF = Decimal("0.5")
_HALF_HOURS = tuple(step for step in range(-28, 29) if step)
_HALF_HOUR_MICROS = 2 * QUARTER // MICROSECOND
_PERCENT_LEFT = 10
_QUARTER_S = int(QUARTER.total_seconds())


class Reason(msgspec.Struct, frozen=True):
    """One explanation of a difference."""

    kind: Kind
    text: str


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One day, model and meter on both sides; None where a side says nothing. Differences are ours less theirs."""

    day: date
    model: str | None
    meter: str
    our_quantity: int | None
    their_quantity: int | None
    our_cost_usd: Decimal | None
    their_cost_usd: Decimal | None
    reasons: tuple[Reason, ...] = ()

    @property
    def quantity_difference(self) -> int:
        """0 where one side has no quantity at all."""
        if self.our_quantity is None or self.their_quantity is None:
            return 0
        return self.our_quantity - self.their_quantity

    @property
    def cost_difference_usd(self) -> Decimal:
        """0 where one side has no cost at all."""
        if self.our_cost_usd is None or self.their_cost_usd is None:
            return Decimal(0)
        return EXACT.subtract(self.our_cost_usd, self.their_cost_usd)

    @property
    def agrees(self) -> bool:
        """No difference, however small."""
        return not self.quantity_difference and not self.cost_difference_usd


class _Cell(msgspec.Struct):
    """What the report says about one day, model and meter, put together."""

    day: date
    model: str
    meter: str
    quantity: int | None = None
    cost: Decimal | None = None
    slack: Decimal = Decimal(0)
    said: bool = True

    def add(self, entry: Billed) -> None:
        if entry.quantity is not None:
            self.quantity = (self.quantity or 0) + entry.quantity
        if entry.cost is not None and entry.step is not None:
            self.cost = EXACT.add(self.cost or Decimal(0), entry.cost)
            self.slack = EXACT.add(self.slack, EXACT.multiply(entry.step, _HALF))


def period(entries: Iterable[Billed]) -> Span:
    """The time that the report is about; InvalidInputError where nobody can have used a model yet."""
    spans = [entry.span for entry in entries]
    return widened(min(span.since for span in spans), max(span.until for span in spans))


def reconcile(entries: Sequence[Billed], books: Books) -> list[Figure]:
    """Every figure of the report, and what of ours it leaves out, by day, model and meter.

    *books* should reach a day beyond the report on either side, for the question when their days begin.
    """
    days = _days(entries)
    cells: dict[tuple[date, str, str], _Cell] = {}
    for entry in entries:
        key = (entry.day, entry.model, entry.meter)
        cells.setdefault(key, _Cell(*key)).add(entry)
    for cell in _left_out(cells.values(), books, days=days):
        cells[cell.day, cell.model, cell.meter] = cell
    comparison = _Comparison(books, days=days, cells=list(cells.values()))
    return [comparison.figure(cells[key]) for key in sorted(cells)]


def _days(entries: Sequence[Billed]) -> dict[date, tuple[Span, ...]]:
    """The spans of time that each day of the report covers, joined where they touch."""
    spans: dict[date, set[Span]] = {}
    for entry in entries:
        spans.setdefault(entry.day, set()).add(entry.span)
    return {day: _joined(found) for day, found in spans.items()}


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    joined: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.since, one.until)):
        if joined and span.since <= joined[-1].until:
            joined[-1] = Span(joined[-1].since, max(joined[-1].until, span.until))
        else:
            joined.append(span)
    for span in joined:
        for instant in (span.since, span.until):
            if int(instant.timestamp()) % _QUARTER_S:
                raise InvalidInputError(
                    f"a bucket begins or ends at {instant.isoformat()}; only whole quarters of an hour can be compared",
                    field="file",
                )
    return tuple(joined)


def _left_out(cells: Iterable[_Cell], books: Books, *, days: dict[date, tuple[Span, ...]]) -> list[_Cell]:
    """What we have of the days of the report, in meters that it uses, and it does not mention."""
    said = {(cell.day, cell.model, cell.meter) for cell in cells}
    by_model = [cell for cell in cells if cell.model != ALL_MODELS]
    meters = {(cell.meter, cell.quantity is not None, cell.cost is not None) for cell in by_model}
    # in a bill by lines, a total of ours would count the lines a second time
    if any(has_cost and meter != TOTAL for meter, _has_quantity, has_cost in meters):
        meters = {kind for kind in meters if kind[0] != TOTAL}
    found = []
    for day, spans in days.items():
        for model in books.models:
            for meter, has_quantity, has_cost in sorted(meters):
                if (day, model, meter) in said:
                    continue
                quantity, nanos = books.total(model, meter, spans)
                if (has_quantity and quantity) or (has_cost and nanos):
                    cell = _Cell(
                        day,
                        model,
                        meter,
                        0 if has_quantity else None,
                        Decimal(0) if has_cost else None,
                        said=False,
                    )
                    found.append(cell)
    return found


class _Comparison:
    """Figures and their reasons."""

    def __init__(self, books: Books, *, days: dict[date, tuple[Span, ...]], cells: Sequence[_Cell]) -> None:
        self._books = books
        self._days = days
        self._series: dict[tuple[str, str], list[_Cell]] = {}
        for cell in cells:
            self._series.setdefault((cell.model, cell.meter), []).append(cell)
        self._shifts: dict[tuple[str, str], str | None] = {}

    def figure(self, cell: _Cell) -> Figure:
        """One figure with its reasons."""
        quantity, nanos = self._books.total(cell.model, cell.meter, self._days[cell.day])
        figure = Figure(
            day=cell.day,
            model=cell.model or None,
            meter=cell.meter,
            our_quantity=None if cell.quantity is None else quantity,
            their_quantity=cell.quantity,
            our_cost_usd=None if cell.cost is None else usd(nanos),
            their_cost_usd=cell.cost,
        )
        if figure.agrees:
            return figure
        reasons = self._reasons(cell, figure) or [
            Reason("unexplained", "none of the usual reasons applies; look at the requests of that day")
        ]
        return msgspec.structs.replace(figure, reasons=tuple(reasons))

    def _reasons(self, cell: _Cell, figure: Figure) -> list[Reason]:
        if self._is_rounding(cell, figure):
            return [Reason("rounding", "within what their report and our cost lines are rounded to")]
        shifted = self._shift(cell)
        if shifted is not None:
            return [Reason("timezone_edge", shifted)]
        if not cell.said:
            text = (
                "their report does not have it: not closed yet, another account, or another name of the model"
            )
            return [Reason("missing_theirs", text)]
        requests = self._count(cell, REQUESTS) + self._count(cell, ours.NO_USAGE)
        if not requests:
            text = "nothing of this model passed Tollkeeper on that day: other keys, or another name of the model"
            return [Reason("missing_ours", text)]
        return [*self._gaps(cell, figure), *self._price(cell, figure)]

    def _gaps(self, cell: _Cell, figure: Figure) -> list[Reason]:
        """What our books know that they do not know exactly."""
        reasons = []
        if figure.cost_difference_usd:
            if unpriced := self._count(cell, ours.UNPRICED):
                tokens = self._count(cell, ours.UNPRICED_TOKENS)
                reasons.append(
                    Reason("unpriced", f"{unpriced} of our requests, {tokens} tokens, have no price")
                )
            if partial := self._count(cell, ours.PARTIAL):
                reasons.append(Reason("partial", f"{partial} of our requests are priced in part"))
            if billed := self._count(cell, ours.BILLED_BY_PROVIDER):
                text = f"{billed} of our requests cost what the provider reported, which has no meters"
                reasons.append(Reason("provider_cost", text))
        if estimated := self._count(cell, ours.ESTIMATED):
            spread = self._count(cell, ours.ESTIMATED_RANGE)
            text = f"the usage of {estimated} of our requests is estimated, with {spread} tokens between the bounds"
            reasons.append(Reason("estimated", text))
        if missing := self._count(cell, ours.NO_USAGE):
            reasons.append(Reason("no_usage", f"{missing} of our attempts failed or ended without any usage"))
        return reasons

    def _price(self, cell: _Cell, figure: Figure) -> list[Reason]:
        """The same quantity at another price."""
        if cell.meter == TOTAL or not figure.cost_difference_usd or figure.quantity_difference:
            return []
        if not figure.their_quantity or figure.our_cost_usd is None or figure.their_cost_usd is None:
            return []
        mtok, rounded = Decimal(1_000_000), Decimal("0.000001")
        ours_usd, theirs_usd = (
            EXACT.divide(EXACT.multiply(cost, mtok), figure.their_quantity).quantize(rounded, context=EXACT)
            for cost in (figure.our_cost_usd, figure.their_cost_usd)
        )
        return [Reason("price", f"for a million, we count {ours_usd} USD and they {theirs_usd} USD")]

    def _is_rounding(self, cell: _Cell, figure: Figure) -> bool:
        if figure.quantity_difference or figure.their_cost_usd is None or not cell.said:
            return False
        lines = self._count(cell, ours.LINES)
        slack = EXACT.add(cell.slack, EXACT.multiply(EXACT.multiply(_NANO, _HALF), lines))
        return abs(figure.cost_difference_usd) <= slack

    def _shift(self, cell: _Cell) -> str | None:
        """At which other hour their days would have to begin for the days of this model and meter to agree."""
        key = (cell.model, cell.meter)
        if key not in self._shifts:
            self._shifts[key] = self._find_shift(self._series[key])
        return self._shifts[key]

    def _find_shift(self, cells: Sequence[_Cell]) -> str | None:
        if not any(cell.quantity or cell.cost for cell in cells):
            return None
        as_it_is = self._distance(cells, half_hours=0)
        best = min(_HALF_HOURS, key=lambda step: (self._distance(cells, half_hours=step), abs(step)))
        left = self._distance(cells, half_hours=best)
        if left * _PERCENT_LEFT > as_it_is or not as_it_is:
            return None
        hours = f"{abs(best) / 2:g} h {'later' if best > 0 else 'earlier'}"
        return f"if their days begin {hours}, {'nearly all' if left else 'all'} of it agrees"

    def _distance(self, cells: Sequence[_Cell], *, half_hours: int) -> Decimal:
        """How far the days are apart in all, in quantity where there is one, else in cost."""
        apart = Decimal(0)
        for cell in cells:
            spans = self._days[cell.day]
            quantity, nanos = self._books.total(
                cell.model, cell.meter, spans, later_micros=half_hours * _HALF_HOUR_MICROS
            )
            if cell.quantity is not None:
                apart += abs(quantity - cell.quantity)
            else:
                difference = abs(EXACT.subtract(usd(nanos), cell.cost or Decimal(0)))
                apart = EXACT.add(apart, difference if difference > cell.slack else Decimal(0))
        return apart

    def _count(self, cell: _Cell, meter: str) -> int:
        return self._books.total(cell.model, meter, self._days[cell.day])[0]


def usd(nanos: int) -> Decimal:
    """Nano-USD as an exact amount in USD."""
    return EXACT.multiply(Decimal(nanos), _NANO)
