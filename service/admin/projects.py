"""`/admin/v1/projects`: projects, whose members are the virtual keys that name them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from sqlalchemy import Connection

from service.admin.context import AdminContext
from service.admin.injection import Admin, By
from service.admin.paging import DEFAULT_PAGE, Page, check_limit, read_cursor, write_cursor
from service.keys.projects import NewProject, Project, ProjectChanges, count_keys

CREATED = 201
OK = 200
ProjectId = Annotated[str, PathParameter(description="The project's id, as `prj_…`, or its name.")]


class ProjectView(msgspec.Struct, frozen=True, kw_only=True):
    """A project. *limits* hold for all its keys together; *keys* counts those that are not revoked."""

    id: str
    name: str
    metadata: dict[str, Any] | None
    limits: dict[str, int] | None
    capture: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    keys: int


@post("/projects", sync_to_thread=True, status_code=CREATED, summary="Create a project")
def create_project(admin: Admin, by: By, *, data: JSONBody[NewProject]) -> ProjectView:
    """A key that names a project which is not there makes it too; here it gets limits and metadata at once."""
    with admin.store.write() as tx:
        [view] = _views(tx, [admin.projects.create(tx, data, by=by)])
    admin.take_over()
    return view


@get("/projects", sync_to_thread=True, summary="List projects, newest first")
def list_projects(
    admin: Admin,
    *,
    archived: Annotated[bool, QueryParameter(description="Archived projects too.")] = True,
    limit: Annotated[int, QueryParameter(description="Rows of a page, 1 to 1000.")] = DEFAULT_PAGE,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
) -> Page[ProjectView]:
    """Archived projects are among them, unless `archived=false`."""
    after = read_cursor(cursor)
    with admin.store.read() as tx:
        found = admin.projects.list(tx, limit=check_limit(limit) + 1, after=after, archived=archived)
        page = _views(tx, found[:limit])
    more = len(found) > limit
    return Page(page, write_cursor(page[-1].created_at, page[-1].id) if more else None)


@get("/projects/{project_id:str}", sync_to_thread=True, summary="Show a project")
def get_project(admin: Admin, project_id: ProjectId) -> ProjectView:
    """By its id or its name; a name with a slash in it cannot stand in a path."""
    with admin.store.read() as tx:
        return _views(tx, [admin.projects.find(tx, project_id)])[0]


@patch("/projects/{project_id:str}", sync_to_thread=True, summary="Change a project")
def update_project(
    admin: Admin, by: By, *, project_id: ProjectId, data: JSONBody[ProjectChanges]
) -> ProjectView:
    """Fields that are absent stay; null clears. New limits are in force on every relay within 2 seconds."""
    with admin.store.write() as tx:
        changed = admin.projects.update(tx, project_id, changes=data, by=by)
        [view] = _views(tx, [changed])
    return _taken_over(admin, view)


@delete("/projects/{project_id:str}", sync_to_thread=True, status_code=OK, summary="Archive a project")
def archive_project(admin: Admin, by: By, *, project_id: ProjectId) -> ProjectView:
    """Its keys are refused on every relay within 2 seconds. Its records, prices and budgets stay."""
    with admin.store.write() as tx:
        [view] = _views(tx, [admin.projects.archive(tx, project_id, by=by)])
    return _taken_over(admin, view)


@post(
    "/projects/{project_id:str}/restore",
    sync_to_thread=True,
    status_code=OK,
    summary="Take an archived project into use again",
)
def restore_project(admin: Admin, by: By, *, project_id: ProjectId) -> ProjectView:
    """Its keys work again, but for those that were revoked or have expired."""
    with admin.store.write() as tx:
        [view] = _views(tx, [admin.projects.restore(tx, project_id, by=by)])
    return _taken_over(admin, view)


def _taken_over(admin: AdminContext, view: ProjectView) -> ProjectView:
    admin.take_over()
    return view


def _views(tx: Connection, found: Sequence[Project]) -> list[ProjectView]:
    counts = count_keys(tx, [project.name for project in found])
    return [
        ProjectView(**msgspec.structs.asdict(project), keys=counts.get(project.name, 0)) for project in found
    ]
