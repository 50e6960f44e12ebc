"""What one request holds in memory of its content until it is written: bounded, for itself and for all together."""

import threading


class Room:
    """Bytes that content may take in the memory of this process. Any thread may take and give."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """Bytes that are left."""
        return self._free

    def take(self, size: int) -> bool:
        """Take *size* bytes, if they are left."""
        with self._lock:
            if size > self._free:
                return False
            self._free -= size
            return True

    def give(self, size: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._free += size


class Tape:
    """The bytes of one answer as they come, as many as fit."""

    __slots__ = ("_limit", "_parts", "_room", "held", "is_whole", "size")

    def __init__(self, room: Room, *, limit: int) -> None:
        self._room = room
        self._limit = limit
        self._parts: list[bytes] = []
        self.held = 0
        """Bytes of the room that this tape has."""
        self.size = 0
        """Bytes that came."""
        self.is_whole = True

    def add(self, chunk: bytes) -> None:
        """The next bytes; nothing after the first that did not fit."""
        self.size += len(chunk)
        if not self.is_whole:
            return
        if self.held + len(chunk) > self._limit or not self._room.take(len(chunk)):
            self.is_whole = False
            return
        self._parts.append(chunk)
        self.held += len(chunk)

    def erase(self) -> None:
        """Forget everything, as before the first chunk."""
        self._room.give(self.held)
        self._parts.clear()
        self.held = self.size = 0
        self.is_whole = True

    def content(self) -> bytes:
        """What was kept."""
        return b"".join(self._parts)
