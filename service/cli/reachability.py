"""Whether the upstreams answer: `GET {base_url}/models` with the configured key, all at once."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime

import msgspec

from service.cli.findings import Finding
from service.errors import UpstreamError
from service.settings import UpstreamSettings
from service.upstream.client import Head, Timeouts, UpstreamClient, UpstreamRequest, make_client

_TIMEOUTS = Timeouts(connect_s=5.0, first_byte_s=10.0, idle_s=5.0, total_s=15.0)
_REFUSED = (401, 403)
_BROKEN = 500


class Reached(msgspec.Struct, frozen=True):
    """What one upstream answered, and the time by its clock."""

    finding: Finding
    clock: datetime | None = None


def reach(upstreams: Sequence[UpstreamSettings]) -> list[Reached]:
    """Ask every upstream."""
    return asyncio.run(_reach(upstreams))


async def _reach(upstreams: Sequence[UpstreamSettings]) -> list[Reached]:
    client = make_client()
    try:
        return list(await asyncio.gather(*(_ask(client, upstream) for upstream in upstreams)))
    finally:
        await client.aclose()


async def _ask(client: UpstreamClient, upstream: UpstreamSettings) -> Reached:
    check = f"upstream {upstream.name}"
    headers = [(b"accept", b"application/json"), (b"accept-encoding", b"identity")]
    if upstream.api_key is not None:
        headers.append((b"authorization", b"Bearer " + upstream.api_key.reveal().encode()))
    request = UpstreamRequest("GET", f"{upstream.base_url}/models", headers, b"")
    call = client.call(request, timeouts=_TIMEOUTS)
    try:
        head = await call.head()
    except UpstreamError as error:
        return Reached(Finding(check, "problem", f"{upstream.base_url} does not answer: {error}"))
    finally:
        await call.release()
    return Reached(_judged(head, check=check, upstream=upstream), _clock(head))


def _judged(head: Head, *, check: str, upstream: UpstreamSettings) -> Finding:
    if head.status in _REFUSED:
        return Finding(check, "problem", f"{upstream.base_url} refuses the key with status {head.status}")
    if head.status >= _BROKEN:
        return Finding(check, "warning", f"{upstream.base_url} answers with status {head.status}")
    return Finding(check, "ok", f"{upstream.base_url} answers (status {head.status} to GET /models)")


def _clock(head: Head) -> datetime | None:
    for name, value in head.headers:
        if name.lower() == b"date":
            try:
                found = parsedate_to_datetime(value.decode("latin-1"))
            except ValueError:
                return None
            return found if found.tzinfo is not None else None
    return None
