"""Who may do what with captured content: show it, delete it, let it expire, seal it with a new key.

Showing and deleting are audited in the same transaction, so that no door can forget it. What may touch many rows takes
many short transactions; a deletion is in the audit log before its first row is gone.
"""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection

from service.audit.actor import Actor, Target
from service.audit.trail import AuditTrail
from service.content.captured import (
    ContentFilter,
    ProjectContent,
    SealedContent,
    count,
    count_by_project,
    delete_some,
    expired,
    find_content,
    generation_of,
    matching,
    replace_sealed,
    sealed_before,
    set_generation,
)
from service.content.parts import Content
from service.content.vault import Vault
from service.errors import InvalidInputError, NotFoundError
from service.store.engine import Store
from service.store.revision import lock_revision

AT_ONCE = 500


class ShownContent(msgspec.Struct, frozen=True, kw_only=True):
    """The content of one request, and whose it is."""

    record_id: UUID
    request_id: UUID
    project: str
    key_id: str
    end_user: str | None
    captured_at: datetime
    expires_at: datetime
    content: Content


class ContentRegistry:
    """The captured content of a store. *now* is the wall clock (UTC)."""

    def __init__(self, vault: Vault, *, trail: AuditTrail, now: Callable[[], datetime]) -> None:
        self._vault = vault
        self._trail = trail
        self._now = now

    def read(self, tx: Connection, identifier: str, *, by: Actor) -> ShownContent:
        """The content of the request with this id, or whose record has it; *tx* writes that *by* has seen it.

        Raises:
            NotFoundError: nothing was captured, or its time is over, or it was deleted.
            ContentUnreadableError: it is not what was captured.
        """
        found = find_content(tx, _uuid(identifier), now=self._now())
        if found is None:
            raise _none(identifier)
        identifier = str(found.request_id)
        target = Target("content", identifier, identifier)
        whose = {"project": found.project, "key_id": found.key_id, "end_user": found.end_user}
        self._trail.record(tx, by=by, action="content.read", target=target, before=None, after=whose)
        return self._opened(found)

    def has(self, tx: Connection, identifier: str) -> bool:
        """Whether there is content to be read, which tells nothing of it."""
        return find_content(tx, _uuid(identifier), now=self._now()) is not None

    def delete(self, store: Store, wanted: ContentFilter, *, by: Actor) -> int:
        """Delete all content of *wanted*; returns of how many requests."""
        condition = matching(wanted)
        with store.write() as tx:
            lock_revision(tx)
            found = count(tx, condition)
            target = Target("content", str(wanted), str(wanted))
            before = {**msgspec.to_builtins(wanted), "requests": found}
            self._trail.record(tx, by=by, action="content.delete", target=target, before=before, after=None)
            deleted = delete_some(tx, condition, at_most=AT_ONCE)
        return deleted + (_delete_all(store, condition) if deleted == AT_ONCE else 0)

    def purge(self, store: Store) -> int:
        """Delete what has expired; returns of how many requests. The keeper does so by itself."""
        with store.read() as tx:
            condition = expired(tx, now=self._now())
            if not count(tx, condition):
                return 0
        return _delete_all(store, condition)

    def count(self, tx: Connection) -> list[ProjectContent]:
        """How much there is, by project."""
        return count_by_project(tx)

    def rotate(self, store: Store, *, by: Actor) -> int:
        """Seal everything with a new key, and what comes too; returns of how many requests."""
        with store.write() as tx:
            lock_revision(tx)
            before = generation_of(tx)
            set_generation(tx, before + 1)
            target = Target("content", "key", "key of captured content")
            facts = {"generation": before}, {"generation": before + 1}
            self._trail.record(
                tx, by=by, action="content.rotate_key", target=target, before=facts[0], after=facts[1]
            )
        return self._reseal(store, before + 1)

    def _reseal(self, store: Store, generation: int) -> int:
        done = 0
        last = None
        while True:
            with store.write() as tx:
                rows = sealed_before(tx, generation, after=last, at_most=AT_ONCE // 10)
                for row in rows:
                    sealed = self._vault.reseal(
                        row.sealed, record_id=row.record_id, generations=(row.sealed_with, generation)
                    )
                    replace_sealed(tx, row, sealed=sealed, generation=generation)
            if not rows:
                return done
            done, last = done + len(rows), rows[-1].record_id

    def _opened(self, row: SealedContent) -> ShownContent:
        content = self._vault.open(row.sealed, record_id=row.record_id, generation=row.sealed_with)
        facts = msgspec.structs.asdict(row)
        del facts["sealed"], facts["sealed_with"]
        return ShownContent(**facts, content=content)


def _delete_all(store: Store, condition: ColumnElement[bool]) -> int:
    total = 0
    deleted = AT_ONCE
    while deleted == AT_ONCE:
        with store.write() as tx:
            deleted = delete_some(tx, condition, at_most=AT_ONCE)
        total += deleted
    return total


def _uuid(identifier: str) -> UUID:
    try:
        return UUID(identifier)
    except ValueError as error:
        raise InvalidInputError(f"{identifier[:100]!r} is not a request id", field="id") from error


def _none(identifier: str) -> NotFoundError:
    return NotFoundError(
        f"there is no content of {identifier}: none was captured (projects decide that), or it was deleted since"
    )
