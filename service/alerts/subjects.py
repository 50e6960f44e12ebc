"""Whom an alert is about: a text for programs, the same every time, and one for people. Pure."""

from collections.abc import Mapping, Sequence
from hashlib import sha256

EVERYTHING = "all"
LONGEST = 1_000
_MARK = 16


def subject_of(group_by: Sequence[str], values: Sequence[str]) -> str:
    """`key=key_…, model=gpt-4o`; `all` without dimensions. Too long a text ends in a digest, so it stays unique."""
    if not group_by:
        return EVERYTHING
    text = ", ".join(f"{name}={value}" for name, value in zip(group_by, values, strict=True))
    if len(text) <= LONGEST:
        return text
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]
    return f"{text[: LONGEST - _MARK - 1]}#{digest}"


def about(group_by: Sequence[str], values: Sequence[str], *, key_names: Mapping[str, str]) -> str:
    """`key alpha, model gpt-4o`, with the names that keys have today."""
    if not group_by:
        return "All requests"
    parts = []
    for name, value in zip(group_by, values, strict=True):
        shown = key_names.get(value, value) if name == "key" else value
        parts.append(f"{name.replace('_', ' ')} {shown or 'unknown'}")
    text = ", ".join(parts)
    return text[0].upper() + text[1:]
