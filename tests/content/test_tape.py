"""What a request holds in memory is bounded, for itself and for all together."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from service.content.tape import Room, Tape


def test_what_fits_is_kept() -> None:
    room = Room(100)
    tape = Tape(room, limit=10)
    for chunk in (b"abcd", b"", b"efghij"):
        tape.add(chunk)
    assert (tape.content(), tape.size, tape.held, tape.is_whole) == (b"abcdefghij", 10, 10, True)
    assert room.free == 90


def test_after_the_first_that_does_not_fit_nothing_is_kept() -> None:
    room = Room(100)
    tape = Tape(room, limit=10)
    for chunk in (b"abcd", b"efghijk", b"l"):
        tape.add(chunk)
    assert (tape.content(), tape.size, tape.held, tape.is_whole) == (b"abcd", 12, 4, False)


def test_all_together_have_no_more_than_the_room() -> None:
    room = Room(10)
    first, second = Tape(room, limit=8), Tape(room, limit=8)
    first.add(b"abcdef")
    second.add(b"abcdef")
    assert (first.is_whole, second.is_whole, second.content()) == (True, False, b"")
    first.erase()
    second.erase()
    second.add(b"abcdef")
    assert (second.is_whole, second.content(), second.size, first.size) == (True, b"abcdef", 6, 0)


@given(st.lists(st.lists(st.integers(0, 40), max_size=6), max_size=6))
def test_the_room_gets_back_what_it_gave(chunks: list[list[int]]) -> None:
    room = Room(100)
    tapes = []
    for sizes in chunks:
        tapes.append(Tape(room, limit=50))
        for size in sizes:
            tapes[-1].add(b"x" * size)
    assert room.free == 100 - sum(tape.held for tape in tapes) >= 0
    for tape in tapes:
        tape.erase()
    assert room.free == 100


def test_threads_share_it() -> None:
    room = Room(1000)

    def use() -> None:
        for _ in range(2000):
            if room.take(7):
                room.give(7)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert room.free == 1000
