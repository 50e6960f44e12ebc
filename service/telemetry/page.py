"""The page that Prometheus scrapes: whichever worker answers, it answers for every process of its data directory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from service.telemetry import names
from service.telemetry.figures import GAUGES, bytes_under
from service.telemetry.layout import FAMILIES, Family
from service.telemetry.prometheus import Sample, page
from service.telemetry.series import Key
from service.telemetry.slots import Image, read_slots


class MetricsPage:
    """Makes the text; what *more* returns is added to it."""

    def __init__(
        self,
        *,
        slots: Path,
        journal: Path,
        version: str,
        beat: Callable[[], object],
        more: Callable[[], Sequence[Sample]] = tuple,
    ) -> None:
        self._slots = slots
        self._journal = journal
        self._version = version
        self._beat = beat
        self._more = more

    def text(self) -> str:
        """The page as of now; reads files and, every few seconds, the store."""
        self._beat()
        images = read_slots(self._slots)
        return page(_summed(images), [*self._host(images), *_gauges(images), *self._more()])

    def _host(self, images: list[Image]) -> Iterator[Sample]:
        alive = sum(image.gauges is not None for image in images)
        yield Sample(names.BUILD, 1, ((names.SERVICE_VERSION, self._version),))
        yield Sample(names.WORKERS, alive)
        yield Sample(names.JOURNAL_BYTES, bytes_under(self._journal))


def _summed(images: list[Image]) -> Mapping[Family, Mapping[Key, Sequence[int]]]:
    totals: dict[Family, dict[Key, Sequence[int]]] = {family: {} for family in FAMILIES}
    for image in images:
        for family, rows in image.rows.items():
            total = totals[family]
            for key, cells in rows.items():
                known = total.get(key)
                total[key] = cells if known is None else [a + b for a, b in zip(known, cells, strict=True)]
    return totals


def _gauges(images: list[Image]) -> Iterator[Sample]:
    for image in images:
        worker = ((names.WORKER, str(image.number)),)
        for name, value in (image.gauges or {}).items():
            instrument = GAUGES.get(name)
            if instrument is not None:
                yield Sample(instrument, value, worker)
