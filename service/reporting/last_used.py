"""When each virtual key was last used: the beginning of its newest record, found by the index, not by a scan."""

from datetime import datetime

from sqlalchemy import Connection, select

from service.store.tables import request_record, virtual_key


def last_used(tx: Connection) -> dict[str, datetime]:
    """By key id; keys without a record are not in it."""
    record = request_record.c
    newest = (
        select(record.started_at)
        .where(record.key_id == virtual_key.c.id)
        .order_by(record.id.desc())
        .limit(1)
        .scalar_subquery()
        .label("at")
    )
    rows = tx.execute(select(virtual_key.c.id, newest))
    return {str(row.id): row.at for row in rows if row.at is not None}
