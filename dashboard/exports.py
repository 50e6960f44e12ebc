"""Files that are streamed from a route: a download of millions of rows holds neither memory nor the store.

`/files/requests` takes the filters of `filters.from_query` and ``format``. The session is checked before this route
is reached. What is wrong with the address is a 400 in one line; what goes wrong later breaks the connection off.
"""

from collections.abc import Iterator
from itertools import chain, islice

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from dashboard.context import current
from dashboard.filters import from_query, to_query
from service.errors import InvalidInputError, StoreUnavailableError
from service.reporting.export import export_requests
from service.reporting.files import FileFormat
from service.reporting.rows import RequestFilter

PATH = "/files/requests"
FORMATS: dict[FileFormat, str] = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "jsonl": "application/jsonl",
}
_FIRST_PIECES = 2  # a CSV file begins with its header, which says nothing of the store
_logger = structlog.get_logger("tollkeeper")


def address(wanted: RequestFilter, *, file_format: FileFormat) -> str:
    """Where the file of *wanted* is."""
    return f"{PATH}?format={file_format}&{to_query(wanted)}"


def requests_file(request: Request) -> Response:
    """Every record of the filter in one file."""
    try:
        file_format = _format(request.query_params.get("format", "csv"))
        wanted = from_query(pair for pair in request.query_params.multi_items() if pair[0] != "format")
        pieces = export_requests(current().store, wanted, file_format=file_format)
        first = list(islice(pieces, _FIRST_PIECES))
    except InvalidInputError as error:
        return PlainTextResponse(f"{error}\n", 400)
    except StoreUnavailableError:
        return PlainTextResponse("The store does not answer right now; try again in a moment.\n", 503)
    name = f"tollkeeper-requests.{file_format}"
    return StreamingResponse(
        _logged(chain(first, pieces)),
        media_type=FORMATS[file_format],
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def _format(text: str) -> FileFormat:
    for known in FORMATS:
        if text == known:
            return known
    raise InvalidInputError(f"format must be one of {', '.join(FORMATS)}", field="format")


def _logged(pieces: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from pieces
    except Exception:
        _logger.exception("export_failed")
        raise


ROUTES = [Route(PATH, requests_file, methods=["GET"])]
