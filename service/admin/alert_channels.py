"""`/admin/v1/alerts/channels`: where messages go. What is secret of a channel comes in and never leaves."""

from typing import Annotated

from litestar import delete, get, patch, post
from litestar.params import JSONBody, PathParameter

from service.admin.alert_pages import Cursor, Limit, Plain, refuse_unknown
from service.admin.injection import Admin, By
from service.admin.paging import DEFAULT_PAGE, Page, check_limit, read_cursor, write_cursor
from service.alerts.channel_values import ChannelChanges, NewChannel, prepared, prepared_changes
from service.alerts.views import ChannelView, NewChannelView, TestView

CREATED = 201
OK = 200
ACCEPTED = 202
ChannelId = Annotated[str, PathParameter(description="The channel's id, as `chn_…`.")]


@post("/alerts/channels", sync_to_thread=True, status_code=CREATED, summary="Create a channel")
def create_channel(admin: Admin, by: By, *, data: JSONBody[NewChannel]) -> NewChannelView:
    """The answer holds a webhook's `secret`. It cannot be shown again."""
    channels = admin.alerts.channels
    judged = prepared(data, guard=channels.guard, random_bytes=channels.random_bytes)
    with admin.store.write() as tx:
        made = channels.create(tx, judged, by=by)
    return NewChannelView.of(made, secret=judged.signing_secret)


@get("/alerts/channels", sync_to_thread=True, summary="List channels, newest first")
def list_channels(
    admin: Admin, request: Plain, *, limit: Limit = DEFAULT_PAGE, cursor: Cursor = None
) -> Page[ChannelView]:
    """Without their secrets."""
    refuse_unknown(request, known=("limit", "cursor"))
    after = read_cursor(cursor)
    with admin.store.read() as tx:
        found = admin.alerts.channels.list(tx, limit=check_limit(limit) + 1, after=after)
    page = found[:limit]
    more = len(found) > limit
    return Page(
        [ChannelView.of(one) for one in page],
        write_cursor(page[-1].created_at, page[-1].id) if more else None,
    )


@get("/alerts/channels/{channel_id:str}", sync_to_thread=True, summary="Show a channel")
def get_channel(admin: Admin, channel_id: ChannelId) -> ChannelView:
    """Without its secrets."""
    with admin.store.read() as tx:
        return ChannelView.of(admin.alerts.channels.get(tx, channel_id))


@patch("/alerts/channels/{channel_id:str}", sync_to_thread=True, summary="Change a channel")
def update_channel(
    admin: Admin, by: By, *, channel_id: ChannelId, data: JSONBody[ChannelChanges]
) -> ChannelView:
    """Its name, or where it leads."""
    channels = admin.alerts.channels
    with admin.store.read() as tx:
        kind = channels.get(tx, channel_id).kind
    judged = prepared_changes(kind, data, guard=channels.guard)
    with admin.store.write() as tx:
        return ChannelView.of(channels.update(tx, channel_id, changes=judged, by=by))


@post(
    "/alerts/channels/{channel_id:str}/rotate",
    sync_to_thread=True,
    status_code=OK,
    summary="Give a webhook a new secret",
)
def rotate_channel(admin: Admin, by: By, *, channel_id: ChannelId) -> NewChannelView:
    """The answer holds the new `secret`. For a day messages are signed with the old one too."""
    with admin.store.write() as tx:
        found, secret = admin.alerts.channels.rotate(tx, channel_id, by=by)
    return NewChannelView.of(found, secret=secret)


@post(
    "/alerts/channels/{channel_id:str}/test",
    sync_to_thread=True,
    status_code=ACCEPTED,
    summary="Send a test message",
)
def test_channel(admin: Admin, by: By, *, channel_id: ChannelId) -> TestView:
    """The keeper sends it within a second; the delivery says how it went."""
    with admin.store.write() as tx:
        return TestView(admin.alerts.put_test(tx, channel_id, by=by))


@delete("/alerts/channels/{channel_id:str}", sync_to_thread=True, status_code=OK, summary="Delete a channel")
def delete_channel(admin: Admin, by: By, *, channel_id: ChannelId) -> ChannelView:
    """Its secrets are forgotten, and what waits for it is given up."""
    with admin.store.write() as tx:
        found = admin.alerts.channels.get(tx, channel_id)
        admin.alerts.channels.delete(tx, channel_id, by=by)
    return ChannelView.of(found)


ROUTES = (
    create_channel,
    list_channels,
    get_channel,
    update_channel,
    rotate_channel,
    test_channel,
    delete_channel,
)
