"""Reading a compressed answer beside forwarding it. Pure.

Upstreams are asked for `identity`; some compress all the same. gzip and deflate are read from a copy of the
bytes, other codings are not (the standard library of Python 3.11 has none). A copy that expands beyond
`LARGEST_EXPANSION` is no longer read.
"""

import zlib

LARGEST_EXPANSION = 256 * 1024 * 1024
"""Decompressed bytes read of one answer."""

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_STEP = 1024 * 1024


def is_identity(encoding: str | None) -> bool:
    """The bytes are not compressed, by their `content-encoding`."""
    return (encoding or "identity").strip().lower() == "identity"


class ContentDecoder:
    """Turns the bytes of one compressed answer into what they say."""

    __slots__ = ("_budget", "_inflate", "readable")

    def __init__(self, encoding: str | None) -> None:
        known = (encoding or "").strip().lower() in {"gzip", "x-gzip", "deflate"}
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB) if known else None
        self._budget = LARGEST_EXPANSION
        self.readable = known
        """False once the bytes can no longer be understood."""

    def decode(self, chunk: bytes) -> bytes:
        """What *chunk* says; nothing once it cannot be read."""
        if self._inflate is None or not self.readable:
            return b""
        out = bytearray()
        try:
            while chunk:
                out += self._inflate.decompress(chunk, _STEP)
                if len(out) > self._budget:
                    self.readable = False
                    break
                chunk = self._inflate.unconsumed_tail
        except zlib.error:
            self.readable = False
        self._budget -= len(out)
        return bytes(out)
