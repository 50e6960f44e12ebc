"""What the store must be asked about a price before it is set; the admin API and the command line ask the same."""

from sqlalchemy import Connection

from service.errors import InvalidInputError, NotFoundError
from service.keys.registry import KeyRegistry
from service.pricing.card import PriceCard
from service.reporting.dimensions import require_storable


def require_possible(tx: Connection, card: PriceCard, *, keys: KeyRegistry) -> None:
    """Refuse a price for a key that does not exist: it would never hold."""
    if card.scope == "key" and card.scope_id is not None:
        try:
            keys.get(tx, card.scope_id)
        except NotFoundError as error:
            raise InvalidInputError(f"scope_id: {error}", field="scope_id") from error


def storable(text: str | None, *, field: str) -> str | None:
    """*text* as it is, if a store can hold it."""
    if text is not None:
        require_storable(text, field=field)
    return text
