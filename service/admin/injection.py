"""How the handlers of the admin API receive their collaborators."""

from typing import Any

from litestar import Request
from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation

from service.admin.context import AdminContext
from service.audit.actor import Actor

Admin = NamedDependency[SkipValidation[AdminContext]]
By = NamedDependency[SkipValidation[Actor]]


def provided(context: AdminContext) -> dict[str, Provide]:
    """The arguments that handlers may take: `admin`, and `by`, who asks, as the guard found out."""
    return {
        "admin": Provide(lambda: context, sync_to_thread=False),
        "by": Provide(_who_asks, sync_to_thread=False),
    }


def _who_asks(request: Request[Any, Any, Any]) -> Actor:
    found: Actor = request.scope["user"]
    return found
