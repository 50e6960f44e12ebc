"""A provider's usage or cost report, read: OpenAI's organization API as JSON, or a CSV. Pure; amounts are exact.

JSON: one page of `/v1/organization/usage/completions` or `/v1/organization/costs`, or a list of pages. Each bucket
says its own span of time; it counts for the day in which it begins.
CSV: a header with `date`, `model`, `meter`, `quantity`, `cost`; days begin in the time zone given; quantity or cost
may be empty. A meter is a name of ours (`input_tokens` with the cached ones, `input` without) or one of OpenAI's.

Whatever cannot be read refuses the whole file with InvalidInputError, which names the place.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from io import StringIO
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import msgspec

from service.errors import InvalidInputError
from service.pricing.card import METERS
from service.reporting.intervals import Span, start_of_day

ALL_MODELS = ""
TOTAL = "total"
REQUESTS = "requests"
MAX_DIGITS = 30
EXACT = Context(prec=100)

COUNT_METERS: Mapping[str, str] = {
    "input_tokens": "input_tokens",
    "input_cached_tokens": "cache_read_input_tokens",
    "input_cache_write_tokens": "cache_write_input_tokens",
    "output_tokens": "output_tokens",
    "output_audio_tokens": "audio_output_tokens",
    "num_model_requests": REQUESTS,
}
"""Fields of OpenAI's usage that we keep as well, and our names for them."""

_LINE_METERS = {
    "input": "input",
    "cached input": "cache_read_input",
    "cache write": "cache_write_input",
    "cache writes": "cache_write_input",
    "output": "output",
}
_MODALITIES = {"": "", "text": "", "audio": "audio_", "image": "image_"}
_LINE_ITEM = re.compile(
    r"(?:(?:priority|flex|batch|scale) \| )?(?P<model>\S+?)(?: (?P<modality>text|audio|image))?, "
    r"(?P<meter>input|cached input|cache writes?|output)(?:[_ ]tokens)?(?:, long context)?"
)
_MODALITY_AT = {"input": "{}input", "cached input": "cache_read_{}input", "output": "{}output"}
_CSV_FIELDS = ("date", "model", "meter", "quantity", "cost")
_CSV_METERS = {*METERS, *COUNT_METERS.values(), *COUNT_METERS, *_LINE_METERS, TOTAL, ""}
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_UNITS = {"tokens": 1, "1000_tokens": 1_000}
_USAGE, _COSTS = "organization.usage.completions.result", "organization.costs.result"
_LARGEST_EXPONENT = 15
_SMALLEST_EXPONENT = -60
_LATEST_SECOND = 253_402_300_799


class Billed(msgspec.Struct, frozen=True, kw_only=True):
    """One number of the report. *step* is the finest step of its cost: 0.01 for "0.06"; None where it has no cost."""

    day: date
    span: Span
    model: str
    meter: str
    quantity: int | None = None
    cost: Decimal | None = None
    step: Decimal | None = None


class ProviderReport(msgspec.Struct, frozen=True):
    """What the file holds, and what is to be known about it."""

    entries: tuple[Billed, ...]
    notes: tuple[str, ...]


def parse_report(text: str, *, zone: ZoneInfo) -> ProviderReport:
    """Read a report; JSON where it begins like JSON."""
    text = text.removeprefix("\ufeff")
    if text.lstrip()[:1] in {"{", "["}:
        report = _Json(zone).read(text)
    else:
        report = ProviderReport(tuple(_csv(text, zone=zone)), ())
    if not report.entries:
        raise InvalidInputError("the report has no usage and no costs", field="file")
    return report


class _Json:
    """Pages, buckets and results, with the place of each for errors."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._notes: dict[str, None] = {}
        self._seen: set[tuple[str, int, int]] = set()

    def read(self, text: str) -> ProviderReport:
        try:
            document = msgspec.json.Decoder(float_hook=Decimal).decode(text)
        except (msgspec.MsgspecError, InvalidOperation, RecursionError, UnicodeError) as error:
            raise InvalidInputError(f"the report is not valid JSON: {error}", field="file") from error
        pages = document if isinstance(document, list) else [document]
        entries: list[Billed] = []
        for number, page in enumerate(pages):
            path = f"[{number}]." if isinstance(document, list) else ""
            entries += self._page(page, path=path)
        if isinstance(pages[-1] if pages else None, dict) and pages[-1].get("has_more") is True:
            self._notes[
                "the report says that more pages follow (has_more): what they hold is missing here"
            ] = None
        return ProviderReport(tuple(entries), tuple(self._notes))

    def _page(self, page: Any, *, path: str) -> Iterator[Billed]:
        buckets = page.get("data") if isinstance(page, dict) else None
        if not isinstance(buckets, list):
            _refuse(f"{path}data", "must be the list of buckets of OpenAI's usage or costs API")
        for number, bucket in enumerate(buckets):
            yield from self._bucket(bucket, path=f"{path}data[{number}]")

    def _bucket(self, bucket: Any, *, path: str) -> Iterator[Billed]:
        results = bucket.get("results") if isinstance(bucket, dict) else None
        if not isinstance(results, list):
            _refuse(f"{path}.results", "must be a list")
        start, end = (_second(bucket.get(name), f"{path}.{name}") for name in ("start_time", "end_time"))
        if end <= start:
            _refuse(f"{path}.end_time", "must be later than start_time")
        span = Span(*(datetime.fromtimestamp(second, UTC) for second in (start, end)))
        day = span.since.astimezone(self._zone).date()
        kinds = set()
        for number, result in enumerate(results):
            where = f"{path}.results[{number}]"
            if not isinstance(result, dict):
                _refuse(where, "must be an object")
            kind = str(result.get("object") or (_COSTS if "amount" in result else _USAGE))
            kinds.add(kind)
            place = {"day": day, "span": span}
            if kind == _COSTS:
                yield _cost(result, path=where, place=place)
            elif kind == _USAGE:
                yield from _usage(result, path=where, place=place)
            else:
                self._notes[f"results of the kind {kind[:100]} are left out"] = None
        for kind in kinds:
            if (kind, start, end) in self._seen:
                _refuse(f"{path}.start_time", f"{start} comes twice; give each page once")
            self._seen.add((kind, start, end))


def _usage(result: Mapping[str, Any], *, path: str, place: dict[str, Any]) -> Iterator[Billed]:
    model = _text(result.get("model"), f"{path}.model")
    for field, meter in COUNT_METERS.items():
        if result.get(field) is not None:
            count = _whole(result[field], f"{path}.{field}")
            yield Billed(**place, model=model, meter=meter, quantity=count)


def _cost(result: Mapping[str, Any], *, path: str, place: dict[str, Any]) -> Billed:
    model, meter = line_item(_text(result.get("line_item"), f"{path}.line_item"))
    amount = result.get("amount")
    if not isinstance(amount, dict):
        _refuse(f"{path}.amount", "must be an object of value and currency")
    currency = amount.get("currency")
    if currency is not None and str(currency).lower() != "usd":
        _refuse(f"{path}.amount.currency", f"is {str(currency)[:20]!r}; only usd can be compared")
    cost = _amount(amount.get("value"), f"{path}.amount.value")
    quantity, scale = result.get("quantity"), _UNITS.get(str(result.get("quantity_unit")))
    count = None
    if quantity is not None and scale is not None and meter != TOTAL:
        count = _whole(EXACT.multiply(_amount(quantity, f"{path}.quantity"), scale), f"{path}.quantity")
    return Billed(**place, model=model, meter=meter, quantity=count, cost=cost, step=step_of(cost))


def line_item(text: str) -> tuple[str, str]:
    """Model and meter of a line such as ``gpt-4o-2024-08-06, cached input``; what names no meter is a total."""
    found = _LINE_ITEM.fullmatch(text)
    if found is None:
        return text, TOTAL
    modality = _MODALITIES[found["modality"] or ""]
    meter = _MODALITY_AT[found["meter"]].format(modality) if modality else _LINE_METERS[found["meter"]]
    return found["model"].lower(), meter


def step_of(cost: Decimal) -> Decimal:
    """The finest step of an amount as it was written."""
    exponent = cost.as_tuple().exponent
    assert isinstance(exponent, int)  # finite
    return Decimal((0, (1,), exponent))


def _csv(text: str, *, zone: ZoneInfo) -> Iterator[Billed]:
    rows = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        missing = [name for name in _CSV_FIELDS if name not in header]
        if missing:
            _refuse(missing[0], f"is no column; a report has {', '.join(_CSV_FIELDS)}")
        for row in rows:
            if any(cell.strip() for cell in row):
                if len(row) != len(header):
                    _refuse("", f"line {rows.line_num}: {len(row)} fields under a header of {len(header)}")
                cells = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
                yield _row(cells, line=rows.line_num, zone=zone)
    except csv.Error as error:
        raise InvalidInputError(f"line {rows.line_num}: the report is not valid CSV: {error}") from error


def _row(cells: Mapping[str, str], *, line: int, zone: ZoneInfo) -> Billed:
    try:
        day = date.fromisoformat(cells["date"])
        span = Span(start_of_day(day, zone=zone), start_of_day(day + timedelta(days=1), zone=zone))
    except (ValueError, OverflowError):
        _refuse("date", f"is {cells['date'][:50]!r}; write 2026-01-31", line=line)
    name = cells["meter"].lower()
    if name not in _CSV_METERS:
        known = ", ".join(sorted({*METERS, *COUNT_METERS.values(), TOTAL}))
        _refuse("meter", f"is {name[:50]!r}; known are {known}", line=line)
    meter = _LINE_METERS.get(name) or COUNT_METERS.get(name) or name or TOTAL
    quantity, cost = (_plain(cells[field], field, line=line) for field in ("quantity", "cost"))
    if quantity is None and cost is None:
        _refuse("quantity", "and cost are both empty", line=line)
    count = None if quantity is None else _whole(quantity, f"line {line}: quantity")
    step = None if cost is None else step_of(cost)
    return Billed(
        day=day, span=span, model=cells["model"].lower(), meter=meter, quantity=count, cost=cost, step=step
    )


def _plain(text: str, field: str, *, line: int) -> Decimal | None:
    if not text:
        return None
    if not text.isascii() or _PLAIN.fullmatch(text) is None:
        _refuse(field, f"is {text[:50]!r}; write a plain decimal number that is not negative", line=line)
    if sum(map(str.isdigit, text)) > MAX_DIGITS:
        _refuse(field, f"has more than {MAX_DIGITS} digits", line=line)
    return Decimal(text)


def _amount(value: Any, field: str) -> Decimal:
    """A JSON number, or the same as text; JSON writers put small floats with an exponent."""
    if isinstance(value, str) and value.isascii():
        try:
            value = Decimal(value)
        except InvalidOperation:
            value = None
    if type(value) is int:
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite() or value.is_signed():
        _refuse(field, "must be a number that is not negative")
    digits = len(value.as_tuple().digits)
    if value and (digits > 2 * MAX_DIGITS or not _SMALLEST_EXPONENT < value.adjusted() < _LARGEST_EXPONENT):
        _refuse(field, "is no amount that anybody bills")
    return Decimal(value)


def _whole(value: Any, field: str) -> int:
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        value = int(value)
    if type(value) is not int or not 0 <= value < 1 << 63:
        _refuse(field, "must be a whole number that is not negative")
    return int(value)


def _second(value: Any, field: str) -> int:
    if type(value) is not int or not 0 <= value <= _LATEST_SECOND:
        _refuse(field, "must be a time in Unix seconds")
    return int(value)


def _text(value: Any, field: str) -> str:
    if value is None:
        return ALL_MODELS
    if not isinstance(value, str):
        _refuse(field, "must be a text")
    return str(value)


def _refuse(field: str, reason: str, *, line: int | None = None) -> NoReturn:
    where = "" if line is None else f"line {line}: "
    raise InvalidInputError(f"{where}{field} {reason}".strip(), field=field or "file")
