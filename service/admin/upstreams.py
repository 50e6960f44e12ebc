"""`/admin/v1/upstreams`: the upstreams of the settings, without their keys. Read-only: they live in a file."""

from typing import Annotated

from litestar import get
from litestar.params import PathParameter

from service.admin.injection import Admin
from service.admin.paging import Page
from service.errors import NotFoundError
from service.upstream.view import UpstreamView


@get("/upstreams", sync_to_thread=False, summary="List upstreams, first choice first")
def list_upstreams(admin: Admin) -> Page[UpstreamView]:
    """As this relay was started with them."""
    listed = sorted(admin.upstreams, key=lambda upstream: upstream.priority)
    return Page([UpstreamView.of(upstream) for upstream in listed], None)


@get("/upstreams/{name:str}", sync_to_thread=False, summary="Show an upstream")
def show_upstream(
    admin: Admin, name: Annotated[str, PathParameter(description="The upstream's name.")]
) -> UpstreamView:
    """Without its key, which nothing shows."""
    for upstream in admin.upstreams:
        if upstream.name == name:
            return UpstreamView.of(upstream)
    raise NotFoundError(f"no upstream is named {name[:100]!r}")
