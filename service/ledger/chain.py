"""The segments of one process, oldest first: written up to `current`, and reserved for open requests after it."""

from collections.abc import Callable

from service.ledger.segments import Segment

RESERVE = 24 * 1024
"""Bytes that an open request owns for its completion, which is never longer."""


class Chain:
    """Segments in order. *create* makes one more file; it raises OSError where the disk is full."""

    def __init__(self, create: Callable[[], Segment]) -> None:
        self._create = create
        self.segments: list[Segment] = []
        self._current = self.allocate()

    @property
    def current(self) -> Segment:
        """The segment that is written; the one before is sealed when another becomes it."""
        return self._current

    @current.setter
    def current(self, segment: Segment) -> None:
        if segment is not self._current:
            self._current.seal()
            self._current = segment

    @property
    def size(self) -> int:
        """Bytes that the segments occupy."""
        return sum(segment.size for segment in self.segments)

    @property
    def free(self) -> int:
        """Room in the current segment and those after it."""
        return self.current.free + self.spare

    @property
    def spare(self) -> int:
        """Room after the current segment; the end of a segment, shorter than a completion, may stay unused."""
        return sum(segment.free - RESERVE for segment in self.segments[self._position() + 1 :])

    def following(self) -> Segment:
        """The segment after the current one: reserved earlier, so that a completion never meets a full disk."""
        position = self._position() + 1
        return self.segments[position] if position < len(self.segments) else self.allocate()

    def allocate(self, *, after: Segment | None = None) -> Segment:
        """A fresh segment. An adopter may sweep its file away before it is locked: then once more."""
        try:
            segment = self._create()
        except (BlockingIOError, FileNotFoundError):
            segment = self._create()
        position = len(self.segments) if after is None else self.segments.index(after) + 1
        self.segments.insert(position, segment)
        return segment

    def rotate(self, *, reserved: int) -> None:
        """Go on in the next segment, if the *reserved* bytes find room from there on."""
        if self.spare < reserved:
            try:
                self.allocate()
            except OSError:
                return  # the disk is full: the current segment serves until there is room
        if self.spare >= reserved:
            self.current = self.following()

    def take_done(self) -> list[Segment]:
        """Remove and return the segments before the current one that hold nothing the store lacks."""
        done = [
            segment
            for segment in self.segments[: self._position()]
            if not segment.outstanding and not segment.spilled
        ]
        for segment in done:
            self.segments.remove(segment)
        return done

    def _position(self) -> int:
        return self.segments.index(self.current)
