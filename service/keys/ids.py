"""Ids of things that people make: `key_…`, `prj_…`, `bud_…`. Pure.

A prefix and 128 bits in base62: milliseconds first, as in a UUIDv7, then randomness; later ids sort later.
"""

from datetime import datetime

from service.keys.token import RandomBytes, base62

_RANDOM_BYTES = 10
_WIDTH = 22


def sortable_id(prefix: str, *, now: datetime, random_bytes: RandomBytes) -> str:
    """A new id that begins with *prefix*."""
    milliseconds = int(now.timestamp() * 1000)
    random = int.from_bytes(random_bytes(_RANDOM_BYTES))
    return prefix + base62((milliseconds << (8 * _RANDOM_BYTES)) | random, width=_WIDTH)
