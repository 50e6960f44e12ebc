"""The chain, without a store: what each kind of tampering looks like."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.audit.chain import ChainCheck, Entry, Head, Problem, Sealed, head_seal, seal, start

KEY = b"k" * 32


def entry(seq: int, **fields: object) -> Entry:
    facts: dict[str, object] = {
        "seq": seq,
        "at_micros": 1_700_000_000_000_000 + seq,
        "actor_kind": "admin_key",
        "actor_id": "abc",
        "actor_name": "ops",
        "address": "192.0.2.1",
        "action": "key.update",
        "target_kind": "key",
        "target_id": f"key_{seq}",
        "target_name": "batch",
        "before": None,
        "after": '{"name":"batch"}',
    }
    return msgspec.convert(facts | fields, Entry)


def chain(count: int, *, key: bytes = KEY) -> list[Sealed]:
    head, sealed = start(key), []
    for seq in range(1, count + 1):
        sealed.append(seal(key, entry(seq), previous=head.mac))
        head = Head(seq, sealed[-1].mac)
    return sealed


def problems(
    sealed: Sequence[Sealed], head: Head | None = None, *, seal_of: bytes | None = None, **more: Head
) -> list[Problem]:
    """What the check finds; by default the head is that of the whole chain of seven."""
    whole = chain(7)
    head = head or Head(7, whole[-1].mac)
    check = ChainCheck(KEY, **more)
    found = [problem for one in sealed for problem in check.feed(one)]
    assert check.entries == len(sealed)
    return [*found, *check.end(head, seal=head_seal(KEY, head) if seal_of is None else seal_of)]


def seen(found: Sequence[Problem]) -> list[tuple[int, str]]:
    return [(problem.seq, problem.finding) for problem in found]


def test_an_untouched_log_is_whole() -> None:
    assert problems(chain(7)) == []
    check = ChainCheck(KEY)
    assert list(check.end(None, seal=None)) == []
    assert list(check.end(start(KEY), seal=head_seal(KEY, start(KEY)))) == []


@pytest.mark.parametrize("field", Entry.__struct_fields__)
def test_an_edit_of_any_field_shows_at_its_entry(field: str) -> None:
    log = chain(7)
    value = getattr(log[3].entry, field)
    edited = msgspec.structs.replace(
        log[3].entry, **{field: value + 100 if isinstance(value, int) else f"{value or ''}x"}
    )
    log[3] = msgspec.structs.replace(log[3], entry=edited)
    assert (edited.seq, "changed") in seen(problems(log))


@pytest.mark.parametrize("field", ["address", "before", "after"])
def test_absent_is_not_empty(field: str) -> None:
    one = seal(KEY, entry(1, **{field: None}), previous=b"p" * 32)
    other = seal(KEY, entry(1, **{field: ""}), previous=b"p" * 32)
    assert one.mac != other.mac


@given(
    st.lists(st.text(max_size=4), min_size=4, max_size=4),
    st.lists(st.text(max_size=4), min_size=4, max_size=4),
)
def test_different_entries_have_different_codes(one: list[str], other: list[str]) -> None:
    names = ("actor_id", "actor_name", "target_id", "target_name")
    codes = [
        seal(KEY, entry(1, **dict(zip(names, texts, strict=True))), previous=b"p").mac
        for texts in (one, other)
    ]
    assert (codes[0] == codes[1]) == (one == other)


def test_a_deletion_shows_as_a_gap_and_nothing_else() -> None:
    log = chain(7)
    assert seen(problems([*log[:2], *log[3:]])) == [(4, "missing")]
    (found,) = problems([*log[:2], *log[5:]])
    assert found.detail == "entries 3 to 5 are missing"
    assert seen(problems(log[1:])) == [(2, "missing")]


def test_a_deletion_with_new_numbers_shows_too() -> None:
    log = chain(7)
    shifted = [
        msgspec.structs.replace(one, entry=msgspec.structs.replace(one.entry, seq=one.entry.seq - 1))
        for one in log[3:]
    ]
    assert {finding for _, finding in seen(problems([*log[:2], *shifted]))} == {"changed", "cut_off"}


def test_two_entries_that_changed_places_show() -> None:
    log = chain(7)
    four, five = log[3], log[4]
    log[3] = msgspec.structs.replace(five, entry=msgspec.structs.replace(five.entry, seq=4))
    log[4] = msgspec.structs.replace(four, entry=msgspec.structs.replace(four.entry, seq=5))
    assert seen(problems(log)) == [(4, "changed"), (5, "changed"), (6, "moved")]


def test_an_entry_of_another_log_does_not_follow() -> None:
    log = chain(7)
    log[3] = seal(KEY, entry(4, actor_name="other"), previous=log[2].mac)  # as after a restored copy
    assert seen(problems(log)) == [(5, "moved")]


def test_a_forged_entry_without_the_key() -> None:
    log = chain(7)
    log.append(seal(b"another key", entry(8), previous=log[-1].mac))
    assert seen(problems(log)) == [(8, "changed"), (8, "head")]


def test_a_cut_off_end_shows_by_the_head() -> None:
    (found,) = problems(chain(7)[:4])
    assert (found.seq, found.finding) == (7, "cut_off")
    assert found.detail == "entries 5 to 7 are missing at the end of the log"
    assert seen(problems([])) == [(7, "cut_off")]


def test_a_head_put_back_has_no_seal() -> None:
    log = chain(7)
    whole_seal = head_seal(KEY, Head(7, log[-1].mac))
    assert seen(problems(log[:4], Head(4, log[3].mac), seal_of=whole_seal)) == [(4, "head")]


def test_a_head_that_is_gone() -> None:
    check = ChainCheck(KEY)
    for sealed in chain(3):
        assert list(check.feed(sealed)) == []
    assert seen(list(check.end(None, seal=None))) == [(3, "head")]


def test_an_old_head_with_its_seal() -> None:
    log = chain(7)
    assert seen(problems(log, Head(4, log[3].mac))) == [(7, "head")]


def test_a_head_of_another_last_entry() -> None:
    log = chain(7)
    assert seen(problems(log, Head(7, b"x" * 32))) == [(7, "head")]


@pytest.mark.parametrize("seq", [1, 4, 7])
def test_a_head_noted_elsewhere_is_found_again(seq: int) -> None:
    log = chain(7)
    assert problems(log, expected=Head(seq, log[seq - 1].mac)) == []


def test_an_old_copy_of_everything_shows_by_a_head_noted_elsewhere() -> None:
    log = chain(7)
    noted = Head(6, log[5].mac)
    assert seen(problems(log[:4], Head(4, log[3].mac), expected=noted)) == [(6, "cut_off")]
    other: Callable[[int], Sealed] = chain(7, key=b"z" * 32).__getitem__
    assert seen(problems(log, expected=Head(6, other(5).mac))) == [(6, "changed")]


def test_every_code_depends_on_the_one_before() -> None:
    log = chain(4)
    assert [later.previous for _, later in pairwise(log)] == [earlier.mac for earlier, _ in pairwise(log)]
