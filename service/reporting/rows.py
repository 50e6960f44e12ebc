"""Request records as people and programs read them: a filtered list by pages, and one request whole.

A page goes backwards in time by id, from a cursor that is the last id of the page before; nothing is counted or
skipped, so the last page costs what the first does. Where a filter lets few records through, a page looks through
`LARGEST_SEARCH` of them at most: it may then hold fewer than its limit, also none, and still have a next one. The cost
shown is the record's own plus its ledger entries; a request's detail shows both apart.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, RowMapping, Select, cast, func, or_, select

from service.errors import InvalidInputError, NotFoundError
from service.pricing.money import format_usd
from service.reporting.dimensions import Filters, filter_record, require_storable, require_usable
from service.reporting.windows import next_window
from service.store.spans import id_ceiling, id_floor
from service.store.tables import ledger_entry, request_record

MAX_PAGE = 1_000
LARGEST_SEARCH = 50_000
"""Records that one page looks through, where the rollups cannot say that there is nothing to find."""
FIRST_WINDOW, WIDENING = 1_000, 8
_CURSOR_VERSION = b"\x01"
_CURSOR_BYTES = 17
_DETAIL_ONLY = ("usage_raw", "cost_lines")
LIST_COLUMNS = tuple(column.name for column in request_record.c if column.name not in _DETAIL_ONLY)


class RequestFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which records; *filters* are those of a usage report. Costs are compared after ledger entries.

    `request_id` is one of ours, of an attempt or of a request, or one that the upstream gave.
    """

    since: datetime | None = None
    until: datetime | None = None
    filters: Filters = {}
    request_id: str | None = None
    min_cost_nanos: int | None = None
    max_cost_nanos: int | None = None
    final_only: bool = False


class Page(msgspec.Struct, frozen=True):
    """Records under the names of the columns, newest first, and the cursor of the next page, None after the last."""

    data: tuple[dict[str, Any], ...]
    next: str | None


def list_requests(
    tx: Connection, wanted: RequestFilter, *, limit: int = 50, cursor: str | None = None
) -> Page:
    """One page of records."""
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInputError(f"limit is {limit}; use 1 to {MAX_PAGE}", field="limit")
    before = None if cursor is None else parse_cursor(cursor)
    found, rest = _find(tx, wanted, before=before, count=limit + 1)
    page = tuple(shown_row(row) for row in found[:limit])
    if len(found) > limit:
        rest = found[limit - 1]["id"]
    return Page(page, None if rest is None else _cursor(rest))


def _find(
    tx: Connection, wanted: RequestFilter, *, before: UUID | None, count: int
) -> tuple[list[RowMapping], UUID | None]:
    """The newest *count* records, or fewer and the id before which nobody has looked yet."""
    statement = requests(wanted)
    if not is_narrow(wanted):
        found = bounded(statement, wanted, before=before)
        return list(tx.execute(found.limit(count)).mappings()), None
    by_id = _by_our_id(tx, wanted, before=before)
    if by_id:
        return by_id, None
    rows: list[RowMapping] = []
    before = (
        before if wanted.until is None else min(before or id_ceiling(wanted.until), id_ceiling(wanted.until))
    )
    size, left = FIRST_WINDOW, LARGEST_SEARCH
    while left > 0:
        window = next_window(
            tx, filters=wanted.filters, before=before, since=wanted.since, size=min(size, left)
        )
        if window is None:
            return rows, None
        found = bounded(statement, wanted, low=window.low, before=window.before)
        rows += tx.execute(found.limit(count - len(rows))).mappings()
        if len(rows) == count:
            break
        before, left, size = window.low, left - window.records, size * WIDENING
    return rows, before


def first_before(wanted: RequestFilter, before: UUID | None) -> UUID | None:
    """The id before which to look: *before*, but not after what is *wanted*."""
    if wanted.until is None:
        return before
    end = id_ceiling(wanted.until)
    return end if before is None else min(before, end)


def is_narrow(wanted: RequestFilter) -> bool:
    """A filter that a whole page of records need not meet."""
    return bool(
        wanted.filters
        or wanted.request_id is not None
        or wanted.min_cost_nanos is not None
        or wanted.max_cost_nanos is not None
        or wanted.final_only
    )


def bounded(
    statement: Select[Any], wanted: RequestFilter, *, low: UUID | None = None, before: UUID | None = None
) -> Select[Any]:
    """*statement* of `requests` for `low <= id < before` within the range of *wanted*.

    With one bound on either side: of several SQLite takes the first to find its place in the index, and from there it
    reads on, row by row, through what another excludes.
    """
    lows = [low, None if wanted.since is None else id_floor(wanted.since)]
    highs = [before, None if wanted.until is None else id_ceiling(wanted.until)]
    if any(lows):
        statement = statement.where(request_record.c.id >= max(filter(None, lows)))
    if any(highs):
        statement = statement.where(request_record.c.id < min(filter(None, highs)))
    return statement


def _by_our_id(tx: Connection, wanted: RequestFilter, *, before: UUID | None) -> list[RowMapping]:
    """The records that have an id of ours, which has an index; the upstream's ids have none."""
    try:
        ours = UUID(wanted.request_id or "")
    except ValueError:
        return []
    record = request_record.c
    statement = requests(wanted).where(or_(record.id == ours, record.request_id == ours))
    if before is not None:
        statement = statement.where(record.id < before)
    return list(tx.execute(statement).mappings())


def get_request(tx: Connection, identifier: str) -> dict[str, Any]:
    """All attempts of the request that has, or whose attempt has, this id; NotFoundError where there is none."""
    try:
        wanted = UUID(identifier)
    except ValueError as error:
        raise InvalidInputError(f"{identifier!r} is not a request id", field="id") from error
    record = request_record.c
    same = select(record.request_id).where(or_(record.id == wanted, record.request_id == wanted))
    statement = _select(request_record.c).where(record.request_id.in_(same)).order_by(record.id)
    found = tx.execute(statement).mappings().all()
    if not found:
        raise NotFoundError(f"there is no request {identifier}")
    entries = _entries(tx, [row["id"] for row in found])
    attempts = [{**shown_row(row), "ledger": entries.get(row["id"], [])} for row in found]
    return {"request_id": str(found[0]["request_id"]), "attempts": attempts}


def requests(
    wanted: RequestFilter, *, columns: Sequence[str] = LIST_COLUMNS, ledger: bool = True
) -> Select[Any]:
    """The records of *wanted*, newest first; without the *ledger* for records known to have no entries.

    To be `bounded`, or it reads the whole log.
    """
    require_usable(wanted.filters)
    record = request_record.c
    conditions = filter_record(wanted.filters)
    if wanted.since is not None:
        conditions.append(record.started_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(record.started_at < wanted.until)
    if wanted.request_id is not None:
        conditions.append(_known_as(wanted.request_id))
    if wanted.min_cost_nanos is not None:
        conditions.append(_cost() >= wanted.min_cost_nanos)
    if wanted.max_cost_nanos is not None:
        conditions.append(_cost() <= wanted.max_cost_nanos)
    if wanted.final_only:
        conditions.append(record.final)
    found = _select((record[name] for name in columns), ledger=ledger)
    return found.where(*conditions).order_by(record.id.desc())


def parse_cursor(cursor: str) -> UUID:
    """The id in a cursor of ours; anything else is refused."""
    try:
        found = base64.b64decode(cursor, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != _CURSOR_BYTES or found[:1] != _CURSOR_VERSION:
        raise InvalidInputError("cursor is not one that an earlier page gave", field="cursor")
    return UUID(bytes=found[1:])


def _cursor(identifier: UUID) -> str:
    # 17 bytes fill 24 characters, the last of them padding: kept, so that decoding is strict
    return base64.urlsafe_b64encode(_CURSOR_VERSION + identifier.bytes).decode()


def _select(columns: Any, *, ledger: bool = True) -> Select[Any]:
    """The columns of records, with the cost and the cost status that their ledger entries leave them."""
    record = request_record.c
    cost: ColumnElement[Any] = _cost() if ledger else record.cost_nanos
    status = func.coalesce(_latest_status(), record.cost_status) if ledger else record.cost_status
    return select(
        *(column for column in columns if column.name not in ("cost_nanos", "cost_status")),
        record.cost_nanos.label("rated_cost_nanos"),
        record.cost_status.label("rated_cost_status"),
        cost.label("cost_nanos"),
        status.label("cost_status"),
    )


def _cost() -> ColumnElement[Any]:
    own = request_record.c.cost_nanos
    delta = (
        select(cast(func.sum(ledger_entry.c.delta_nanos), BigInteger))
        .where(ledger_entry.c.record_id == request_record.c.id)
        .scalar_subquery()
    )
    return func.coalesce(own + delta, own, delta)


def _latest_status() -> ColumnElement[Any]:
    return (
        select(ledger_entry.c.cost_status_after)
        .where(ledger_entry.c.record_id == request_record.c.id)
        .order_by(ledger_entry.c.rating_version.desc())
        .limit(1)
        .scalar_subquery()
    )


def _known_as(identifier: str) -> ColumnElement[bool]:
    require_storable(identifier, field="request_id")
    record = request_record.c
    theirs = (record.response_id == identifier, record.upstream_request_id == identifier)
    try:
        ours = UUID(identifier)
    except ValueError:
        return or_(*theirs)
    return or_(record.id == ours, record.request_id == ours, *theirs)


def _entries(tx: Connection, ids: list[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    statement = select(ledger_entry).where(ledger_entry.c.record_id.in_(ids))
    entries: dict[UUID, list[dict[str, Any]]] = {}
    for row in tx.execute(statement.order_by(ledger_entry.c.rating_version)).mappings():
        entry = {**row, "id": str(row["id"]), "delta_usd": format_usd(int(row["delta_nanos"]))}
        entries.setdefault(entry.pop("record_id"), []).append(entry)
    return entries


def shown_row(row: RowMapping | Mapping[str, Any]) -> dict[str, Any]:
    """A row under its column names, with text ids, integer costs and the cost in USD."""
    shown = dict(row)
    shown["id"] = str(row["id"])
    shown["request_id"] = str(row["request_id"])
    cost = row["cost_nanos"]
    shown["cost_nanos"] = None if cost is None else int(cost)
    shown["cost_usd"] = None if cost is None else format_usd(int(cost))
    return shown
