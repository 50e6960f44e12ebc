"""How many records a report has to read, where the rollups do not have its dimensions: known before it is asked for.

An estimate: the range's attempts, by the share of its time for which only the records have the answer.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection

from service.reporting.by_value import pieces_of
from service.reporting.dimensions import ROLLUP
from service.reporting.intervals import Span, buckets, time_zone, widened
from service.reporting.usage import UsageQuery, usage_report
from service.store.dimension_tables import DIMENSION_NAMES


def records_to_read(tx: Connection, query: UsageQuery) -> int:
    """About how many; 0 where the rollups have the answer."""
    asked = {*query.group_by, *query.filters}
    if asked <= ROLLUP.keys():
        return 0
    span = widened(query.since, query.until)
    unknown = span.until - span.since
    if len(asked) == 1 and asked <= set(DIMENSION_NAMES):
        zone = time_zone(query.timezone)
        spans = [span] if query.interval is None else buckets(span, interval=query.interval, zone=zone)
        unknown = _beside_rollups(tx, spans)
    if not unknown:
        return 0
    whole = usage_report(tx, UsageQuery(since=span.since, until=span.until, percentiles=False))
    return round(whole.total.attempts * (unknown / (span.until - span.since)))


def _beside_rollups(tx: Connection, spans: Sequence[Span]) -> timedelta:
    """The time outside whole hours, and before there were such rollups."""
    _days, _hours, rest = pieces_of(tx, spans)
    return sum((span.until - span.since for _, span in rest), timedelta())
