"""Readings of silence: how long ago the last request came, of whoever sent any within the rule's window.

The hourly rollup says in which hour it came. Only where the hour does not tell whether a threshold is reached, the
records of that hour are asked. Keys that were revoked or have expired are silent by right.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, or_, select

from service.alerts.measuring import silent_minutes
from service.alerts.rules import Reading, Rule, thresholds_of
from service.alerts.subjects import about, subject_of
from service.alerts.usage_readings import Group, names_of
from service.alerts.values import window_of
from service.reporting.dimensions import ROLLUP, filter_record, filter_rollup, of_record
from service.store.spans import started_within
from service.store.tables import request_record, usage_rollup_hour, virtual_key
from service.store.types import EPOCH

HOUR = timedelta(hours=1)
_AT_ONCE = 500


def activity_readings(tx: Connection, rule: Rule, *, now: datetime) -> list[Reading]:
    """A reading for each group that sent requests within the window."""
    last = {
        group: min(hour + HOUR, now)
        for group, hour in _last_hours(tx, rule, since=now - window_of(rule)).items()
    }
    last |= _exactly(tx, rule, ends=last, now=now)
    if "key" in rule.group_by:
        last = _of_living_keys(tx, rule, last, now=now)
    names = names_of(tx, rule.group_by, groups=list(last))
    return [
        Reading(
            subject=subject_of(rule.group_by, group),
            value=silent_minutes(instant, now=now),
            starts_at=instant,
            ends_at=now,
            details={"about": about(rule.group_by, group, key_names=names)},
        )
        for group, instant in last.items()
    ]


def _last_hours(tx: Connection, rule: Rule, *, since: datetime) -> dict[Group, datetime]:
    table = usage_rollup_hour
    keys = [table.c[ROLLUP[name]] for name in rule.group_by]
    first = since - (since - EPOCH) % HOUR
    query = (
        select(*keys, func.max(table.c.bucket))
        .where(table.c.bucket >= first, *filter_rollup(rule.filters, rollup=table))
        .group_by(*keys)
    )
    return {tuple(group): hour for *group, hour in tx.execute(query) if hour is not None}


def _exactly(
    tx: Connection, rule: Rule, *, ends: Mapping[Group, datetime], now: datetime
) -> dict[Group, datetime]:
    """The instant itself, of groups whose hour leaves open whether a threshold is reached."""
    limits = [timedelta(minutes=one.limit) for one in thresholds_of(rule) if one.limit is not None]
    open_hours = {
        end for end in ends.values() if any(now - end < limit <= now - end + HOUR for limit in limits)
    }
    found: dict[Group, datetime] = {}
    for end in sorted(open_hours):
        keys = [of_record(name) for name in rule.group_by]
        query = (
            select(*keys, func.max(request_record.c.started_at))
            .where(started_within(end - HOUR, end), *filter_record(rule.filters))
            .group_by(*keys)
        )
        for *group, instant in tx.execute(query):
            if instant is not None and ends.get(tuple(group)) == end:
                found[tuple(group)] = instant
    return found


def _of_living_keys(
    tx: Connection, rule: Rule, last: Mapping[Group, datetime], *, now: datetime
) -> dict[Group, datetime]:
    at = rule.group_by.index("key")
    living = set(_living(tx, {group[at] for group in last}, now=now))
    return {group: instant for group, instant in last.items() if group[at] in living}


def _living(tx: Connection, ids: set[str], *, now: datetime) -> Iterable[str]:
    key = virtual_key.c
    usable = (key.revoked_at.is_(None), or_(key.expires_at.is_(None), key.expires_at > now))
    wanted = sorted(ids)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        yield from tx.scalars(select(key.id).where(key.id.in_(some), *usable))
