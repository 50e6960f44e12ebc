"""What reached the simulated upstream, one JSON line each, written before the answer starts and when it ends.

`os.write` to an O_APPEND file, no buffer: a line that a client could have seen the effect of is in the file,
whatever is killed afterwards. Every line names its `event` (start or end) and the `seq` that pairs the two.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

LogLine = Callable[[Mapping[str, Any]], None]


class RequestLog:
    """Appends lines to the file at *path*."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def __call__(self, line: Mapping[str, Any]) -> None:
        """Append *line*; it is in the file when this returns."""
        os.write(self._descriptor, msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def discard(line: Mapping[str, Any]) -> None:
    """Keep no log."""
