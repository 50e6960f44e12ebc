"""What a store says about itself, for `doctor`: versions, clock, dead letters, prices, content. Reads only."""

from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, select, text

from service.store.content_tables import captured_content
from service.store.engine import Store
from service.store.facts import read_fact
from service.store.schema import HEAD, current_revision
from service.store.tables import dead_letter, price_card
from service.store.types import from_micros

_IMPORTED = "imported"
_FINGERPRINT = "secret_fingerprint"


class StoreHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about a store; *now* is its own clock, None on SQLite, which has none."""

    server: str
    revision: str | None
    now: datetime | None = None
    dead_letters: int = 0
    price_cards: int = 0
    price_version: str | None = None
    secret_fingerprint: str | None = None
    content_ends_at: datetime | None = None
    """When the captured content that is to go first must be gone; None where there is none."""

    @property
    def at_head(self) -> bool:
        """Whether this version of Tollkeeper can use the store."""
        return self.revision == HEAD


def store_health(store: Store) -> StoreHealth:
    """Ask the store; raises StoreUnavailableError where it cannot be reached."""
    with store.read() as tx:
        revision = current_revision(tx)
        server, now = _server(tx)
        if revision != HEAD:
            return StoreHealth(server=server, revision=revision, now=now)
        newest = (
            select(price_card.c.source_version)
            .where(price_card.c.scope == _IMPORTED)
            .order_by(price_card.c.created_at.desc(), price_card.c.source_version.desc())
            .limit(1)
        )
        return StoreHealth(
            server=server,
            revision=revision,
            now=now,
            dead_letters=tx.execute(select(func.count()).select_from(dead_letter)).scalar_one(),
            price_cards=tx.execute(select(func.count()).select_from(price_card)).scalar_one(),
            price_version=tx.execute(newest).scalar(),
            secret_fingerprint=read_fact(tx, _FINGERPRINT),
            content_ends_at=tx.scalar(select(func.min(captured_content.c.expires_at))),
        )


def _server(tx: Connection) -> tuple[str, datetime | None]:
    if tx.dialect.name == "sqlite":
        version = tx.execute(text("SELECT sqlite_version()")).scalar_one()
        return f"SQLite {version}", None
    version = tx.execute(text("SHOW server_version")).scalar_one()
    micros = tx.execute(text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"))
    return f"PostgreSQL {version}", from_micros(micros.scalar_one())
