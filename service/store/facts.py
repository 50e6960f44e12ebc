"""Facts about a store, one row each: set once and compared ever after."""

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from service.store.tables import store_fact


def insert_fact(tx: Connection) -> sqlite.Insert | postgresql.Insert:
    """An INSERT into `store_fact` that can say ON CONFLICT, in the dialect of the store at hand."""
    if tx.dialect.name == "postgresql":
        return postgresql.insert(store_fact)
    return sqlite.insert(store_fact)


def fact_set_once(tx: Connection, *, name: str, value: str) -> str:
    """Set the fact unless it is set already; returns what it is. Safe to race."""
    tx.execute(insert_fact(tx).values(name=name, value=value).on_conflict_do_nothing())
    found = read_fact(tx, name)
    assert found is not None  # it was there, or it is there now
    return found


def read_fact(tx: Connection, name: str) -> str | None:
    """The fact; None where it was never set."""
    found = tx.execute(select(store_fact.c.value).where(store_fact.c.name == name)).scalar()
    return None if found is None else str(found)
