"""`tollkeeper requests`: the log, newest first, and one request whole."""

from typing import Any

import click

from service.cli.filters import filter_options, narrowed
from service.cli.options import json_option, store_options
from service.cli.output import print_fields, print_json, print_table
from service.cli.session import load_settings, open_store, utc_now
from service.reporting.key_names import with_key_ids
from service.reporting.rows import Page, RequestFilter, get_request, list_requests
from service.store.engine import Store

_SHOWN = (
    "started_at",
    "request_id",
    "key_name",
    "upstream",
    "requested_model",
    "outcome",
    "http_status",
    "input_tokens",
    "output_tokens",
    "usage_source",
    "cost_usd",
    "cost_status",
    "duration_ms",
    "repeat_count",
)
_NUMBERS = ("http_status", "input_tokens", "output_tokens", "cost_usd", "duration_ms", "repeat_count")


@click.command()
@click.argument("request_id", required=False)
@click.option("--limit", default=20, show_default=True, help="Rows to print, at most 1000.")
@click.option("--cursor", help="Go on after the page that gave this cursor.")
@click.option("--final", "final_only", is_flag=True, help="Only the attempt whose answer the client got.")
@filter_options
@store_options
@json_option
def requests(request_id: str | None, *, as_json: bool, **options: Any) -> None:
    """The log of requests, one row per attempt; with REQUEST_ID, all about one.

    usage_source says who counted the tokens: the provider, we (`estimated`), or nobody. repeat_count is how often one
    refusal happened within a minute.
    """
    settings = load_settings(options["config"], store_url=options["store_url"], data_dir=options["data_dir"])
    with open_store(settings) as store:
        if request_id is not None:
            _print_one(store, request_id, as_json=as_json)
            return
        asked = narrowed(options, timezone=settings.accounting.reporting_timezone, now=utc_now())
        with store.read() as tx:
            wanted = RequestFilter(
                since=asked.since,
                until=asked.until,
                filters=with_key_ids(tx, asked.filters),
                final_only=options["final_only"],
            )
        page = _page(store, wanted, limit=options["limit"], cursor=options["cursor"])
    if as_json:
        print_json({"data": page.data, "next": page.next})
        return
    print_table(_SHOWN, ([row[name] for name in _SHOWN] for row in page.data), right=_NUMBERS)
    if page.next is not None:
        click.echo(f"\nMore: --cursor {page.next}", err=True)


def _page(store: Store, wanted: RequestFilter, *, limit: int, cursor: str | None) -> Page:
    """A full page, or the last one: a search goes on where one page may look no further."""
    found: list[dict[str, Any]] = []
    while True:
        with store.read() as tx:
            page = list_requests(tx, wanted, limit=limit - len(found), cursor=cursor)
        found += page.data
        cursor = page.next
        if cursor is None or len(found) == limit:
            return Page(tuple(found), cursor)


def _print_one(store: Store, request_id: str, *, as_json: bool) -> None:
    with store.read() as tx:
        found = get_request(tx, request_id)
    if as_json:
        print_json(found)
        return
    for number, attempt in enumerate(found["attempts"]):
        if number:
            click.echo()
        print_fields((name, value) for name, value in attempt.items() if value not in (None, []))
