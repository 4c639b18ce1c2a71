"""Columns for people: wide enough for what is in them, and coloured where somebody looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from tolstoy_operator.cli.text import clean

_GAP = "   "  # as kubectl has it


@dataclass(frozen=True, slots=True)
class Cell:
    """A text and its colour; None is the terminal's own."""

    text: str
    colour: str | None = None


Row = Sequence[Cell | str]


def aligned(rows: Sequence[Row]) -> list[str]:
    """The rows as lines, each column as wide as its widest cell. Colour codes take no room."""
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    cells = [[Cell(clean(cell.text), cell.colour) for cell in row] for row in cells]
    widths = [max(len(row[at].text) for row in cells if at < len(row)) for at in range(max(map(len, cells), default=0))]
    return [_line(row, widths) for row in cells]


def table(header: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """The same with a header, as `kubectl get` prints it; an empty cell shows as `-`."""
    filled = [[cell if _text(cell) else "-" for cell in row] for row in rows]
    return aligned([header, *filled])


def _text(cell: Cell | str) -> str:
    return cell.text if isinstance(cell, Cell) else cell


def _line(row: Sequence[Cell], widths: Sequence[int]) -> str:
    last = len(row) - 1
    padded = [cell.text if at == last else cell.text.ljust(widths[at]) for at, cell in enumerate(row)]
    painted = [
        click.style(text, fg=cell.colour) if cell.colour else text for text, cell in zip(padded, row, strict=True)
    ]
    return _GAP.join(painted).rstrip()
