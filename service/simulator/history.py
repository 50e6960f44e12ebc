"""Thirty believable days of calls for the demo. Pure: the end and the seed decide everything.

The days have a weekday rhythm and a slow growth, and these events, placed backwards from the end:
- 4 days before it `EXHAUSTED_KEY` has spent its budget: from then on all its calls are refused;
- on the last working day at least 6 days before it `SPIKING_KEY` sends thirty times its calls;
- on the last working day at least 11 days before it OpenAI is away from 13:00 to 14:00 UTC; calls of models with
  a fallback are answered by Azure in a second attempt;
- 16 days before it a stranger tries keys for ten minutes.
One model (`acme-contract-reader-7b`) is in no price book, and its streams report no usage.
"""

from collections.abc import Iterator
from datetime import datetime
from random import Random

import msgspec

from service.simulator.calls import SimulatedCall, Trouble, draw_calls, draw_scan
from service.simulator.workloads import EXHAUSTED_KEY, PROFILES, SPIKING_KEY, WEEK, WORKLOADS, Workload

MICROS = 1_000_000
HOUR = 3_600 * MICROS
DAY = 24 * HOUR

_SPIKE_FACTOR = 30
_GROWTH = 0.25  # from the first day to the last
_SCANS = 60
_OUTAGE_HOUR = 13
_SATURDAY = 5


class Calendar(msgspec.Struct, frozen=True, kw_only=True):
    """When things happen; UTC microseconds since 1970, days as day numbers."""

    start: int
    end: int
    outage_start: int
    spike_day: int
    exhausted_from: int
    scan_start: int


def calendar(end: datetime, *, days: int = 30) -> Calendar:
    """The events before *end*, which is aware of its time zone."""
    last = int(end.timestamp()) * MICROS
    return Calendar(
        start=last - days * DAY,
        end=last,
        outage_start=_working_day(last // DAY - 11) * DAY + _OUTAGE_HOUR * HOUR,
        spike_day=_working_day(last // DAY - 6),
        exhausted_from=last - 4 * DAY,
        scan_start=(last // DAY - 16) * DAY + 3 * HOUR,
    )


def history(*, end: datetime, seed: int = 1, days: int = 30, load: float = 1.0) -> Iterator[SimulatedCall]:
    """The calls of the *days* before *end*, oldest first; *load* scales how many there are."""
    plan = calendar(end, days=days)
    rng = Random(seed)
    request = 0
    for day in range(plan.start // DAY, plan.end // DAY + 1):
        moments = _moments(day, plan=plan, load=load, rng=rng)
        for started_at, workload in moments:
            request += 1
            if workload is None:
                yield draw_scan(request=request, started_at=started_at, rng=rng)
            else:
                trouble = _trouble(workload, started_at=started_at, plan=plan)
                yield from draw_calls(
                    workload, request=request, started_at=started_at, trouble=trouble, rng=rng
                )


def _moments(day: int, *, plan: Calendar, load: float, rng: Random) -> list[tuple[int, Workload | None]]:
    """Who calls when on *day*, in order; None is the stranger."""
    moments: list[tuple[int, Workload | None]] = []
    for workload in WORKLOADS:
        profile = PROFILES[workload.profile]
        expected = load * _calls_expected(workload, day=day, plan=plan) * rng.lognormvariate(0, 0.1)
        for hour, weight in enumerate(profile):
            count = int(expected * weight / sum(profile) + rng.random())
            start = day * DAY + hour * HOUR
            moments += [(start + rng.randrange(HOUR), workload) for _ in range(count)]
    if day == plan.scan_start // DAY:
        moments += [(plan.scan_start + rng.randrange(HOUR // 6), None) for _ in range(_SCANS)]
    return sorted(
        (moment for moment in moments if plan.start <= moment[0] < plan.end), key=lambda moment: moment[0]
    )


def _calls_expected(workload: Workload, *, day: int, plan: Calendar) -> float:
    grown = 1 + _GROWTH * (day * DAY - plan.start) / max(DAY, plan.end - plan.start)
    spike = _SPIKE_FACTOR if workload.key_name == SPIKING_KEY and day == plan.spike_day else 1
    return workload.calls_per_day * WEEK[workload.week][_weekday(day)] * grown * spike


def _trouble(workload: Workload, *, started_at: int, plan: Calendar) -> Trouble:
    if workload.key_name == EXHAUSTED_KEY and started_at >= plan.exhausted_from:
        return "exhausted"
    return "outage" if plan.outage_start <= started_at < plan.outage_start + HOUR else "none"


def _weekday(day: int) -> int:
    return (day + 3) % 7  # day 0, 1970-01-01, was a Thursday


def _working_day(day: int) -> int:
    """*day*, or the Friday before it."""
    return day - max(0, _weekday(day) - _SATURDAY + 1)
