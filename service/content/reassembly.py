"""An event stream as the one answer that it was. Pure.

Its texts come in pieces of a few characters, in which no secret can be seen; so they are put together before anything
is redacted. The form is that of an answer without streaming: what the pieces of `delta` say stands in `message`.
"""

from typing import Any

import msgspec

from service.content.redact import CUT, SPELLED_OUT
from service.usage.fields import GARBAGE
from service.usage.sse import SseSplitter, event_data

_SAID_ONCE = frozenset({"role", "type", "id", "name", "index", "object"})
"""Members of a delta that replace what was said before; other texts go on."""
_CHUNK_SUFFIX = ".chunk"


class _Text(list[str]):
    """The pieces of a text."""


class _Numbered(dict[Any, dict[str, Any]]):
    """Parts of a list, by the `index` that each piece names."""


def reassembled(stream: bytes, *, is_whole: bool = True) -> tuple[dict[str, Any], int]:
    """The answer, and in how many events it came. Where the stream was cut, all its texts may have been (`CUT`)."""
    answer: dict[str, Any] = {}
    choices = _Numbered()
    events = 0
    splitter = SseSplitter()
    for event in [*(found.raw for found in splitter.feed(stream)), splitter.rest() if is_whole else None]:
        piece = _object_in(event)
        if piece is None:
            continue
        events += 1
        for choice in _objects(piece.pop("choices", None)):
            into = choices.setdefault(_index(choice), {})
            delta = choice.pop("delta", None)
            into |= {name: value for name, value in choice.items() if value is not None and name != "message"}
            if isinstance(delta, dict):
                _merge(into.setdefault("message", {}), delta)
        answer |= {name: value for name, value in piece.items() if value is not None}
    if choices:
        answer["choices"] = _plain(choices, is_whole=is_whole)
    if isinstance(kind := answer.get("object"), str):
        answer["object"] = kind.removesuffix(_CHUNK_SUFFIX)
    return answer, events


def _object_in(event: bytes | None) -> dict[str, Any] | None:
    data = None if event is None else event_data(event)
    if data is None:
        return None
    try:
        found = msgspec.json.decode(data)
    except GARBAGE:
        return None
    return found if isinstance(found, dict) else None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _index(item: dict[str, Any]) -> Any:
    index = item.get("index")
    return index if isinstance(index, int) else 0


def _merge(into: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a piece to what was said so far."""
    for name, value in delta.items():
        known = into.get(name)
        if value is None or name in SPELLED_OUT:
            into.setdefault(name, None)
        elif isinstance(value, str) and name not in _SAID_ONCE:
            if not isinstance(known, _Text):
                into[name] = known = _Text()
            known.append(value)
        elif isinstance(value, dict):
            if not isinstance(known, dict) or isinstance(known, _Numbered):
                into[name] = known = {}
            _merge(known, value)
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            if not isinstance(known, _Numbered):
                into[name] = known = _Numbered()
            for item in value:
                _merge(known.setdefault(_index(item), {}), item)
        else:
            into[name] = value


def _plain(value: Any, *, is_whole: bool) -> Any:
    """Without the two kinds of parts above."""
    match value:
        case _Text():
            text = "".join(value)
            return text if is_whole else text + CUT
        case _Numbered():
            return [_plain(value[index], is_whole=is_whole) for index in sorted(value)]
        case dict():
            return {name: _plain(member, is_whole=is_whole) for name, member in value.items()}
        case _:
            return value
