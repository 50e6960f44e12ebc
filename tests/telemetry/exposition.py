"""A strict reader of Prometheus' text format 0.0.4: what it does not know, or finds twice, is an error.

Written from the format's documentation, not from our writer. Histograms are checked as a scraper relies on them:
buckets in order and cumulative, `+Inf` equal to the count.
"""

import math
import re
from collections import defaultdict

import msgspec

Labels = frozenset[tuple[str, str]]

_HELP = re.compile(r"# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)")
_TYPE = re.compile(r"# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)")
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')
_UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Scrape(msgspec.Struct):
    """What one page says."""

    types: dict[str, str]
    samples: dict[str, dict[Labels, float]]
    text: dict[tuple[str, Labels], str]

    def value(self, name: str, **labels: str) -> float:
        """The sum over all samples of *name* that carry these labels; 0 where there are none."""
        wanted = set(labels.items())
        return math.fsum(value for has, value in self.samples.get(name, {}).items() if wanted <= has)

    def labels(self, name: str, label: str) -> set[str]:
        """The values that a label has."""
        return {value for has in self.samples.get(name, {}) for key, value in has if key == label}


def parse(page: str) -> Scrape:
    """The page, or AssertionError."""
    assert page.endswith("\n")
    scrape = Scrape({}, defaultdict(dict), {})
    described: set[str] = set()
    current = ""
    for line in page[:-1].split("\n"):
        if help_found := _HELP.fullmatch(line):
            assert help_found[1] not in described, line
            described.add(help_found[1])
        elif type_found := _TYPE.fullmatch(line):
            current = type_found[1]
            assert current in described, line
            assert current not in scrape.types, f"{current} is not in one piece"
            scrape.types[current] = type_found[2]
        else:
            _take_sample(scrape, line, current=current)
    for name, kind in scrape.types.items():
        if kind == "histogram":
            _check_histogram(scrape, name)
        if kind == "counter":
            assert all(value >= 0 for value in scrape.samples.get(name, {}).values())
    return scrape


def _take_sample(scrape: Scrape, line: str, *, current: str) -> None:
    found = _SAMPLE.fullmatch(line)
    assert found is not None, repr(line)
    name, labels_text, value = found.groups()
    allowed = {current}
    if scrape.types.get(current) == "histogram":
        allowed = {f"{current}_bucket", f"{current}_sum", f"{current}_count"}
    assert name in allowed, f"{line!r} stands under {current}"
    labels = _labels(labels_text or "")
    assert labels not in scrape.samples[name], f"twice: {line}"
    scrape.samples[name][labels] = float(value)
    scrape.text[name, labels] = value


def _labels(text: str) -> Labels:
    pairs: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        found = _LABEL.match(text, at)
        assert found is not None, repr(text[at:])
        pairs.append((found[1], re.sub(r"\\.", lambda escape: _UNESCAPED[escape[0]], found[2])))
        at = found.end()
    assert len(dict(pairs)) == len(pairs), text
    return frozenset(pairs)


def _check_histogram(scrape: Scrape, name: str) -> None:
    series: dict[Labels, dict[float, float]] = defaultdict(dict)
    for labels, value in scrape.samples.get(f"{name}_bucket", {}).items():
        ends = [text for key, text in labels if key == "le"]
        assert len(ends) == 1
        series[frozenset(pair for pair in labels if pair[0] != "le")][float(ends[0])] = value
    assert set(series) == set(scrape.samples.get(f"{name}_count", {}))
    assert set(series) == set(scrape.samples.get(f"{name}_sum", {}))
    for labels, buckets in series.items():
        counts = [buckets[end] for end in sorted(buckets)]
        assert counts == sorted(counts), (name, labels)
        assert buckets[math.inf] == scrape.samples[f"{name}_count"][labels]
