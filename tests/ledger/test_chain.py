"""The chain of segments: what is promised to open requests stays theirs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service.ledger.chain import RESERVE, Chain
from service.ledger.segments import Segment, segment_name
from tests.ledger.making import Disk, DiskSegment

SEGMENT = 8 * RESERVE


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def chain(tmp_path: Path, disk: Disk) -> Chain:
    return Chain(creator(tmp_path, disk))


def creator(directory: Path, disk: Disk) -> Callable[[], Segment]:
    made: list[Segment] = []

    def create() -> Segment:
        path = directory / segment_name("0000000000001-1", len(made))
        made.append(DiskSegment(path, size=SEGMENT, disk=disk))
        return made[-1]

    return create


def use(segment: Segment, size: int, *, outstanding: int = 0) -> None:
    segment.write(bytes(size))
    segment.outstanding = outstanding


def test_room_is_counted_without_the_ends_that_may_stay_unused(chain: Chain) -> None:
    assert (chain.free, chain.spare, chain.size) == (SEGMENT, 0, SEGMENT)
    chain.allocate()
    chain.allocate()
    use(chain.current, 1_000)
    assert (chain.spare, chain.size) == (2 * (SEGMENT - RESERVE), 3 * SEGMENT)
    assert chain.free == SEGMENT - 1_000 + 2 * (SEGMENT - RESERVE)


def test_the_following_segment_is_the_one_that_was_reserved(chain: Chain, disk: Disk) -> None:
    reserved = chain.allocate()
    disk.full = True
    assert chain.following() is reserved
    chain.current = reserved
    with pytest.raises(OSError, match="No space left"):
        chain.following()


def test_rotation_begins_a_segment_only_where_everything_reserved_fits_behind(chain: Chain) -> None:
    first = chain.current
    chain.rotate(reserved=20 * RESERVE)
    chain.rotate(reserved=20 * RESERVE)
    assert chain.current is first
    chain.rotate(reserved=20 * RESERVE)
    assert chain.current is chain.segments[1]
    assert chain.size == 4 * SEGMENT
    chain.rotate(reserved=RESERVE)
    assert chain.current is chain.segments[2]
    assert chain.size == 4 * SEGMENT


def test_rotation_on_a_full_disk_leaves_everything_as_it_is(chain: Chain, disk: Disk) -> None:
    disk.full = True
    first = chain.current
    chain.rotate(reserved=RESERVE)
    assert chain.segments == [first]
    assert chain.current is first


def test_a_segment_may_be_put_before_those_that_are_reserved(chain: Chain) -> None:
    spare = chain.allocate()
    between = chain.allocate(after=chain.current)
    assert chain.segments == [chain.current, between, spare]


def test_only_what_is_done_is_taken_and_never_what_comes_after(chain: Chain) -> None:
    first = chain.current
    use(first, 10)
    second, spare = chain.allocate(), chain.allocate()
    chain.current = second
    use(second, 10)
    first.outstanding = 1
    assert chain.take_done() == []
    first.outstanding, first.spilled = 0, 1
    assert chain.take_done() == []
    first.spilled = 0
    assert chain.take_done() == [first]
    assert chain.segments == [second, spare]
