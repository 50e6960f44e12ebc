"""The text that Prometheus scrapes (exposition format 0.0.4). Pure.

Names and labels are what OpenTelemetry's own translation makes of them: dots become underscores, the unit is spelled
out behind the name, counters end in `_total`; so a dashboard works whether metrics are scraped or come by a collector.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

import msgspec

from service.telemetry.layout import Attributes, Family, Histogram
from service.telemetry.names import Instrument
from service.telemetry.series import Key

CONTENT_TYPE = "text/plain; version=0.0.4"  # the server adds the character set
_UNITS = {"s": "seconds", "By": "bytes"}
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Cells = Mapping[Key, Sequence[int]]


class Sample(msgspec.Struct, frozen=True):
    """One value of a gauge or a counter that is not kept in rows."""

    instrument: Instrument
    value: float
    attributes: Attributes = ()


def metric_name(instrument: Instrument) -> str:
    """What Prometheus calls an instrument."""
    if instrument.prometheus is not None:
        return instrument.prometheus
    name = label_name(instrument.name)
    unit = _UNITS.get(instrument.unit)
    if unit is not None and not name.endswith(unit):
        name = f"{name}_{unit}"
    return f"{name}_total" if instrument.kind == "counter" else name


def label_name(attribute: str) -> str:
    """What Prometheus calls an attribute."""
    return attribute.replace(".", "_")


def page(families: Mapping[Family, Cells], samples: Iterable[Sample]) -> str:
    """The whole text. *samples* of one instrument may stand anywhere; they come out together."""
    lines: list[str] = []
    for family, rows in families.items():
        ordered = [(_labels(family, key), cells) for key, cells in sorted(rows.items())]
        _write_counters(lines, family, ordered)
        _write_histograms(lines, family, ordered)
    by_instrument = attrgetter("instrument.name")
    for _, group in groupby(sorted(samples, key=by_instrument), key=by_instrument):
        several = list(group)
        name = _head(lines, several[0].instrument)
        lines += [f"{name}{_braces(_pairs(sample.attributes))} {_number(sample.value)}" for sample in several]
    return "\n".join((*lines, ""))


def _write_counters(lines: list[str], family: Family, rows: list[tuple[str, Sequence[int]]]) -> None:
    for instrument, counters in groupby(family.counters, key=lambda counter: counter.instrument):
        name = _head(lines, instrument)
        for counter in counters:
            more = _pairs(counter.attributes)
            lines += [
                f"{name}{_braces(labels, more)} {_scaled(cells[counter.at], counter.per_unit)}"
                for labels, cells in rows
            ]


def _write_histograms(lines: list[str], family: Family, rows: list[tuple[str, Sequence[int]]]) -> None:
    for instrument, histograms in groupby(family.histograms, key=lambda histogram: histogram.instrument):
        name = _head(lines, instrument)
        for histogram in histograms:
            for labels, cells in rows:
                if any(cells[histogram.at : histogram.sum_at]):
                    _write_histogram(lines, name, labels, histogram=histogram, cells=cells)


def _write_histogram(
    lines: list[str], name: str, labels: str, *, histogram: Histogram, cells: Sequence[int]
) -> None:
    shared = _joined(labels, _pairs(histogram.attributes))
    total = 0
    ends = [*(_number(bound) for bound in histogram.instrument.bounds), "+Inf"]
    for end, count in zip(ends, cells[histogram.at : histogram.sum_at], strict=True):
        total += count
        bucket = _joined(shared, f'le="{end}"')
        lines.append(f"{name}_bucket{{{bucket}}} {total}")
    lines.append(f"{name}_sum{_braces(shared)} {_scaled(cells[histogram.sum_at], histogram.per_unit)}")
    lines.append(f"{name}_count{_braces(shared)} {total}")


def _head(lines: list[str], instrument: Instrument) -> str:
    name = metric_name(instrument)
    lines.append(f"# HELP {name} {instrument.description}")
    lines.append(f"# TYPE {name} {instrument.kind}")
    return name


def _labels(family: Family, key: Key) -> str:
    pairs = [*family.constant, *zip(family.keys, key, strict=True)]
    return _pairs([(name, value) for name, value in pairs if value])


def _pairs(attributes: Iterable[tuple[str, str]]) -> str:
    return ",".join(f'{label_name(name)}="{value.translate(_ESCAPES)}"' for name, value in attributes)


def _joined(*parts: str) -> str:
    return ",".join(filter(None, parts))


def _braces(*parts: str) -> str:
    inside = _joined(*parts)
    return f"{{{inside}}}" if inside else ""


def _scaled(value: int, per_unit: int) -> str:
    """A cell in the instrument's unit, without rounding."""
    if per_unit == 1:
        return str(value)
    whole, rest = divmod(value, per_unit)
    digits = len(str(per_unit)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
