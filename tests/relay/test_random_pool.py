"""Random bytes from a pool: each once."""

import os

from service.relay.random_pool import POOL_BYTES, RandomPool


def test_every_piece_is_new_and_of_the_asked_length() -> None:
    drawn: list[bytes] = []

    def source(count: int) -> bytes:
        drawn.append(os.urandom(count))
        return drawn[-1]

    pool = RandomPool(source)
    pieces = [pool.take(count) for count in (8, 8, 16, POOL_BYTES - 33, 1, 8, POOL_BYTES)]
    assert [len(piece) for piece in pieces] == [8, 8, 16, POOL_BYTES - 33, 1, 8, POOL_BYTES]
    assert b"".join(pieces[:5]) == drawn[0]
    assert pieces[5:] == [drawn[1][:8], drawn[2]]
