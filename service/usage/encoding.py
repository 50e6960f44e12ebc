"""Reading a compressed answer beside forwarding it. Pure.

Upstreams are asked for `identity`; some compress all the same. gzip and deflate are read from a copy of the
bytes, other codings are not (the standard library of Python 3.11 has none). A few bytes can say to write gigabytes:
what expands beyond `MOST_EXPANSION` times its own size, or beyond `LARGEST_EXPANSION`, is no longer read. It comes in
pieces of at most `PIECE`, so that memory holds no more than that, and time is bounded by the bytes received.
"""

import zlib
from collections.abc import Iterator

LARGEST_EXPANSION = 64 * 1024 * 1024
"""Decompressed bytes read of one answer."""
MOST_EXPANSION = 200
"""Decompressed bytes read for each compressed one; event streams, repetitive as they are, expand some 20 times."""
PIECE = 256 * 1024

_FREE_EXPANSION = 1024 * 1024
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


def is_identity(encoding: str | None) -> bool:
    """The bytes are not compressed, by their `content-encoding`."""
    return (encoding or "identity").strip().lower() == "identity"


class ContentDecoder:
    """Turns the bytes of one compressed answer into what they say."""

    __slots__ = ("_inflate", "_read", "_received", "inflated", "readable")

    def __init__(self, encoding: str | None) -> None:
        self.readable = (encoding or "").strip().lower() in {"gzip", "x-gzip", "deflate"}
        """False once the bytes can no longer be understood."""
        self.inflated = False
        """That is because they expand too far."""
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._received = 0
        self._read = 0

    @property
    def flag(self) -> str | None:
        """Why the answer was not read to its end: `undecodable`, `inflated`, or None where it was."""
        if self.readable:
            return None
        return "inflated" if self.inflated else "undecodable"

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """What *chunk* says, piece by piece; nothing once it cannot be read."""
        self._received += len(chunk)
        while chunk and self.readable:
            try:
                piece = self._inflate.decompress(chunk, PIECE)
            except zlib.error:
                self.readable = False
                return
            self._read += len(piece)
            if self._read > min(LARGEST_EXPANSION, _FREE_EXPANSION + MOST_EXPANSION * self._received):
                self.readable, self.inflated = False, True
                return
            yield piece
            chunk = self._inflate.unconsumed_tail
            if self._inflate.eof:  # a file of several members is one text (RFC 1952, section 2.2)
                chunk = self._inflate.unused_data
                self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
