"""How the handlers of the admin API receive their collaborators."""

from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation

from service.admin.context import AdminContext

Admin = NamedDependency[SkipValidation[AdminContext]]


def provided(context: AdminContext) -> dict[str, Provide]:
    """The `admin` argument of every handler."""
    return {"admin": Provide(lambda: context, sync_to_thread=False)}
