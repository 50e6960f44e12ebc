"""By what usage can be grouped and filtered, and where each dimension is found.

Six dimensions are in the rollups; the others are read from the records, which takes longer. NULL and '' are the
same value of a dimension: "not known". A record with several tags counts once for each of them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    and_,
    case,
    cast,
    exists,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import String, Text

from service.errors import InvalidInputError
from service.store.measure_columns import COST_STATUSES, USAGE_SOURCES
from service.store.tables import OUTCOMES, request_record

ROLLUP: Mapping[str, str] = {
    "key": "key_id",
    "project": "project",
    "upstream": "upstream",
    "provider": "provider",
    "model": "model",
    "outcome": "outcome",
}
"""Dimensions of the rollups and their columns there."""

RECORD_ONLY = (
    "end_user",
    "session",
    "tag",
    "requested_model",
    "response_model",
    "stream",
    "http_status",
    "error_type",
    "error_code",
    "cost_status",
    "usage_source",
    "service_tier",
    "price_id",
)
DIMENSIONS = (*ROLLUP, *RECORD_ONLY)
_INDEXED = ("key",)
_PATTERNS = ("model", "requested_model", "response_model")
KNOWN_VALUES: Mapping[str, Sequence[str]] = {
    "outcome": OUTCOMES,
    "cost_status": COST_STATUSES,
    "usage_source": USAGE_SOURCES,
    "stream": ("true", "false"),
}
"""Dimensions that have a few known values; '' counts for any."""
_SURROGATE = re.compile("[\ud800-\udfff]")
# A constant that is spelled out, because PostgreSQL takes two parameters in SELECT and GROUP BY for two expressions.
_NOTHING = literal_column("''", Text)

Filters = Mapping[str, tuple[str, ...]]
"""For each dimension the values that count; '' stands for "not known"."""


class TagsOf(GenericFunction[Any]):
    """The tags of a record, one a row, in a column named `value`."""

    name = "tags_of"
    inherit_cache = True


@compiles(TagsOf)
def _tags_on_sqlite(element: TagsOf, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(TagsOf, "postgresql")
def _tags_on_postgresql(element: TagsOf, compiler: SQLCompiler, **options: Any) -> str:
    return f"jsonb_array_elements_text(CAST({compiler.process(element.clauses, **options)} AS JSONB))"


def require_known(names: Iterable[str], *, field: str) -> None:
    """Refuse a dimension that does not exist, or that is named twice."""
    seen = set()
    for name in names:
        if name not in DIMENSIONS:
            raise InvalidInputError(
                f"{name!r} is not a dimension; use one of {', '.join(DIMENSIONS)}", field=field
            )
        if name in seen:
            raise InvalidInputError(f"{field} names {name!r} twice", field=field)
        seen.add(name)


def require_usable(filters: Filters) -> None:
    """Refuse an unknown dimension, a value that its dimension never has, and text that no store can hold."""
    require_known(filters, field="filters")
    for name, values in filters.items():
        for value in values:
            require_storable(value, field=name)
            if value and value not in KNOWN_VALUES.get(name, (value,)):
                raise InvalidInputError(
                    f"{value!r} is no {name}; use one of {', '.join(KNOWN_VALUES[name])}", field=name
                )


def require_storable(value: str, *, field: str) -> None:
    """Refuse text that no record can have: NUL and lone surrogates are replaced before a record is stored."""
    if "\x00" in value or _SURROGATE.search(value):
        raise InvalidInputError(f"{field} has a character that no record can have", field=field)


def record_model() -> ColumnElement[str]:
    """The model a record counts for in the rollups; `ledger.folding` has the same rule."""
    record = request_record.c
    requested = case((record.upstream.is_not(None), record.requested_model))
    return func.coalesce(record.upstream_model, requested, _NOTHING)


def of_record(name: str) -> ColumnElement[str]:
    """A dimension of a record as text, '' for NULL."""
    record = request_record.c
    if name == "model":
        return record_model()
    if name == "tag":
        return func.coalesce(literal_column("each_tag.value", Text), _NOTHING)
    found: ColumnElement[Any] = record[ROLLUP.get(name, name)]
    if isinstance(found.type, Boolean):
        found = case((found, literal_column("'true'", Text)), (~found, literal_column("'false'", Text)))
    elif not isinstance(found.type, String):
        found = cast(found, Text)
    return func.coalesce(found, _NOTHING)


def filter_record(filters: Filters) -> list[ColumnElement[bool]]:
    """The conditions of *filters* on a record."""
    return [_filter(name, values) for name, values in filters.items()]


def _filter(name: str, values: tuple[str, ...]) -> ColumnElement[bool]:
    if name == "tag":
        return has_tag(values)
    if name in _INDEXED and "" not in values:  # a bare column, so that its index serves
        return request_record.c[ROLLUP[name]].in_(values)
    return one_of(of_record(name), values, dimension=name)


def filter_rollup(filters: Filters, *, rollup: FromClause) -> list[ColumnElement[bool]]:
    """The conditions of *filters* on a row of a rollup."""
    return [one_of(rollup.c[ROLLUP[name]], values, dimension=name) for name, values in filters.items()]


def one_of(expression: ColumnElement[str], values: Sequence[str], *, dimension: str) -> ColumnElement[bool]:
    """Exactly one of *values*; in a model's name ``*`` stands for any characters, and case does not matter then."""
    patterns = [value for value in values if dimension in _PATTERNS and "*" in value]
    exact = [value for value in values if value not in patterns]
    likes = [func.lower(expression).like(_like(pattern), escape="\\") for pattern in patterns]
    return or_(expression.in_(exact), *likes) if likes else expression.in_(exact)


def _like(pattern: str) -> str:
    escaped = pattern.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")


def has_tag(values: tuple[str, ...]) -> ColumnElement[bool]:
    """Records with at least one of the tags; '' means a record without any."""
    tags = TagsOf(request_record.c.tags).table_valued("value").alias("tag_filter")
    one_of = exists(select(1).select_from(tags).where(tags.c.value.in_(values)))
    if "" in values:
        return or_(request_record.c.tags.is_(None), request_record.c.tags == [], one_of)
    return and_(request_record.c.tags.is_not(None), one_of)
