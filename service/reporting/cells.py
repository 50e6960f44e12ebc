"""Columns of stored values as the values of a file: ids, instants and amounts as text. Pure.

Whole columns at a time: a comprehension costs a fraction of a function call for each value.
"""

from collections.abc import Iterable
from datetime import timedelta
from struct import Struct
from typing import Any

from service.pricing.money import NANOS_PER_USD, format_usd
from service.reporting.columns import Chunk, Column, Values
from service.store.types import EPOCH

_CENT_NANOS = NANOS_PER_USD // 100
_UUID_DIGITS = Struct("8s4s4s4s12s")
_SECOND_MICROS = 1_000_000
_HOUR_SECONDS = 3_600
_SECONDS = tuple(f"{second // 60:02}:{second % 60:02}" for second in range(_HOUR_SECONDS))
"""The minutes and seconds of an hour."""


def values_of(chunk: Chunk, column: Column) -> Values:
    """The values of *column* as text, numbers and bools; a list or an object stays JSON text."""
    values = chunk[column.at]
    match column.kind:
        case "id":
            return id_texts(values)
        case "instant":
            return instant_texts(values)
        case "usd":
            return usd_texts(values)
        case "nanos":
            return [None if nanos is None else int(nanos) for nanos in values]
        case "boolean":
            return [None if value is None else bool(value) for value in values]
        case _:
            return values


def id_texts(values: Values) -> list[str]:
    """UUIDs as text, from 16 bytes each or from `UUID`."""
    if not isinstance(values[0], bytes):
        return list(map(str, values))
    digits = b"".join(values).hex().encode()
    return b" ".join(map(b"-".join, _UUID_DIGITS.iter_unpack(digits))).decode().split(" ")


def usd_texts(values: Iterable[Any]) -> list[str | None]:
    """Nano-USD as `format_usd` writes it, at a third of its cost."""
    return [
        (None if nanos is None else format_usd(int(nanos)))
        if nanos is None or nanos < 0
        else f"{nanos // NANOS_PER_USD}.{nanos % NANOS_PER_USD:09}".rstrip("0")
        if nanos % _CENT_NANOS
        else f"{nanos // NANOS_PER_USD}.{nanos // _CENT_NANOS % 100:02}"
        for nanos in values
    ]


def instant_texts(values: Iterable[int | None]) -> list[str | None]:
    """Instants as `2026-01-31T23:59:59.000001Z`, without a fraction where it is zero."""
    hours: dict[int, str] = {}
    texts: list[str | None] = []
    for micros in values:
        if micros is None:
            texts.append(None)
            continue
        second = micros // _SECOND_MICROS
        hour = second // _HOUR_SECONDS
        begin = hours.get(hour)
        if begin is None:
            begin = hours[hour] = (EPOCH + timedelta(hours=hour)).isoformat()[: len("2026-01-31T23:")]
        fraction = micros % _SECOND_MICROS
        rest = f".{fraction:06}Z" if fraction else "Z"
        texts.append(f"{begin}{_SECONDS[second % _HOUR_SECONDS]}{rest}")
    return texts
