"""Keys by their names, where a person names them: names are not unique, so one may stand for several keys."""

from sqlalchemy import Connection, or_, select

from service.errors import InvalidInputError
from service.reporting.dimensions import Filters
from service.store.tables import virtual_key

KEY = "key"
ID_PREFIX = "key_"


def with_key_ids(tx: Connection, filters: Filters) -> Filters:
    """*filters* with the ids of the keys that are named; raises InvalidInputError for one that nobody has."""
    if KEY not in filters:
        return filters
    ids: dict[str, None] = {}
    for wanted in filters[KEY]:
        named = or_(virtual_key.c.id == wanted, virtual_key.c.name == wanted)
        found = tx.scalars(select(virtual_key.c.id).where(named).order_by(virtual_key.c.id)).all()
        if not found and wanted.startswith(ID_PREFIX):
            found = [wanted]  # of records that came without their keys
        if not found:
            raise InvalidInputError(
                f"no key has the id or name {wanted[:100]!r}; see: tollkeeper keys list --all", field=KEY
            )
        ids.update(dict.fromkeys(found))
    return {**filters, KEY: tuple(ids)}
