"""Query parameters that the resources of alerts share."""

from collections.abc import Iterable
from typing import Annotated, Any
from uuid import UUID

from litestar import Request
from litestar.params import QueryParameter

from service.admin.paging import read_cursor
from service.alerts.event_log import parse_id
from service.errors import InvalidInputError

Limit = Annotated[int, QueryParameter(description="Rows of a page, 1 to 1000.")]
Cursor = Annotated[str | None, QueryParameter(description="`next` of the page before.")]
Plain = Request[Any, Any, Any]


def refuse_unknown(request: Plain, *, known: Iterable[str]) -> None:
    """A filter with a typing error would silently show everything."""
    for name, _value in request.query_params.multi_items():
        if name not in known:
            raise InvalidInputError(f"{name[:100]!r} is not a parameter of this resource", field=name[:100])


def before(cursor: str | None) -> UUID | None:
    """The id of the last row of the page before."""
    position = read_cursor(cursor)
    return None if position is None else parse_id(position[1], what="a cursor's row")
