"""When a rule would have fired on stored history: the same readings, every quarter of an hour, and the same machine.

Budgets are taken as they are now, and their spending from the rollups. What was never stored (the fill of a journal,
the drift of the books) cannot be replayed.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from service.alerts.measuring import WindowFigures, anomaly, share, silent_minutes, usage_value
from service.alerts.past import WIDTH, Group, Quarter, Vector, add, floor_quarter, quarters
from service.alerts.replay import Raised, Replay
from service.alerts.rules import Reading, Rule
from service.alerts.simulated_budgets import BudgetPast
from service.alerts.subjects import about, subject_of
from service.alerts.usage_readings import DOWN, SERVER_ERROR, WEEK, WEEKS
from service.alerts.values import window_of
from service.budgets.registry import load_budgets
from service.errors import InvalidInputError
from service.pricing.money import format_usd
from service.reporting.dimensions import Filters
from service.reporting.intervals import QUARTER, Span
from service.reporting.measures import MEASURES
from service.reporting.percentiles import percentile_ms
from service.store.engine import Store
from service.store.histogram import BINS

LONGEST = timedelta(days=92)
_AT = {name: index for index, name in enumerate(MEASURES)}
_UPSTREAM = ("upstream", "outcome", "http_status")

Read = Callable[[datetime, Quarter], Sequence[Reading]]


def simulate(
    store: Store,
    rule: Rule,
    *,
    span: Span,
    zone: ZoneInfo,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Raised]:
    """What *rule* would have raised from *span.since* to *span.until*, the earliest first.

    Raises:
        InvalidInputError: the metric has no history, or the span is longer than 92 days.
    """
    if rule.measured.family in ("gauge", "report"):
        raise InvalidInputError(f"metric: {rule.metric} has no history to simulate", field="metric")
    if not timedelta(0) < span.until - span.since <= LONGEST:
        raise InvalidInputError(f"a simulation covers at most {LONGEST.days} days", field="since")
    since, until = floor_quarter(span.since), span.until
    replay = Replay(rule)
    read, lead, dimensions = _reader(store, rule, zone=zone)
    filters: Filters = {} if rule.measured.family == "budget" else rule.filters
    past = quarters(store, Span(since - lead, until), group_by=dimensions, filters=filters, progress=progress)
    for at, quarter in past:
        readings = read(at, quarter)
        if at > since:
            replay.take(readings, at=at)
    return replay.raised


def _reader(store: Store, rule: Rule, *, zone: ZoneInfo) -> tuple[Read, timedelta, Sequence[str]]:
    """What reads the rule's metric, how much history it needs before the first reading, and by which dimensions."""
    window = window_of(rule)
    match rule.measured.family:
        case "usage":
            return _Sliding(rule).read, window, rule.group_by
        case "upstream":
            return _Upstreams(rule).read, window, _UPSTREAM
        case "history":
            return _History(rule).read, window + WEEK * WEEKS, rule.group_by
        case "activity":
            return _Activity(rule).read, window, rule.group_by
        case _:
            with store.read() as tx:
                book = load_budgets(tx)
            past = BudgetPast(rule, book, zone=zone)
            return past.read, past.lead, past.dimensions


class _Window:
    """Sums of each group over the last *length*."""

    def __init__(self, length: timedelta) -> None:
        self._size = max(1, -(-length // QUARTER))
        self._quarters: deque[Quarter] = deque()
        self.sums: dict[Group, Vector] = {}

    def take(self, quarter: Quarter) -> None:
        """The next quarter of an hour comes in, the oldest goes."""
        self._quarters.append(quarter)
        for group, vector in quarter.items():
            add(self.sums.setdefault(group, [0] * WIDTH), vector)
        if len(self._quarters) > self._size:
            for group, vector in self._quarters.popleft().items():
                add(self.sums[group], vector, sign=-1)


class _Sliding:
    """Metrics of the family `usage`."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._length = window_of(rule)
        self._window = _Window(self._length)

    def read(self, at: datetime, quarter: Quarter) -> list[Reading]:
        """The readings at the end of this quarter."""
        self._window.take(quarter)
        groups = self._window.sums or ({(): [0] * WIDTH} if not self._rule.group_by else {})
        return [self._reading(group, vector, at=at) for group, vector in groups.items()]

    def _reading(self, group: Group, vector: Vector, *, at: datetime) -> Reading:
        rule = self._rule
        seen = vector[_AT["attempts"]] > 0
        requests = vector[_AT["requests"]]
        return Reading(
            subject=subject_of(rule.group_by, group),
            value=usage_value(rule.metric, _figures(vector)) if seen else None,
            enough=requests >= rule.min_requests,
            starts_at=at - self._length,
            ends_at=at,
            details={"about": about(rule.group_by, group, key_names={}), "requests": requests},
        )


class _Upstreams:
    """Failed attempts of each upstream."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._length = window_of(rule)
        self._window = _Window(self._length)

    def read(self, at: datetime, quarter: Quarter) -> list[Reading]:
        """The readings at the end of this quarter."""
        self._window.take(quarter)
        attempts: dict[str, int] = {}
        failed: dict[str, int] = {}
        for (upstream, outcome, status), vector in self._window.sums.items():
            count = vector[_AT["attempts"]]
            attempts[upstream] = attempts.get(upstream, 0) + count
            server = outcome == "upstream_error" and (not status or int(status) >= SERVER_ERROR)
            failed[upstream] = failed.get(upstream, 0) + (count if outcome in DOWN or server else 0)
        return [
            Reading(
                subject=subject_of(("upstream",), (upstream,)),
                value=share(failed[upstream], count),
                enough=count >= self._rule.min_requests,
                starts_at=at - self._length,
                ends_at=at,
                details={"about": f"Upstream {upstream}"},
            )
            for upstream, count in attempts.items()
            if upstream
        ]


class _History:
    """Spending beside that of the weeks before."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._length = window_of(rule)
        self._size = max(1, -(-self._length // QUARTER))
        self._totals: dict[Group, list[tuple[int, int]]] = {}
        self._steps = 0

    def read(self, at: datetime, quarter: Quarter) -> list[Reading]:
        """The readings at the end of this quarter."""
        for group in quarter:
            self._totals.setdefault(group, [(0, 0)] * (self._steps + 1))
        self._steps += 1
        for group, totals in self._totals.items():
            vector = quarter.get(group)
            cost, requests = totals[-1]
            if vector is not None:
                cost, requests = cost + vector[_AT["cost_nanos"]], requests + vector[_AT["requests"]]
            totals.append((cost, requests))
        return [self._reading(group, totals, at=at) for group, totals in self._totals.items()]

    def _reading(self, group: Group, totals: list[tuple[int, int]], *, at: datetime) -> Reading:
        week = WEEK // QUARTER
        spent, requests = self._between(totals, self._steps)
        weeks = [self._between(totals, self._steps - week * back) for back in range(1, WEEKS + 1)]
        value = anomaly(spent, weeks=[cost for cost, count in weeks if count]) if requests else None
        rule = self._rule
        return Reading(
            subject=subject_of(rule.group_by, group),
            value=value,
            enough=requests >= rule.min_requests,
            starts_at=at - self._length,
            ends_at=at,
            details={
                "about": about(rule.group_by, group, key_names={}),
                "spent_usd": format_usd(spent),
                "usual_usd": format_usd(round(spent / value) if value else 0),
            },
        )

    def _between(self, totals: list[tuple[int, int]], end: int) -> tuple[int, int]:
        if end <= 0:
            return (0, 0)
        start = max(0, end - self._size)
        return (totals[end][0] - totals[start][0], totals[end][1] - totals[start][1])


class _Activity:
    """How long each group has been silent."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._length = window_of(rule)
        self._last: dict[Group, datetime] = {}

    def read(self, at: datetime, quarter: Quarter) -> list[Reading]:
        """The readings at the end of this quarter."""
        self._last |= dict.fromkeys(_active(quarter), at)
        self._last = {group: last for group, last in self._last.items() if at - last < self._length}
        rule = self._rule
        return [
            Reading(
                subject=subject_of(rule.group_by, group),
                value=silent_minutes(last, now=at),
                starts_at=last,
                ends_at=at,
                details={"about": about(rule.group_by, group, key_names={})},
            )
            for group, last in self._last.items()
        ]


def _active(quarter: Quarter) -> Iterable[Group]:
    return (group for group, vector in quarter.items() if vector[_AT["attempts"]])


def _figures(vector: Vector) -> WindowFigures:
    durations = vector[len(MEASURES) : len(MEASURES) + BINS]
    firsts = vector[len(MEASURES) + BINS :]
    estimated = vector[_AT["usage_estimated"]]
    return WindowFigures(
        requests=vector[_AT["requests"]],
        errors=vector[_AT["errors"]],
        cost_nanos=vector[_AT["cost_nanos"]],
        unpriced=vector[_AT["unpriced"]],
        estimated=estimated,
        with_usage=vector[_AT["usage_provider"]] + vector[_AT["usage_partial"]] + estimated,
        p95_duration_ms=percentile_ms(durations, 0.95),
        p95_ttft_ms=percentile_ms(firsts, 0.95),
    )
