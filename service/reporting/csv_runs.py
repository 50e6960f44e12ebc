"""The runs of a CSV file out of packed texts, a chunk of rows at once. Pure.

A packed text is a line of CSV with other separators, as long as no cell needs quoting or defusing. Where one does,
the cells are told apart, which is slower. Where a text has one of the separators, nobody can tell them apart.
"""

from collections.abc import Sequence

from service.reporting.columns import CELL, RUN, Chunk, Run, Values

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NEED_QUOTES = (",", '"', "\n", "\r")


class Packed:
    """What packed texts say."""

    def __init__(self, texts: Sequence[str], runs: Sequence[Run]) -> None:
        self._runs = runs
        self._text = f"{RUN}{CELL}".join(["", *texts])
        self._cells = sum(len(run.columns) for run in runs)
        self._rows = len(texts)

    @property
    def readable(self) -> bool:
        """There are as many separators as there must be: no text has one of its own."""
        return (
            self._text.count(RUN) == self._rows * len(self._runs)
            and self._text.count(CELL) == self._rows * self._cells
        )

    @property
    def plain(self) -> bool:
        """No cell needs quoting or defusing. To look for one character first takes next to no time."""
        text = self._text
        return not any(mark in text for mark in _NEED_QUOTES) and not any(
            start in text and f"{CELL}{start}" in text for start in FORMULA_STARTS
        )

    def lines(self) -> list[list[str]]:
        """For each run its cells with commas between them, where all are plain."""
        lines = self._text.replace(CELL, ",").split(f"{RUN},")
        return [lines[run.place + 1 :: len(self._runs)] for run in self._runs]

    def chunks(self) -> list[Chunk]:
        """For each run the values of its columns."""
        values = self._text.replace(RUN, "").split(CELL)
        chunks: list[Chunk] = []
        start = 1
        for run in self._runs:
            end = start + len(run.columns)
            columns: list[Values] = [values[at :: self._cells] for at in range(start, end)]
            chunks.append(columns)
            start = end
        return chunks
