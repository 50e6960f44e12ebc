"""Facts from JSON that cannot be decoded whole: too large, cut off, or broken elsewhere. Pure.

The names are searched as text. A quoted name directly followed by a colon cannot stand inside a JSON string,
where its closing quote would be escaped, so a match is a real member (of some object: the last one wins for
usage, the first one for the identifier and the model).
"""

import re
from json import JSONDecoder

import msgspec

from service.usage.envelope import Envelope

_USAGE = re.compile(rb'"usage"\s*:\s*(?=\{)')
_FINISH = re.compile(rb'"finish_reason"\s*:\s*("(?:[^"\\]|\\.){1,64}")')
_LONGEST_OBJECT = 64 * 1024
_decoder = JSONDecoder()


def _name(name: str) -> re.Pattern[bytes]:
    return re.compile(rb'"%s"\s*:\s*("(?:[^"\\]|\\.){1,256}")' % name.encode())


_ID, _MODEL, _TIER = _name("id"), _name("model"), _name("service_tier")


def salvage(data: bytes) -> Envelope:
    """What can be found in *data*."""
    finishes = b",".join(
        b'{"index":%d,"finish_reason":%s}' % pair for pair in enumerate(_FINISH.findall(data))
    )
    return Envelope(
        id=_first(_ID, data),
        model=_first(_MODEL, data),
        service_tier=_first(_TIER, data),
        choices=msgspec.Raw(b"[" + finishes + b"]"),
        usage=_last_usage(data),
    )


def _first(pattern: re.Pattern[bytes], data: bytes) -> msgspec.Raw:
    match = pattern.search(data)
    return msgspec.Raw(match[1] if match else b"")


def _last_usage(data: bytes) -> msgspec.Raw:
    found = b""
    for match in _USAGE.finditer(data):
        # Latin-1 maps bytes to characters one to one, so the end of the object is an offset in bytes.
        text = data[match.end() : match.end() + _LONGEST_OBJECT].decode("latin-1")
        try:
            _, end = _decoder.raw_decode(text)
        except (ValueError, RecursionError):
            continue
        found = text[:end].encode("latin-1")
    return msgspec.Raw(found)
