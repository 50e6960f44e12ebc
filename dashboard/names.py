"""What the values of a dimension are called. Pure.

Names come from clients and configuration: they are text, never Markdown, wherever they are shown. Two keys may have
one name; then a piece of the id tells them apart.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Self

DIMENSIONS: Mapping[str, str] = {
    "Model": "model",
    "Key": "key",
    "Project": "project",
    "Upstream": "upstream",
}
"""What a viewer can choose, and the dimension of the reports."""
ALL_DIMENSIONS: Mapping[str, str] = {
    **DIMENSIONS,
    "Provider": "provider",
    "Outcome": "outcome",
    "End user": "end_user",
    "Tag": "tag",
    "Session": "session",
    "Requested model": "requested_model",
    "Service tier": "service_tier",
}
"""All of them; those that are not in the rollups take longer."""
_NOT_KNOWN: Mapping[str, str] = {
    "model": "(no model)",
    "key": "(no key)",
    "project": "(no project)",
    "upstream": "(not forwarded)",
    "provider": "(no provider)",
    "outcome": "(no outcome)",
    "end_user": "(no end user)",
    "tag": "(no tag)",
    "session": "(no session)",
    "requested_model": "(no model)",
    "service_tier": "(no tier)",
}
_ID_TAIL = 6


class Named:
    """The names of all values that occur in one report."""

    def __init__(self, names: Mapping[str, str]) -> None:
        uses = Counter(names.values())
        self._names = {
            value: name if uses[name] == 1 else f"{name} (…{value[-_ID_TAIL:]})"
            for value, name in names.items()
        }

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, str | None]], *, dimension: str) -> Self:
        """From the dimensions of a report's rows."""
        names: dict[str, str] = {}
        for row in rows:
            value = value_of(row, dimension=dimension)
            if value is not None:
                names[value] = (row.get("key_name") if dimension == "key" else None) or value
        return cls(names)

    def of(self, row: Mapping[str, str | None], *, dimension: str) -> str:
        """The name in *row*; a phrase in parentheses where it is not known."""
        value = value_of(row, dimension=dimension)
        return _NOT_KNOWN[dimension] if value is None else self.of_value(value)

    def of_value(self, value: str) -> str:
        """The name of a value of the dimension; the value itself where the report has no such name."""
        return self._names.get(value, value)

    def values(self) -> list[str]:
        """All values, in the order of their names."""
        return sorted(self._names, key=lambda value: self._names[value].lower())


def value_of(row: Mapping[str, str | None], *, dimension: str) -> str | None:
    """The value by which reports filter and group."""
    return row["key_id" if dimension == "key" else dimension]
