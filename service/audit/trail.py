"""The audit log in the store: one entry for each administrative change, in the same transaction as the change.

Entries are numbered without gaps and chained (`chain`). Whoever records waits for the lock that every change of the
configuration takes (`store.revision`), so that there is one order of entries however many processes write, and no
two transactions wait for each other.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, type_coerce, update
from sqlalchemy.types import BigInteger

from service.audit.actor import ADDRESS_LENGTH, NAME_LENGTH, TARGET_LENGTH, Actor, ActorKind, Target, label
from service.audit.chain import ChainCheck, Entry, Head, Problem, Sealed, head_seal, seal, start
from service.audit.values import canonical
from service.errors import InvalidInputError
from service.store.audit_tables import audit_entry, audit_head
from service.store.revision import lock_revision
from service.store.types import to_micros

VERIFIED_AT_ONCE = 1_000
MAX_PROBLEMS = 1_000
_COLUMNS = audit_entry.c
_FIELDS = tuple(
    type_coerce(_COLUMNS.at, BigInteger).label("at_micros") if name == "at_micros" else _COLUMNS[name]
    for name in Entry.__struct_fields__
)


class AuditedChange(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, as it is shown."""

    seq: int
    at: datetime
    actor: Actor
    action: str
    target: Target
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Change(msgspec.Struct, frozen=True):
    """What `record` is told, as a value: see there."""

    action: str
    target: Target
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries; None leaves a side open. *actor* and *target* match an id or a name, *action* may end in `*`."""

    actor: str | None = None
    actor_kind: ActorKind | None = None
    action: str | None = None
    target: str | None = None
    target_kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Verification(msgspec.Struct, frozen=True):
    """What `verify` found: how many entries there are, where they end, what is wrong (the first 1,000)."""

    entries: int
    head: Head
    problems: tuple[Problem, ...]


class AuditTrail:
    """Writes and reads the log. *key* is derived from the root secret; *now* is the wall clock (UTC)."""

    def __init__(self, key: bytes, *, now: Callable[[], datetime]) -> None:
        self._key = key
        self._now = now

    def record(
        self,
        tx: Connection,
        *,
        by: Actor,
        action: str,
        target: Target,
        before: Mapping[str, object] | None,
        after: Mapping[str, object] | None,
    ) -> None:
        """Append an entry; it is there exactly if the caller's transaction commits.

        *action* is `<kind>.<verb>`, such as `key.create`. *before* and *after* hold what changed (None where the
        thing did not exist), never a secret.
        """
        self.record_all(tx, [Change(action, target, before, after)], by=by)

    def record_all(self, tx: Connection, changes: Sequence[Change], *, by: Actor) -> None:
        """As `record`, for many changes that one order made."""
        if not changes:
            return
        lock_revision(tx)
        head, at = self._head(tx), self._now()
        rows = []
        for change in changes:
            entry = _entry(change, seq=head.seq + 1, at=at, by=by)
            sealed = seal(self._key, entry, previous=head.mac)
            head = Head(entry.seq, sealed.mac)
            row = msgspec.structs.asdict(entry) | {"at": at, "previous": sealed.previous, "mac": sealed.mac}
            del row["at_micros"]
            rows.append(row)
        tx.execute(insert(audit_entry), rows)
        self._set_head(tx, head)

    def list(
        self, tx: Connection, wanted: AuditFilter, *, limit: int, before_seq: int | None = None
    ) -> list[AuditedChange]:
        """Entries, newest first; *before_seq* is the number of the last one of the page before."""
        query = select(audit_entry).where(*_conditions(wanted)).order_by(_COLUMNS.seq.desc()).limit(limit)
        if before_seq is not None:
            query = query.where(_COLUMNS.seq < before_seq)
        return [_shown(row) for row in tx.execute(query)]

    def verify(
        self,
        tx: Connection,
        *,
        expected: Head | None = None,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Verification:
        """Check every entry, a thousand at a time; *expected* is a head noted earlier. *tx* sees one state."""
        check = ChainCheck(self._key, expected=expected)
        row = tx.execute(select(audit_head)).first()
        head = None if row is None else Head(row.seq, bytes(row.mac))
        problems: list[Problem] = []
        last = start(self._key)
        for sealed in _entries(tx):
            problems.extend(check.feed(sealed))
            del problems[MAX_PROBLEMS:]
            last = Head(sealed.entry.seq, sealed.mac)
            if check.entries % VERIFIED_AT_ONCE == 0:
                progress(check.entries, last.seq if head is None else head.seq)
        problems.extend(check.end(head, seal=None if row is None else bytes(row.seal)))
        return Verification(check.entries, last, tuple(problems[:MAX_PROBLEMS]))

    def _head(self, tx: Connection) -> Head:
        row = tx.execute(select(audit_head.c.seq, audit_head.c.mac)).first()
        return start(self._key) if row is None else Head(row.seq, bytes(row.mac))

    def _set_head(self, tx: Connection, head: Head) -> None:
        values = {"seq": head.seq, "mac": head.mac, "seal": head_seal(self._key, head)}
        if not tx.execute(update(audit_head).values(values)).rowcount:
            tx.execute(insert(audit_head).values(id=1, **values))


def parse_head(text: str) -> Head:
    """A head as `verify` prints it: `<number>:<64 hexadecimal digits>`."""
    number, _, code = text.strip().partition(":")
    try:
        mac = base64.b16decode(code, casefold=True)
    except binascii.Error:
        mac = b""
    if not (number.isascii() and number.isdigit() and len(number) < 19) or len(mac) != 32:  # noqa: PLR2004  (a BIGINT; SHA-256)
        raise InvalidInputError(
            "the expected head is not one that `tollkeeper audit verify` printed", field="expect"
        )
    return Head(int(number), mac)


def _entry(change: Change, *, seq: int, at: datetime, by: Actor) -> Entry:
    return Entry(
        seq=seq,
        at_micros=to_micros(at),
        actor_kind=by.kind,
        actor_id=label(by.id, longest=NAME_LENGTH),
        actor_name=label(by.name, longest=NAME_LENGTH),
        address=None if by.address is None else label(by.address, longest=ADDRESS_LENGTH),
        action=change.action,
        target_kind=change.target.kind,
        target_id=label(change.target.id, longest=TARGET_LENGTH),
        target_name=label(change.target.name, longest=TARGET_LENGTH),
        before=canonical(change.before),
        after=canonical(change.after),
    )


def _entries(tx: Connection) -> Iterator[Sealed]:
    """All of them, oldest first, read a page at a time."""
    query = select(*_FIELDS, _COLUMNS.previous, _COLUMNS.mac).order_by(_COLUMNS.seq).limit(VERIFIED_AT_ONCE)
    page = tx.execute(query).all()
    while page:
        for row in page:
            facts = dict(row._mapping)  # noqa: SLF001  (SQLAlchemy's public name for a row's mapping)
            previous, mac = bytes(facts.pop("previous")), bytes(facts.pop("mac"))
            yield Sealed(Entry(**facts), previous, mac)
        page = tx.execute(query.where(_COLUMNS.seq > page[-1].seq)).all()


def _conditions(wanted: AuditFilter) -> Iterator[Any]:
    if wanted.actor is not None:
        yield (_COLUMNS.actor_id == wanted.actor) | (_COLUMNS.actor_name == wanted.actor)
    if wanted.target is not None:
        yield (_COLUMNS.target_id == wanted.target) | (_COLUMNS.target_name == wanted.target)
    if wanted.actor_kind is not None:
        yield _COLUMNS.actor_kind == wanted.actor_kind
    if wanted.target_kind is not None:
        yield _COLUMNS.target_kind == wanted.target_kind
    if wanted.action is not None:
        if wanted.action.endswith("*"):
            yield _COLUMNS.action.startswith(wanted.action[:-1], autoescape=True)
        else:
            yield _COLUMNS.action == wanted.action
    if wanted.since is not None:
        yield _COLUMNS.at >= wanted.since
    if wanted.until is not None:
        yield _COLUMNS.at < wanted.until


def _shown(row: Row[Any]) -> AuditedChange:
    return AuditedChange(
        seq=row.seq,
        at=row.at,
        actor=Actor(row.actor_kind, row.actor_id, row.actor_name, row.address),
        action=row.action,
        target=Target(row.target_kind, row.target_id, row.target_name),
        before=_json(row.before),
        after=_json(row.after),
    )


def _json(text: str | None) -> dict[str, Any] | None:
    """What was stored; a text that somebody spoilt is shown as it is, `verify` says so."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {"unreadable": text}
