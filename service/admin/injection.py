"""How the handlers of the admin API receive their collaborators."""

from typing import Annotated

from litestar.di import Provide
from litestar.params import Dependency

from service.admin.context import AdminContext

Admin = Annotated[AdminContext, Dependency(skip_validation=True)]


def provided(context: AdminContext) -> dict[str, Provide]:
    """The `admin` argument of every handler."""
    return {"admin": Provide(lambda: context, sync_to_thread=False)}
