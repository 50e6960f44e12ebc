"""`/admin/v1/requests/{id}/content` and `/admin/v1/content`: what was asked and answered, where projects keep it.

Only admins see content, and whenever one does it is in the audit log.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get
from litestar.params import PathParameter, QueryParameter

from service.admin.guard import ADMINS_ONLY
from service.admin.injection import Admin, By
from service.admin.parameters import optional_instant
from service.content.captured import ContentFilter, ProjectContent
from service.content.parts import Part
from service.content.registry import ShownContent
from service.errors import InvalidInputError
from service.reporting.intervals import time_zone

OK = 200
_NAMES = ("end_user", "project", "key_id", "before")


class PartView(msgspec.Struct, frozen=True, kw_only=True):
    """A request or an answer: *body* is JSON where it was JSON, else text; *bytes* its length as it crossed the relay.

    *events* of a stream, which is shown put together. *whole* false: something is missing, it was cut or broke off.
    """

    body: Any
    bytes: int
    events: int | None
    whole: bool
    redacted: dict[str, int]

    @classmethod
    def of(cls, part: Part) -> "PartView":
        """The part as it is shown."""
        return cls(
            body=msgspec.json.decode(part.text) if part.is_json else part.text,
            bytes=part.size,
            events=part.events,
            whole=part.is_whole,
            redacted=part.redacted,
        )


class ContentView(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked and answered, without what was redacted. *answer* is null where none came."""

    request_id: str
    record_id: str
    project: str
    key_id: str
    end_user: str | None
    captured_at: datetime
    expires_at: datetime
    request: PartView
    answer: PartView | None

    @classmethod
    def of(cls, shown: ShownContent) -> "ContentView":
        """The content as it is shown."""
        answer = shown.content.answer
        return cls(
            request_id=str(shown.request_id),
            record_id=str(shown.record_id),
            project=shown.project,
            key_id=shown.key_id,
            end_user=shown.end_user,
            captured_at=shown.captured_at,
            expires_at=shown.expires_at,
            request=PartView.of(shown.content.request),
            answer=None if answer is None else PartView.of(answer),
        )


class ContentCounts(msgspec.Struct, frozen=True):
    """How much content there is, by project."""

    data: list[ProjectContent]
    next: None = None


class Deleted(msgspec.Struct, frozen=True):
    """Of how many requests the content was deleted."""

    deleted: int


@get(
    "/requests/{request_id:str}/content",
    sync_to_thread=True,
    opt=ADMINS_ONLY,
    summary="Show what was asked and answered",
)
def get_content(
    admin: Admin,
    by: By,
    *,
    request_id: Annotated[str, PathParameter(description="Id of the request or of its last attempt.")],
) -> ContentView:
    """Only for the role `admin`; each reading is in the audit log. 404 where the project keeps nothing."""
    with admin.store.write() as tx:
        return ContentView.of(admin.content.read(tx, request_id, by=by))


@get("/content", sync_to_thread=True, summary="Count captured content by project")
def count_content(admin: Admin) -> ContentCounts:
    """How many requests, how many bytes as they are stored, the oldest and the newest."""
    with admin.store.read() as tx:
        return ContentCounts(admin.content.count(tx))


@delete("/content", sync_to_thread=True, status_code=OK, summary="Delete captured content")
def delete_content(  # noqa: PLR0913  (one argument for each query parameter)
    admin: Admin,
    by: By,
    request: Request[Any, Any, Any],
    *,
    end_user: Annotated[str | None, QueryParameter(description="Of this end user.")] = None,
    project: Annotated[str | None, QueryParameter(description="Of this project, by its name.")] = None,
    key_id: Annotated[str | None, QueryParameter(description="Of this key, by its id.")] = None,
    before: Annotated[str | None, QueryParameter(description="Instant or day, exclusive.")] = None,
) -> Deleted:
    """What all given parameters name; at least one is needed. Records and costs stay."""
    for name, _value in request.query_params.multi_items():
        if name not in _NAMES:
            raise InvalidInputError(f"{name[:100]!r} is not a parameter of this resource", field=name[:100])
    zone = time_zone(admin.reporting_timezone)
    wanted = ContentFilter(
        end_user=end_user,
        project=project,
        key_id=key_id,
        before=optional_instant(before, field="before", zone=zone),
    )
    return Deleted(admin.content.delete(admin.store, wanted, by=by))
