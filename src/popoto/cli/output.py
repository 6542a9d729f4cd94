"""What people read: tables and progress bars.

With rich (extra ``popoto[cli]``) on a terminal they are drawn; everywhere else they are plain
text, and progress is shown on terminals alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TextIO, TypeAlias

from popoto._packages import is_installed

#: Called with how much was done so far.
Report: TypeAlias = Callable[[int], None]

_HAS_RICH = is_installed("rich")
#: Seconds between two states of the plain progress line.
_REDRAWN = 0.1


def printable(text: str) -> str:
    """Text in which nothing can move the cursor or end a line."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


def say(text: str) -> None:
    """A line of the result."""
    print(text)


def complain(text: str) -> None:
    """A remark or problem, beside the result."""
    print(printable(text), file=sys.stderr, flush=True)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under headers; a header that ends with `#` is one of numbers, to the right."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if _is_drawn(sys.stdout):
        _drawn_table(headers, cells)
        return
    titles = [header.rstrip("#") for header in headers]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    for row in (titles, *cells):
        line = "  ".join(
            cell.rjust(width) if header.endswith("#") else cell.ljust(width)
            for header, cell, width in zip(headers, row, widths, strict=True)
        )
        print(f"  {line}".rstrip())


def _is_drawn(stream: TextIO) -> bool:
    return _HAS_RICH and stream.isatty()


def _drawn_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box  # optional
    from rich.console import Console  # optional
    from rich.table import Table  # optional
    from rich.text import Text  # optional

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        is_number = header.endswith("#")
        drawn.add_column(header.rstrip("#"), justify="right" if is_number else "left")
    for row in rows:
        drawn.add_row(*map(Text, row))
    Console().print(drawn)


@contextmanager
def progress(label: str, total: int, *, quiet: bool = False) -> Generator[Report]:
    """A progress bar on the standard error, if that is a terminal; `total` may be a guess."""
    if quiet or not sys.stderr.isatty():
        yield lambda done: None
    elif _HAS_RICH:
        yield from _drawn_bar(label, total)
    else:
        yield from _plain_line(label, total)


def _drawn_bar(label: str, total: int) -> Generator[Report]:
    from rich.console import Console  # optional
    from rich.progress import (  # optional
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (TextColumn(label), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=max(total, 1))
        yield lambda done: bar.update(task, completed=min(done, total))


def _plain_line(label: str, total: int) -> Generator[Report]:
    drawn = 0.0

    def draw(done: int) -> None:
        nonlocal drawn
        now = time.monotonic()
        if now - drawn >= _REDRAWN:
            drawn = now
            share = min(done / max(total, 1), 1.0)
            print(f"\r{label}: {share:.0%}", end="", file=sys.stderr, flush=True)

    yield draw
    print("\r" + " " * (len(label) + 8) + "\r", end="", file=sys.stderr, flush=True)
