"""Finished records, folded into the rows that every metric is read from. Pure, and never one step a metric.

A label has few values, whatever clients and upstreams send. A model has a name of its own once an upstream has
answered for it; until then, and beyond `MODELS` names, it is `_OTHER`. Beyond `ROWS` rows of a family, projects and
models of new ones are `_OTHER` too. What remains is bounded by the configuration and our own error codes.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from service.ledger.record import RequestRecord
from service.telemetry.layout import BOOKS, FAMILIES, TIMES, TOKEN_CLASSES, Family, Histogram
from service.telemetry.names import OTHER, PROVIDERS, REQUEST_MODEL, RESPONSE_MODEL

ROWS = 2_000
MODELS = 300
LONGEST_LABEL = 128
OUR_ERRORS = frozenset({"upstream_unreachable", "upstream_timeout", "stream_ended_early"})
"""Codes by which we tell failures apart that have no status of the upstream's own."""

Key = tuple[str, ...]
"""The values of a family's keys, "" where there is none."""

_CLIENT_ERROR = 400
_MICROS_PER_MS = 1_000
_MS_PER_SECOND = 1_000

_REQUESTS, _RETRIES, _COST, _UNPRICED, _ESTIMATED, _FIRST_TOKEN = range(6)
_UNCACHED, _CACHE_READ, _CACHE_WRITE, _VISIBLE, _REASONING = (
    _FIRST_TOKEN + position for position in range(len(TOKEN_CLASSES))
)
_DURATION, _FIRST_CHUNK, _INPUT, _OUTPUT, _OVERHEAD = TIMES.histograms
_SECONDS_MS = tuple(bound * _MS_PER_SECOND for bound in _DURATION.instrument.bounds)
_OVERHEAD_MS = tuple(bound * _MS_PER_SECOND for bound in _OVERHEAD.instrument.bounds)


class Rows:
    """The rows of both families; `changed` names those that grew since it was last taken. Not thread-safe."""

    def __init__(self, *, rows: int = ROWS, models: int = MODELS) -> None:
        self.of: dict[Family, dict[Key, list[int]]] = {family: {} for family in FAMILIES}
        self._changed: set[tuple[Family, Key]] = set()
        self._rows = rows
        self._models = models
        self._known: set[str] = set()

    def restore(self, family: Family, key: Key, *, cells: list[int]) -> None:
        """Go on counting where an earlier process stopped."""
        self.of[family][key] = cells
        for name, value in zip(family.keys, key, strict=True):
            if name in (REQUEST_MODEL, RESPONSE_MODEL) and value not in ("", OTHER):
                self._known.add(value)

    def add(self, records: Iterable[RequestRecord]) -> None:
        """Count finished records."""
        for record in records:
            asked, answered = self._model_names(record)
            provider = record.provider or ""
            provider = PROVIDERS.get(provider, provider)
            error = error_type(record)
            upstream = record.upstream or ""
            key = (record.project or "", upstream, provider, asked, answered, record.outcome, error)
            _count(self._row(BOOKS, key), record)
            if upstream:
                _time(self._row(TIMES, (upstream, provider, asked, answered, error)), record)

    def take_changed(self) -> Iterator[tuple[Family, Key, list[int]]]:
        """The rows that have grown since the last call."""
        changed, self._changed = self._changed, set()
        return ((family, key, self.of[family][key]) for family, key in changed)

    def changed_again(self, family: Family, key: Key) -> None:
        """A row that was taken could not be kept; it comes again."""
        self._changed.add((family, key))

    def _row(self, family: Family, key: Key) -> list[int]:
        rows = self.of[family]
        cells = rows.get(key)
        if cells is None:
            if len(rows) >= self._rows:
                key = _without_names(family, key)
            cells = rows.setdefault(key, [0] * family.width)
        self._changed.add((family, key))
        return cells

    def _model_names(self, record: RequestRecord) -> tuple[str, str]:
        vouched = record.response_model is not None or record.outcome == "ok"
        asked = record.upstream_model if record.upstream is not None else record.requested_model
        return self._model(asked, vouched=vouched), self._model(record.response_model, vouched=vouched)

    def _model(self, name: str | None, *, vouched: bool) -> str:
        if not name:
            return ""
        name = name[:LONGEST_LABEL]
        if name not in self._known:
            if not vouched or len(self._known) >= self._models:
                return OTHER
            self._known.add(name)
        return name


def error_type(record: RequestRecord) -> str:
    """Why an attempt or a request failed, in one of a few words; "" where it did not."""
    if record.outcome == "ok":
        return ""
    if record.upstream is None or record.error_code in OUR_ERRORS:
        return record.error_code or record.outcome
    if record.outcome == "upstream_error" and (record.http_status or 0) >= _CLIENT_ERROR:
        return str(record.http_status)
    return record.outcome


def tokens_by_class(record: RequestRecord) -> tuple[int, ...]:
    """Tokens in the order of `TOKEN_CLASSES`; they add up to the input and output tokens."""
    read, write = record.cache_read_input_tokens or 0, record.cache_write_input_tokens or 0
    reasoning = record.reasoning_output_tokens or 0
    uncached = max(0, (record.input_tokens or 0) - read - write)
    visible = max(0, (record.output_tokens or 0) - reasoning)
    return uncached, read, write, visible, reasoning


def _without_names(family: Family, key: Key) -> Key:
    named = ("tollkeeper.project", REQUEST_MODEL, RESPONSE_MODEL)
    return tuple(
        OTHER if name in named and value else value for name, value in zip(family.keys, key, strict=True)
    )


def _count(cells: list[int], record: RequestRecord) -> None:
    times = record.repeat_count
    if record.final:
        cells[_REQUESTS] += times
    else:
        cells[_RETRIES] += times
    if record.cost_nanos:
        cells[_COST] += record.cost_nanos
    if record.cost_status == "unpriced":
        cells[_UNPRICED] += 1
    if record.usage_source == "estimated":
        cells[_ESTIMATED] += 1
    if record.input_tokens or record.output_tokens:
        for at, tokens in zip(range(_UNCACHED, _REASONING + 1), tokens_by_class(record), strict=True):
            cells[at] += tokens


def _time(cells: list[int], record: RequestRecord) -> None:
    _milliseconds(cells, _DURATION, record.duration_ms, bounds=_SECONDS_MS)
    _milliseconds(cells, _FIRST_CHUNK, record.ttft_ms, bounds=_SECONDS_MS)
    _milliseconds(cells, _OVERHEAD, record.overhead_ms, bounds=_OVERHEAD_MS)
    _tokens(cells, _INPUT, record.input_tokens)
    _tokens(cells, _OUTPUT, record.output_tokens)


def _milliseconds(
    cells: list[int], histogram: Histogram, value: float | None, *, bounds: tuple[float, ...]
) -> None:
    if value is not None:
        cells[histogram.at + bisect_left(bounds, value)] += 1
        cells[histogram.sum_at] += round(value * _MICROS_PER_MS)


def _tokens(cells: list[int], histogram: Histogram, value: int | None) -> None:
    if value is not None:
        cells[histogram.at + bisect_left(histogram.instrument.bounds, value)] += 1
        cells[histogram.sum_at] += value
