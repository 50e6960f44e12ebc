"""Bodies of the admin API: strict JSON into the type that the handler declares.

The framework's own conversion takes `"3"` for 3, a missing body for an empty one and the last of two members of one
name; this one takes none of them, and names what is wrong by its path.
"""

import json
import re
from collections import Counter
from operator import itemgetter
from typing import Any, NoReturn

import msgspec
from litestar import Request

from service.errors import InvalidInputError

_PLACE = re.compile(r"(?s)(.*?)(?: - at `\$\.?(.*)`)?")
_FIELD = re.compile(r"field `([^`]*)`")


class StrictRequest(Request[Any, Any, Any]):
    """A request whose JSON is decoded once, strictly."""

    async def json(self) -> Any:
        """The body as the type of the handler's `data`."""
        body = await self.body()
        field = self.route_handler.parsed_data_field
        wanted = Any if field is None else field.annotation
        if not body and field is not None and field.is_optional:
            return None
        try:
            decoded = msgspec.json.decode(body, type=wanted)
            _pairs(body.decode())
        except msgspec.ValidationError as error:
            _refuse(str(error), cause=error)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInputError("the body is not a JSON object; send one in UTF-8") from error
        return decoded


def _refuse_twins(members: list[tuple[str, Any]]) -> None:
    """Two members of one name, at any depth: which of them counts is for no parser to guess."""
    name, times = max(Counter(name for name, _value in members).items(), key=itemgetter(1), default=("", 0))
    if times > 1:
        raise InvalidInputError(
            f"the body has {times} members named `{name[:100]}`; send one", field=name[:100]
        )


_pairs = json.JSONDecoder(
    object_pairs_hook=_refuse_twins, parse_int=str, parse_float=str, strict=False
).decode
"""Members as they stand in the text; numbers stay text, because only names matter here."""


def _refuse(text: str, *, cause: Exception) -> NoReturn:
    """`Expected int, got str - at $.limits.rpm` → `limits.rpm: Expected …`."""
    found = _PLACE.fullmatch(text)
    assert found is not None  # the pattern takes any text
    reason, path = found[1], found[2] or ""
    if named := _FIELD.search(reason):
        raise InvalidInputError(reason, field=".".join(filter(None, (path, named[1])))) from cause
    raise InvalidInputError(f"{path}: {reason}" if path else reason, field=path or None) from cause
