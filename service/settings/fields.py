"""One raw value (from TOML, the environment or a flag) into the type of its field, or a clear refusal. Pure."""

from pathlib import Path
from typing import Any

import msgspec

from service.errors import ConfigurationError
from service.settings.catalogue import Entry


def convert(raw: Any, entry: Entry, *, key: str, source: str) -> Any:
    """*raw* as the field's type; *source* tells the operator where it stands."""
    try:
        return msgspec.convert(raw, entry.type, dec_hook=_decode)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigurationError(f"{key}: expected {entry.expected}, got {raw!r} ({source})") from error


def convert_text(raw: str, entry: Entry, *, key: str, source: str) -> Any:
    """As `convert`, for a value that can only be text: lists are separated by commas, tables are JSON."""
    try:
        return msgspec.convert(raw, entry.type, strict=False, dec_hook=_decode)
    except (msgspec.ValidationError, ValueError):
        if entry.expected.startswith("a table"):
            return convert(_table(raw), entry, key=key, source=source)
        parts = [part.strip() for part in raw.split(",") if part.strip()]
        is_list = entry.expected.startswith("a list")
        return convert(parts if is_list else raw, entry, key=key, source=source)


def _table(raw: str) -> Any:
    """A table in a variable is a JSON object."""
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return raw


def _decode(kind: type, raw: Any) -> Any:
    if kind is Path and isinstance(raw, str) and raw and "\0" not in raw:
        return Path(raw)
    raise ValueError(f"not a {kind.__name__}")
