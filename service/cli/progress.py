"""A progress bar on standard error for long work; nothing where standard error is no terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A function that takes how much is done and how much there is."""
    with click.progressbar(length=1, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def advance(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield advance


@contextmanager
def counter(label: str) -> Iterator[Callable[[int], None]]:
    """A function that takes how much is done, where nobody knows how much there is."""
    shown = sys.stderr.isatty()

    def advance(done: int) -> None:
        if shown:
            click.echo(f"\r{label}: {done}", nl=False, err=True)

    yield advance
    if shown:
        click.echo(err=True)
