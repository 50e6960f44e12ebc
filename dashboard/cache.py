"""Kept reads: a result is shared for a moment, so that many viewers and many tiles cost the store one query.

The key is the store, the viewer's scope and every argument, by value. Nothing is kept when the store cannot be read:
the error reaches the view, and the next attempt asks again. Results are shared between sessions and never changed.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec
import streamlit as st
from sqlalchemy import Connection

from dashboard.context import current, viewer
from service.reporting.snapshots import snapshot

LIVE_TTL_S = 1
CHART_TTL_S = 5
PAST_TTL_S = 60
_ENTRIES = 256

P = ParamSpec("P")
R = TypeVar("R")


def kept(ttl_s: float) -> Callable[[Callable[Concatenate[Connection, P], R]], Callable[P, R]]:
    """Makes a function that reads from a transaction one that opens it, and keeps what it returned for *ttl_s*."""

    def decorate(read: Callable[Concatenate[Connection, P], R]) -> Callable[P, R]:
        def answer(store: str, scope: str, asked: bytes, _args: Any, _kwargs: Any) -> R:  # noqa: ARG001  (the key)
            with snapshot(current().store) as tx:
                return read(tx, *_args, **_kwargs)

        # functions of one name and source share a cache
        answer.__module__, answer.__qualname__ = read.__module__, read.__qualname__
        keep = st.cache_resource(ttl=ttl_s, max_entries=_ENTRIES, show_spinner=False)(answer)

        @wraps(read)
        def ask(*args: P.args, **kwargs: P.kwargs) -> R:
            asked = msgspec.json.encode((args, sorted(kwargs.items())))
            found: R = keep(str(current().store), viewer().scope, asked, args, kwargs)
            return found

        return ask

    return decorate
