"""The audit log in the store, on SQLite and PostgreSQL: written with the change, read in pages, verified."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import Connection, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from service.audit.actor import Actor, Target
from service.audit.chain import Head
from service.audit.trail import AuditedChange, AuditFilter, AuditTrail, parse_head
from service.errors import InvalidInputError
from service.store.audit_tables import audit_entry, audit_head
from service.store.engine import Store
from service.store.revision import bump_revision
from tests.audit.conftest import KEY
from tests.support.clock import HandClock

OPS = Actor("admin_key", "pub1", "ops", "192.0.2.7")
CLI = Actor.command_line(user="root", host="gate-1")


def write(store: Store, trail: AuditTrail, *names: str, by: Actor = OPS, action: str = "key.update") -> None:
    for name in names:
        with store.write() as tx:
            trail.record(
                tx,
                by=by,
                action=action,
                target=Target("key", f"key_{name}", name),
                before={"name": "old"},
                after={"name": name},
            )


def read(store: Store, trail: AuditTrail, **wanted: object) -> list[AuditedChange]:
    with store.read() as tx:
        return trail.list(tx, AuditFilter(**wanted), limit=100)  # type: ignore[arg-type]  # names come from the test


@contextmanager
def unprotected(store: Store) -> Iterator[Connection]:
    """As somebody who owns the database and removes what stands in the way."""
    with store.write() as tx:
        if store.is_sqlite:
            tx.execute(text("DROP TRIGGER audit_entry_no_update"))
            tx.execute(text("DROP TRIGGER audit_entry_no_delete"))
        else:
            tx.execute(text("DROP TRIGGER audit_entry_stays ON audit_entry"))
        yield tx


def found(store: Store, trail: AuditTrail, *, expected: Head | None = None) -> list[tuple[int, str]]:
    with store.read() as tx:
        verification = trail.verify(tx, expected=expected)
    return [(problem.seq, problem.finding) for problem in verification.problems]


def test_an_entry_reads_back_as_written(store: Store, trail: AuditTrail, clock: HandClock) -> None:
    with store.write() as tx:
        trail.record(
            tx,
            by=OPS,
            action="key.create",
            target=Target("key", "key_1", "batch é"),
            before=None,
            after={"name": "batch é", "models": ["gpt-*"], "expires_at": clock.now()},
        )
    assert read(store, trail) == [
        AuditedChange(
            seq=1,
            at=clock.now(),
            actor=OPS,
            action="key.create",
            target=Target("key", "key_1", "batch é"),
            before=None,
            after={"name": "batch é", "models": ["gpt-*"], "expires_at": "2026-03-01T12:00:00Z"},
        )
    ]


def test_entry_and_change_live_and_die_together(store: Store, trail: AuditTrail) -> None:
    write(store, trail, "a")
    with store.write() as tx:
        trail.record(tx, by=OPS, action="key.revoke", target=Target("key", "k", "k"), before={}, after={})
        tx.get_transaction().rollback()  # type: ignore[union-attr]  # a transaction is open here
    write(store, trail, "b")
    assert [(change.seq, change.target.name) for change in read(store, trail)] == [(2, "b"), (1, "a")]
    assert found(store, trail) == []


def test_pages_go_from_the_newest_to_the_oldest(store: Store, trail: AuditTrail) -> None:
    write(store, trail, *"abcdefg")
    names, before = [], None
    with store.read() as tx:
        while page := trail.list(tx, AuditFilter(), limit=3, before_seq=before):
            names += [change.target.name for change in page]
            before = page[-1].seq
    assert names == list("gfedcba")


def test_filters(store: Store, trail: AuditTrail, clock: HandClock) -> None:
    start = clock.now()
    write(store, trail, "a", action="key.create")
    clock.advance(timedelta(hours=1))
    write(store, trail, "b", by=CLI)
    clock.advance(timedelta(hours=1))
    write(store, trail, "c", action="keyring.create")
    for wanted, names in (
        ({}, "cba"),
        ({"actor": "ops"}, "ca"),
        ({"actor": "root@gate-1"}, "b"),
        ({"actor_kind": "command_line"}, "b"),
        ({"action": "key.create"}, "a"),
        ({"action": "key.*"}, "ba"),
        ({"action": "k_y.*"}, ""),
        ({"action": "*"}, "cba"),
        ({"target": "key_b"}, "b"),
        ({"target": "c"}, "c"),
        ({"target_kind": "price"}, ""),
        ({"since": start + timedelta(hours=1)}, "cb"),
        ({"until": start + timedelta(hours=1)}, "a"),
        ({"actor": "ops", "action": "key.*", "since": start}, "a"),
    ):
        assert (wanted, [c.target.name for c in read(store, trail, **wanted)]) == (wanted, list(names))


def test_the_store_refuses_to_change_or_delete_an_entry(store: Store, trail: AuditTrail) -> None:
    write(store, trail, "a")
    for statement in (update(audit_entry).values(action="x"), delete(audit_entry)):
        with pytest.raises(DBAPIError, match="the audit log only grows"), store.write() as tx:
            tx.execute(statement)
    if not store.is_sqlite:
        with pytest.raises(DBAPIError, match="the audit log only grows"), store.write() as tx:
            tx.execute(text("TRUNCATE audit_entry"))
    assert len(read(store, trail)) == 1


def test_a_log_of_several_pages_is_whole(
    store: Store, trail: AuditTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.audit.trail.VERIFIED_AT_ONCE", 3)
    write(store, trail, *"abcdefgh")
    told: list[tuple[int, int]] = []
    with store.read() as tx:
        verification = trail.verify(tx, progress=lambda done, total: told.append((done, total)))
        (mac,) = tx.execute(select(audit_entry.c.mac).where(audit_entry.c.seq == 8)).one()
    assert (verification.entries, verification.problems) == (8, ())
    assert verification.head == Head(8, bytes(mac)) == parse_head(str(verification.head))
    assert told == [(3, 8), (6, 8)]


def test_an_empty_log_is_whole(store: Store, trail: AuditTrail) -> None:
    with store.read() as tx:
        verification = trail.verify(tx)
    assert (verification.entries, verification.head.seq, verification.problems) == (0, 0, ())


def test_another_key_recognises_nothing(store: Store, trail: AuditTrail, clock: HandClock) -> None:
    write(store, trail, "a", "b")
    other = AuditTrail(b"another key", now=clock.now)
    assert found(store, other) == [(1, "changed"), (2, "changed"), (2, "head")]


def test_verify_finds_an_edit(store: Store, trail: AuditTrail) -> None:
    write(store, trail, *"abcde")
    with unprotected(store) as tx:
        tx.execute(update(audit_entry).where(audit_entry.c.seq == 3).values(after='{"name":"x"}'))
    assert found(store, trail) == [(3, "changed")]


def test_verify_finds_a_deletion(store: Store, trail: AuditTrail) -> None:
    write(store, trail, *"abcde")
    with unprotected(store) as tx:
        tx.execute(delete(audit_entry).where(audit_entry.c.seq == 3))
    assert found(store, trail) == [(4, "missing")]


def test_verify_finds_a_reorder(store: Store, trail: AuditTrail) -> None:
    write(store, trail, *"abcde")
    with unprotected(store) as tx:
        for old, new in ((2, 99), (3, 2), (99, 3)):
            tx.execute(update(audit_entry).where(audit_entry.c.seq == old).values(seq=new))
    assert found(store, trail) == [(2, "changed"), (3, "changed"), (4, "moved")]


def test_verify_finds_a_forged_entry(store: Store, trail: AuditTrail) -> None:
    write(store, trail, *"ab")
    with store.write() as tx:  # inserting needs no trigger removed
        row = dict(tx.execute(select(audit_entry).where(audit_entry.c.seq == 2)).mappings().one())
        tx.execute(insert(audit_entry).values(row | {"seq": 3, "previous": row["mac"]}))
    assert found(store, trail) == [(3, "changed"), (3, "head")]


def test_verify_finds_a_cut_off_end(store: Store, trail: AuditTrail) -> None:
    write(store, trail, *"abcde")
    with store.read() as tx:
        macs = [bytes(mac) for mac in tx.scalars(select(audit_entry.c.mac).order_by(audit_entry.c.seq))]
    with unprotected(store) as tx:
        tx.execute(delete(audit_entry).where(audit_entry.c.seq > 3))
    assert found(store, trail) == [(5, "cut_off")]
    with store.write() as tx:
        tx.execute(update(audit_head).values(seq=3, mac=macs[2]))
    assert found(store, trail) == [(3, "head")]
    with store.write() as tx:
        tx.execute(delete(audit_head))
    assert found(store, trail) == [(3, "head")]


def test_a_head_that_was_noted_finds_an_old_copy(store: Store, trail: AuditTrail) -> None:
    write(store, trail, *"abc")
    with store.read() as tx:
        old_head = tx.execute(select(audit_head)).mappings().one()
    write(store, trail, *"de")
    with store.read() as tx:
        noted = trail.verify(tx).head
    with unprotected(store) as tx:
        tx.execute(delete(audit_entry).where(audit_entry.c.seq > 3))
        tx.execute(update(audit_head).values(dict(old_head)))
    assert found(store, trail) == []  # the store alone cannot know
    assert found(store, trail, expected=noted) == [(5, "cut_off")]


def test_a_spoilt_text_is_shown_and_found(store: Store, trail: AuditTrail) -> None:
    write(store, trail, "a")
    with unprotected(store) as tx:
        tx.execute(update(audit_entry).values(before="{", after="[1]"))
    (change,) = read(store, trail)
    assert (change.before, change.after) == ({"unreadable": "{"}, {"unreadable": "[1]"})
    assert found(store, trail) == [(1, "changed")]


@pytest.mark.parametrize(
    "text", ["", "5", "5:", "5:abcd", "x:" + "0" * 64, "5:" + "g" * 64, "9" * 19 + ":" + "0" * 64]
)
def test_what_is_no_head(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is not one that `tollkeeper audit verify` printed"):
        parse_head(text)


def test_many_writers_make_one_chain(store_url: str, clock: HandClock) -> None:
    """Each with a store of its own, as processes have; some bump the revision first, some after."""

    def work(number: int) -> None:
        trail = AuditTrail(KEY, now=clock.now)
        with closing(Store(store_url)) as store:
            for round_ in range(8):
                with store.write() as tx:
                    if number % 2:
                        bump_revision(tx)
                    for part in range(2):
                        target = Target("key", f"{number}.{round_}.{part}", "k")
                        trail.record(tx, by=OPS, action="key.update", target=target, before=None, after={})
                    if number % 2 == 0:
                        bump_revision(tx)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    trail = AuditTrail(KEY, now=clock.now)
    with closing(Store(store_url)) as store, store.read() as tx:
        verification = trail.verify(tx)
        assert (verification.entries, verification.problems) == (96, ())
        targets = trail.list(tx, AuditFilter(), limit=1000)
        assert len({change.target.id for change in targets}) == 96
