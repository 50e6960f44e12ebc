"""Cached reads: everything a view shows comes from `service.reporting` through here.

A result is kept for a moment, so that many viewers and many tiles cost the store one query. The key of a cached
result is the store and every argument. Nothing is cached when the store cannot be read: the error reaches the view,
and the next attempt asks again. Results are frozen values, shared between sessions and never changed.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import streamlit as st

from dashboard.context import current
from service.errors import InvalidInputError, NotFoundError
from service.reporting.intervals import Span
from service.reporting.rows import Page, RequestFilter, get_request, list_requests
from service.reporting.snapshots import extent, snapshot
from service.reporting.usage import UsageQuery, UsageReport, usage_report

LIVE_TTL_S = 1
CHART_TTL_S = 15
_ENTRIES = 256
_BY_VALUE: dict[str | type[Any], Callable[[Any], Any]] = {
    UsageQuery: msgspec.json.encode,
    RequestFilter: msgspec.json.encode,
}


def live_usage(query: UsageQuery) -> UsageReport:
    """A report at most `LIVE_TTL_S` old."""
    return _live_usage(str(current().store), query)


def usage(query: UsageQuery) -> UsageReport:
    """A report at most `CHART_TTL_S` old."""
    return _usage(str(current().store), query)


def requests(wanted: RequestFilter, *, limit: int, cursor: str | None = None) -> Page:
    """A page of the log."""
    return _requests(str(current().store), wanted, limit, cursor)


def request(identifier: str) -> dict[str, Any] | None:
    """One request with all its attempts; None where there is none of this id."""
    return _request(str(current().store), identifier)


def recorded() -> Span | None:
    """From when to when there are books; None in an empty store."""
    return _recorded(str(current().store))


def now() -> datetime:
    """The present, from the installed clock."""
    return current().now()


@st.cache_resource(ttl=LIVE_TTL_S, max_entries=_ENTRIES, show_spinner=False, hash_funcs=_BY_VALUE)
def _live_usage(store: str, query: UsageQuery) -> UsageReport:  # noqa: ARG001  (part of the key)
    return _report(query)


@st.cache_resource(ttl=CHART_TTL_S, max_entries=_ENTRIES, show_spinner=False, hash_funcs=_BY_VALUE)
def _usage(store: str, query: UsageQuery) -> UsageReport:  # noqa: ARG001  (part of the key)
    return _report(query)


def _report(query: UsageQuery) -> UsageReport:
    with snapshot(current().store) as tx:
        return usage_report(tx, query)


@st.cache_resource(ttl=LIVE_TTL_S, max_entries=_ENTRIES, show_spinner=False, hash_funcs=_BY_VALUE)
def _requests(store: str, wanted: RequestFilter, limit: int, cursor: str | None) -> Page:  # noqa: ARG001  (part of the key)
    with snapshot(current().store) as tx:
        return list_requests(tx, wanted, limit=limit, cursor=cursor)


@st.cache_resource(ttl=LIVE_TTL_S, max_entries=_ENTRIES, show_spinner=False)
def _request(store: str, identifier: str) -> dict[str, Any] | None:  # noqa: ARG001  (part of the key)
    try:
        with snapshot(current().store) as tx:
            return get_request(tx, identifier)
    except (InvalidInputError, NotFoundError):
        return None


@st.cache_resource(ttl=1, max_entries=4, show_spinner=False)
def _recorded(store: str) -> Span | None:  # noqa: ARG001  (part of the key)
    with snapshot(current().store) as tx:
        return extent(tx)
