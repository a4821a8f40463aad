"""Tables that fit: no id, time or state is broken; where the columns do not fit, a row is a list of them."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

_SHORT = 26  # cells up to this stand on one line
_WORD = 40  # and so do words, such as ids of traces: a person copies them
_LEAST = 20  # for text that goes on in the next line
_GAP = 2


def needed(names: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """How wide a table of these columns is at the least."""
    return sum(_least(names, rows)) + _GAP * (len(names) - 1)


def laid_out(names: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Table:
    """The rows in columns; where they need more than `width`, one row after another without what is empty.

    Names and cells are text and no markup: what came from production is data for the terminal too.
    """
    if needed(names, rows) > width:
        return _one_by_one(names, rows)
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    for name, wide in zip(names, _widths(names, rows, width), strict=True):
        table.add_column(Text(name), overflow="fold", width=wide)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _widths(names: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Of each column: what it needs, and what is left goes to those first that lack least."""
    widths, spare = _least(names, rows), width - needed(names, rows)
    lacks = [
        max(map(cell_len, column)) - widths[n] for n, column in enumerate(zip(names, *rows, strict=True))
    ]
    for n in sorted(range(len(lacks)), key=lacks.__getitem__):
        more = min(lacks[n], spare)
        widths[n], spare = widths[n] + more, spare - more
    return widths


def _one_by_one(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for number, row in enumerate(rows):
        if number:
            grid.add_row()
        for name, cell in zip(names, row, strict=True):
            if cell:
                grid.add_row(Text(name), Text(cell))
    return grid


def _least(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [_least_of(name, [row[place] for row in rows]) for place, name in enumerate(names)]


def _least_of(name: str, cells: Sequence[str]) -> int:
    whole = max(map(cell_len, cells), default=0)
    words = (cell_len(word) for text in (name, *cells) for word in text.split())
    word = max((size for size in words if size <= _WORD), default=0)
    return max(word, whole if whole <= _SHORT else _LEAST)
