"""Who is asking the store about what: one question about a thing at a time. Event loop only."""

import asyncio
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")
PATIENCE_S = 10.0


class Turn(msgspec.Struct, Generic[T], frozen=True):
    """A question that is being asked."""

    things: tuple[T, ...]
    done: "asyncio.Future[None]"


class Turns(Generic[T]):
    """The questions that are being asked now."""

    def __init__(self) -> None:
        self._asked: dict[T, asyncio.Future[None]] = {}

    async def wait(self, things: Sequence[T]) -> bool:
        """Wait for one question about any of *things*; False where none is being asked."""
        for thing in things:
            done = self._asked.get(thing)
            if done is not None:
                await asyncio.wait({done}, timeout=PATIENCE_S)  # a store that hangs must not hold everybody
                return True
        return False

    def taken(self, things: Sequence[T]) -> bool:
        """Whether somebody asks about any of *things*."""
        return any(thing in self._asked for thing in things)

    def take(self, things: Sequence[T]) -> Turn[T]:
        """Ask about *things*, about which nobody asks."""
        turn = Turn(tuple(things), asyncio.get_running_loop().create_future())
        for thing in things:
            self._asked[thing] = turn.done
        return turn

    def end(self, turn: Turn[T]) -> None:
        """The answer is there, or will not come."""
        for thing in turn.things:
            del self._asked[thing]
        turn.done.set_result(None)
