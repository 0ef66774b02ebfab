"""Tables in text: where the numbers are, how they are separated, and all of them at once as an array."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from xrdcomp.errors import ReadError
from xrdcomp.types import FloatArray

__all__ = [
    "MAX_POINTS",
    "Dialect",
    "find_blocks",
    "guess_dialect",
    "looks_numeric",
    "parse_rows",
    "split_cells",
    "split_lines",
]

MAX_POINTS = 1_000_000
"""More points than any run has (ten a second for a day); larger tables are refused before they are taken apart."""
MAX_COLUMNS = 400
MAX_CELLS = 20_000_000
MAX_BLOCKS = 2_000
"""More segments than any program has; a file where text and numbers alternate is none of a run."""
_CHUNK = 20_000
BLANKS = frozenset({"", "-", "--", "---", "nan", "n/a", "#n/a", "na", "null", "none", "#nv", "*", "."})
"""What stands for no value."""

MAX_LINE = 20_000
"""Longest line that is looked at; rows of `MAX_COLUMNS` numbers have 10 000 characters."""

_PLAIN_ROW = re.compile(r'[\s;,"]*[-+.]?\d[\d\s.,;+\-eE"]*')
"""What nearly every row matches; whether its cells are numbers is seen when they are parsed."""
_CELL = re.compile(
    r"[-+]?(?:\d[\d.,]*|[.,]\d+)(?:[eEdD][-+]?\d+)?|#?[nN]/?[aA][nN]?|#NV|-{1,3}|NULL|null|None"
)
_BETWEEN = re.compile(r'[\s;,"]+')


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How the cells of a row are separated (None: runs of blanks) and which sign is the decimal one."""

    separator: str | None
    decimal: str = "."

    @property
    def words(self) -> str:
        """For messages."""
        names = {None: "blanks", "\t": "tabs", ";": "semicolons", ",": "commas"}
        name = names.get(self.separator, repr(self.separator))
        return f"cells separated by {name}, decimal {'comma' if self.decimal == ',' else 'point'}"


def split_lines(text: str) -> list[str]:
    """Lines of a text.

    Raises
    ------
    ReadError
        A line longer than `MAX_LINE`, or a text of blanks.
    """
    count = text.count("\n")
    if count > MAX_POINTS + 10_000:
        msg = f"the file has {count} lines, more than the {MAX_POINTS} points that are read"
        raise ReadError(msg, expected="one run")
    lines = text.split("\n")
    longest = max(map(len, lines))
    if longest > MAX_LINE:
        at = next(i for i, line in enumerate(lines) if len(line) > MAX_LINE)
        msg = f"the line has {len(lines[at])} characters, more than the {MAX_LINE} that a row may have"
        raise ReadError(msg, place=f"line {at + 1}", expected="a text export with one point per line")
    return lines


def looks_numeric(line: str) -> bool:
    """Whether a line could be a row of numbers and blanks."""
    if _PLAIN_ROW.fullmatch(line):
        return True
    cells = [cell for cell in _BETWEEN.split(line) if cell]
    return any(cell[-1].isdigit() for cell in cells) and all(_CELL.fullmatch(cell) for cell in cells)


def find_blocks(lines: Sequence[str], *, start: int = 0) -> list[tuple[int, int]]:
    """Runs of numeric lines as (first, last + 1), 0-based; blank lines inside a run end it."""
    flags = np.fromiter(map(looks_numeric, lines[start:]), dtype=np.bool_)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    if len(edges) > 2 * MAX_BLOCKS:
        msg = f"text and numbers alternate {len(edges) // 2} times"
        raise ReadError(msg, expected=f"at most {MAX_BLOCKS} segments")
    return [
        (int(a) + start, int(b) + start)
        for a, b in zip(edges[::2], edges[1::2], strict=True)
        if b - a > 1 or len(_BETWEEN.split(lines[int(a) + start].strip())) > 1
    ]


def guess_dialect(rows: Sequence[str], header: str = "") -> Dialect:
    """Separator and decimal sign from some rows of numbers and the header above them.

    Raises
    ------
    ReadError
        The comma could be either (``1,5,20,3``) and nothing settles it.
    """
    sample = [row for row in rows[:200] if row.strip()]
    joined = "\n".join(sample)
    for separator in ("\t", ";"):
        if all(separator in row for row in sample):
            return Dialect(separator=separator, decimal="," if any("," in row for row in rows) else ".")
    if "," not in joined:
        return Dialect(separator=None)
    commas = {row.count(",") for row in sample}
    if "." in joined or re.search(r",\s|,[-+]|,,", joined):
        return Dialect(separator=",")
    tokens = {len(row.split()) for row in sample}
    if tokens != {1} and all(token.count(",") <= 1 for row in sample for token in row.split()):
        return Dialect(separator=None, decimal=",")
    if header.count(",") == max(commas) and len(commas) == 1:
        return Dialect(separator=",")
    if commas == {1} and not header:
        return Dialect(separator=",")
    msg = f"the comma may separate columns or decimals: {sample[0].strip()[:60]!r}"
    raise ReadError(
        msg,
        expected="a header whose columns are separated as the numbers are",
        hint="Export with semicolons or tabs, or with the decimal point.",
    )


def split_cells(line: str, dialect: Dialect) -> list[str]:
    """Cells of one line, stripped of blanks and quotes; a quoted cell may hold the separator."""
    if dialect.separator is None:
        return line.split()
    if '"' in line:
        import csv

        cells = next(csv.reader([line], delimiter=dialect.separator, skipinitialspace=True), [])
        return [cell.strip() for cell in cells]
    return [cell.strip() for cell in line.split(dialect.separator)]


def parse_rows(rows: Sequence[str], dialect: Dialect, *, first_line: int, n_columns: int = 0) -> FloatArray:
    """Turn rows of text into an (n, k) array, NaN where a cell is blank.

    Parameters
    ----------
    rows : sequence of str
    dialect : Dialect
    first_line : int
        Line number (from 1) of the first row, for messages.
    n_columns : int
        Columns that every row must have; 0 for as many as the first row has.

    Raises
    ------
    ReadError
        A row with more or fewer cells, a cell that is no number, an infinite value.
    """
    width = n_columns or len(split_cells(rows[0], dialect))
    if width > MAX_COLUMNS or len(rows) * width > MAX_CELLS:
        msg = f"the table has {len(rows)} rows of {width} columns, more than are read"
        raise ReadError(msg, place=f"line {first_line}", expected="one run")
    parts = [
        _parse_chunk(rows[at : at + _CHUNK], dialect, first_line + at, width)
        for at in range(0, len(rows), _CHUNK)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _parse_chunk(rows: Sequence[str], dialect: Dialect, first_line: int, width: int) -> FloatArray:
    joined = "\n".join(rows)
    values = _parse_plain(rows, joined, dialect, width)
    if values is not None:
        return values
    if '"' in joined:
        grid = [split_cells(row, dialect) for row in rows]
    elif dialect.separator is None:
        grid = [row.split() for row in rows]
    else:
        grid = [row.split(dialect.separator) for row in rows]
    for offset, cells in enumerate(grid):
        if len(cells) != width:
            grid[offset] = _mend_width(cells, width, offset, first_line, rows)
    flat = [cell for cells in grid for cell in cells]
    if dialect.decimal == ",":
        flat = [cell.replace(",", ".") if "." not in cell else cell + "!" for cell in flat]
    try:
        if "_" in joined:
            raise ValueError
        values = np.fromiter(map(float, flat), dtype=np.float64, count=len(flat))
    except ValueError:
        values = _parse_with_blanks(flat, width, first_line, rows)
    if np.isinf(values).any():
        where = int(np.argmax(np.isinf(values))) // width
        _refuse(rows[where], first_line + where, "it holds an infinite value")
    return values.reshape(-1, width)


def _parse_plain(rows: Sequence[str], joined: str, dialect: Dialect, width: int) -> FloatArray | None:
    """Rows of nothing but finite numbers, taken apart at once; None where there is anything else to judge."""
    comma = dialect.decimal == ","
    if '"' in joined or (comma and "." in joined) or not rows[0].strip():
        return None
    if comma:
        rows = joined.replace(",", ".").split("\n")
    try:
        values = np.loadtxt(rows, delimiter=dialect.separator, comments=None, ndmin=2)
    except ValueError:
        return None
    return values if values.shape == (len(rows), width) and np.isfinite(values).all() else None


def _mend_width(cells: list[str], width: int, offset: int, first_line: int, rows: Sequence[str]) -> list[str]:
    """Accept a row that differs by empty cells at its end only."""
    extra = cells[width:]
    if extra and not any(cell.strip() for cell in extra):
        return cells[:width]
    if len(cells) == width - 1 and rows[offset].rstrip("\n")[-1:] in "\t;,":
        return [*cells, ""]
    msg = f"the row has {len(cells)} columns where {width} are expected: {rows[offset].strip()[:60]!r}"
    hint = "The row is damaged or the file was cut here; copy it again from the instrument."
    raise ReadError(msg, place=f"line {first_line + offset}", hint=hint)


def _parse_with_blanks(flat: list[str], width: int, first_line: int, rows: Sequence[str]) -> FloatArray:
    values = np.empty(len(flat))
    if "_" not in "".join(rows):
        filled = [cell if cell and not cell.isspace() else "nan" for cell in flat]
        with contextlib.suppress(ValueError):
            return np.fromiter(map(float, filled), dtype=np.float64, count=len(flat))
    for i, cell in enumerate(flat):
        try:
            if "_" in cell:
                raise ValueError
            values[i] = float(cell)
        except ValueError:
            if cell.strip().lower() not in BLANKS:
                number = i // width
                _refuse(rows[number], first_line + number, _complaint(cell))
            values[i] = np.nan
    return values


def _complaint(cell: str) -> str:
    text = cell.strip().rstrip("!")[:40]
    if text.count(".") > 1:
        return (
            f"the number {text!r} has {text.count('.')} points: a spreadsheet has taken the decimal point for "
            "a thousands separator, and where the point was cannot be known"
        )
    if "." in text and cell.endswith("!"):
        return f"the number {text!r} has a point, and others of the table have a decimal comma"
    if "," in text and "." in text:
        return f"the number {text!r} has both a comma and a point"
    return f"{text!r} is not a number"


def _refuse(row: str, line: int, complaint: str) -> NoReturn:
    hint = "Export the measurement again from the instrument's software, without opening it in a spreadsheet."
    if "point" not in complaint and "comma" not in complaint:
        hint = (
            f"The row reads {row.strip()[:60]!r}; copy the file again, or correct the row if "
            "its value is known."
        )
    raise ReadError(complaint, place=f"line {line}", expected="numbers", hint=hint)
