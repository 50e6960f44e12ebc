"""What an entry says about a thing before and after its change, as canonical JSON. Pure.

No secret gets in: a field of a telling name is refused, a text that has the shape of one of our keys is masked.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

MASK = "********"
_SECRET_FIELDS = frozenset({"api_key", "digest", "password", "password_hash", "secret", "text", "token"})
_KEY_SHAPE = re.compile(r"tka?_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}", re.ASCII)


def canonical(values: Mapping[str, object] | None) -> str | None:
    """Compact JSON with sorted members; equal values are equal text. Instants in ISO 8601, decimals as text.

    Raises:
        ValueError: a field's name says that it holds a secret, which no caller may hand over.
    """
    if values is None:
        return None
    plain = msgspec.to_builtins(dict(values), enc_hook=str)
    return msgspec.json.encode(_masked(plain), order="deterministic").decode()


def difference(
    before: Mapping[str, object], after: Mapping[str, object]
) -> tuple[dict[str, object], dict[str, object]]:
    """What an update changed: the fields that differ, as they were and as they are."""
    names = [
        name
        for name in (*before, *(name for name in after if name not in before))
        if before.get(name) != after.get(name)
    ]
    return {name: before.get(name) for name in names}, {name: after.get(name) for name in names}


def _masked(value: Any, *, names_matter: bool = True) -> Any:
    """*value* without secrets; names inside a `metadata` member are the user's own and matter not."""
    if isinstance(value, str):
        return _KEY_SHAPE.sub(MASK, value)
    if isinstance(value, list):
        return [_masked(item, names_matter=names_matter) for item in value]
    if not isinstance(value, dict):
        return value
    if names_matter and (found := _SECRET_FIELDS.intersection(value)):
        raise ValueError(f"an audit entry may not hold the field {', '.join(sorted(found))}")
    return {
        _KEY_SHAPE.sub(MASK, name): _masked(item, names_matter=names_matter and name != "metadata")
        for name, item in value.items()
    }
