"""How the process is at this moment: its gauges, by the names of their instruments."""

import os
import resource
from collections.abc import Mapping
from pathlib import Path

from service.telemetry import names
from service.telemetry.names import Instrument

GAUGES: Mapping[str, Instrument] = {
    instrument.name: instrument
    for instrument in (
        names.OPEN_REQUESTS,
        names.OPEN_STREAMS,
        names.DRAINS,
        names.BACKLOG,
        names.LAG,
        names.STORE_UP,
        names.READY,
        names.JOURNAL_OPEN,
        names.JOURNAL_USED,
        names.JOURNAL_LIMIT,
        names.CONTENT_STORED,
        names.CONTENT_LEFT_OUT,
        names.CONTENT_FAILED,
        names.KEEPER_LEADS,
        names.SPANS,
        names.SPANS_DROPPED,
        names.METRICS_FAILED,
        names.CPU,
        names.MEMORY,
        names.OPEN_FILES,
        names.STARTED,
    )
}
"""What a process writes into its slot about itself."""


def process_figures() -> dict[str, float]:
    """Processor time, memory and files of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {names.CPU.name: round(used.ru_utime + used.ru_stime, 3)}
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        figures[names.MEMORY.name] = float(pages * resource.getpagesize())
        figures[names.OPEN_FILES.name] = float(sum(1 for _ in Path("/proc/self/fd").iterdir()))
    except OSError:  # a system without /proc
        figures[names.MEMORY.name] = float(used.ru_maxrss * 1024)
    return figures


def bytes_under(directory: Path) -> int:
    """What the files of a directory occupy; 0 where there is none."""
    total = 0
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    total += entry.stat().st_size
                except FileNotFoundError:  # a segment that was done with meanwhile
                    continue
    except FileNotFoundError:
        return 0
    return total
