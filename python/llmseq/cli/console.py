"""What every command writes with: tables, progress with the time left, warnings of one line.

Results go to standard output, everything about the work to standard error. rich is imported when
something is drawn, never for ``--help``.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import Console

_UNLIMITED = 10_000  # columns where no terminal sets a width: a pipe gets whole rows
_SECONDS_BETWEEN_LINES = 10.0


def one_line(text: object) -> str:
    """Put a message on one line."""
    return " ".join(str(text).split())


def say(text: str) -> None:
    """Write a line of the result to standard output."""
    click.echo(text)


def note(text: str) -> None:
    """Write a line about the work to standard error."""
    click.echo(text, err=True)


def warn(text: object) -> None:
    """Write ``warning: …`` to standard error, on one line."""
    click.echo(f"{click.style('warning:', fg='yellow')} {one_line(text)}", err=True)


def fail(text: object) -> None:
    """Write ``error: …`` to standard error, on one line."""
    click.echo(f"{click.style('error:', fg='red')} {one_line(text)}", err=True)


def console(stream: TextIO | None = None) -> Console:
    """Make the rich console of a stream (standard output unless another is given).

    Where the stream is no terminal, nothing is wrapped, cut or coloured.
    """
    from rich.console import Console

    made = Console(file=stream or sys.stdout, highlight=False)
    if not made.is_terminal:
        made.width = _UNLIMITED
    return made


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    left: Sequence[str] | None = None,
) -> None:
    """Draw a table on standard output.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : iterable of sequences
        Cells; None is an empty cell. Text is shown as it is, without markup.
    title : str, optional
        Stands above the table.
    left : sequence of str, optional
        Headings of the columns that are aligned to the left; the first one unless given. All
        others are aligned to the right.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    aligned_left = set(columns[:1] if left is None else left)
    table = Table(
        title=None if title is None else Text(title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for name in columns:
        on_the_left = name in aligned_left
        table.add_column(
            Text(name), justify="left" if on_the_left else "right", no_wrap=not on_the_left
        )
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    drawn = console()
    with drawn.capture() as capture:
        drawn.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n"))


def duration(seconds: float) -> str:
    """Say how long something takes.

    Examples
    --------
    >>> duration(0.21), duration(42), duration(187), duration(7500)
    ('0.2 s', '42 s', '3 min 7 s', '2 h 5 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@contextmanager
def progress(label: str) -> Iterator[Callable[[float, str], None]]:
    """Show how far a piece of work is, on standard error.

    On a terminal this is a bar with the time left, removed when the block ends; elsewhere a line
    at most every ten seconds.

    Parameters
    ----------
    label : str
        What is being done, for example ``"SASRec"``.

    Yields
    ------
    callable
        Takes the share done (0 to 1) and a short text; fits ``FitContext.progress``.
    """
    drawn = console(sys.stderr)
    if not drawn.is_terminal:
        yield _lines(label)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeLeft(),
        TextColumn("{task.fields[text]}", markup=False),
        console=drawn,
        transient=True,
    ) as bars:
        task = bars.add_task(label, total=1.0, text="")

        def update(share: float, text: str) -> None:
            bars.update(task, completed=min(max(share, 0.0), 1.0), text=one_line(text))

        yield update


def _lines(label: str) -> Callable[[float, str], None]:
    """Progress as plain lines, seldom enough for a log file.

    The time left follows from what was done since the first report: work that goes on where an
    earlier process stopped begins with a share that cost this one nothing.
    """
    last = time.monotonic()
    first: tuple[float, float] | None = None  # when the first report came, and its share

    def update(share: float, text: str) -> None:
        nonlocal last, first
        now = time.monotonic()
        first = first or (now, share)
        if now - last < _SECONDS_BETWEEN_LINES:
            return
        last = now
        left = ""
        if first[1] < share < 1.0:
            seconds = (now - first[0]) * (1.0 - share) / (share - first[1])
            left = f", about {duration(seconds)} left"
        note(f"{label}: {share:.0%}{left}  {one_line(text)}".rstrip())

    return update
